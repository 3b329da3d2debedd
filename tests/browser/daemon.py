"""The real daemon, on a host that is made of plain files."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADDRESS = re.compile(r"serves on (127\.0\.0\.1:\d+)")


@contextmanager
def daemon(host: Path, state: Path) -> Iterator[str]:
    """Run it and give its URL; it is ended on leaving."""
    command = (
        sys.executable, "-m", "kmodmon", "run", "--root", str(host), "--listen", "127.0.0.1:0",
        "--history.directory", str(state), "--poll.modules", "1s",
    )  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        yield f"http://{_address(process)}/"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if (found := _ADDRESS.search(line)) is not None:
            return found[1]
    raise AssertionError(f"the daemon did not start: {said}")
