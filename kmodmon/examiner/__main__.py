"""The examiner process: `python -m kmodmon.examiner`, one request on stdin, answers on stdout, nothing else.

Its priority is low, and its memory and time are limited, so that no file can slow the host down. When it dies, the
client knows at which file, because the answers come in the order of the request.
"""

import contextlib
import os
import resource
import sys

from kmodmon.examiner.answer import answer
from kmodmon.examiner.protocol import REQUEST_LIMIT, encode_answer, parse_request
from kmodmon.examiner.sandbox import confine
from kmodmon.types.error import KmodmonError

_ADDRESS_SPACE = 2 << 30  # bytes; libraries map some, a kernel image takes up to 0.2 GB
_CPU_SECONDS = 600
_NICE = 10


def main() -> int:
    """Answer one request. Exit status: 1 when nobody reads the answers any more, 2 when the request is refused."""
    _limit()
    raw = sys.stdin.buffer.read(REQUEST_LIMIT + 1)
    try:
        if len(raw) > REQUEST_LIMIT:
            raise KmodmonError(f"a request of more than {REQUEST_LIMIT} bytes")
        request = parse_request(raw)
        unconfined = () if confine().is_confined else ("the examiner runs unconfined: no seccomp filter, no Landlock",)
        for reply in answer(request, unconfined):
            sys.stdout.buffer.write(encode_answer(reply))
            sys.stdout.buffer.flush()
    except KmodmonError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        os._exit(1)  # Python would report an error about stdout at a usual exit
    return 0


def _limit() -> None:
    for what, maximum in ((resource.RLIMIT_AS, _ADDRESS_SPACE), (resource.RLIMIT_CPU, _CPU_SECONDS)):
        soft, hard = resource.getrlimit(what)
        ceiling = maximum if hard == resource.RLIM_INFINITY else min(maximum, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (ceiling if soft == resource.RLIM_INFINITY else min(soft, ceiling), hard))
    with contextlib.suppress(OSError):
        os.nice(_NICE)


if __name__ == "__main__":
    sys.exit(main())
