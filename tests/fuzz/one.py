"""One target under libFuzzer: `python -m tests.fuzz.one NAME INPUT` replays an input.

The product is imported once, with counters in its code; the driver forks a process for each target, because libFuzzer
ends the process that it runs in.
"""

import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import atheris

with redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["kmodmon", "h11"]):
    from tests.fuzz.target import CORPUS, CRASHES, Target, attempt, digest
    from tests.fuzz.targets import BY_NAME, TARGETS

    def warm(target: Target) -> None:
        """Import what the target imports at its first calls, which gets counters only while the hook is there."""
        for path in sorted((CORPUS / target.name).glob("*"))[:20]:
            attempt(target, path.read_bytes())

    for each in TARGETS:
        warm(each)


def libfuzzer(target: Target, arguments: Sequence[str]) -> None:
    """Hand over to libFuzzer, which does not return."""

    def run(data: bytes) -> None:
        try:
            attempt(target, data)
        except BaseException:
            # libFuzzer itself writes an input only when the process hangs, or takes too much memory.
            (CRASHES / f"{target.name}.{digest(data)}").write_bytes(data)
            raise

    atheris.Setup(["libfuzzer", *arguments], run)
    atheris.Fuzz()


def start(target: Target, arguments: Sequence[str], output: Path) -> BaseProcess:
    """Start a process for a target; what it prints goes to `output`."""
    process = get_context("fork").Process(target=_child, args=(target, arguments, output))
    process.start()
    return process


def _child(target: Target, arguments: Sequence[str], output: Path) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    libfuzzer(target, arguments)


if __name__ == "__main__":
    libfuzzer(BY_NAME[sys.argv[1]], sys.argv[2:])
