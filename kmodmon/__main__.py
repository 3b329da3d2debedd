"""The command `kmodmon`: run a verb; print an error as one sentence on stderr and give an exit code.

Exit codes: 0 fine, 1 findings, 2 bad usage or configuration, 3 cannot read or start; a verb may add others.
An unexpected exception exits with 3 too: Python's own exit code for it is 1, which means findings here.
"""

import gc
import os
import sys
from collections.abc import Sequence

from kmodmon.cli import UsageError, reads_once
from kmodmon.cli.child import run_in_child
from kmodmon.cli.frame import dispatch
from kmodmon.types.error import ConfigError, KmodmonError
from kmodmon.types.text import printable

USAGE, CANNOT = 2, 3
INTERRUPTED, PIPE_CLOSED = 130, 141  # as a shell reports SIGINT and SIGPIPE
# The garbage collector's default, a run after every 700 new objects, takes a tenth of the time of a short command,
# because what modules define at import is never garbage.
GARBAGE_AFTER = 10_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code; `argv` is without the program's name.

    None: it is sys.argv, and a command that reads the host once runs in a child process.
    """
    if argv is None:
        arguments = sys.argv[1:]
        return run_in_child(lambda: main(arguments)) if reads_once(arguments) else main(arguments)
    gc.set_threshold(GARBAGE_AFTER)
    try:
        code = dispatch(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _discard_stdout()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort, see the module's docstring
        return _refuse(error)
    finally:
        gc.freeze()  # else the interpreter looks at every object once more before it ends, a tenth of `kmodmon status`


def _refuse(error: Exception) -> int:
    match error:
        case UsageError():
            return _say(error.prog, str(error), USAGE)
        case ConfigError():
            return _say("kmodmon", str(error), USAGE)
        case KmodmonError():
            return _say("kmodmon", str(error), CANNOT)
        case OSError():
            return _say("kmodmon", f"{error.filename or 'input or output'}: {error.strerror or error}", CANNOT)
        case _:
            import traceback

            traceback.print_exception(error)
            return _say("kmodmon", "this is a bug in kmodmon: please report it with the lines above", CANNOT)


def _say(who: str, what: str, code: int) -> int:
    print(f"{who}: {printable(what)}", file=sys.stderr)
    return code


def _discard_stdout() -> None:
    # At exit the interpreter flushes stdout once more, and would print an error about the closed pipe.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
