"""What a command imports is most of its time; each in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parent.parent / "trees/debian13-6.12-x86_64"
CODE = """
import contextlib, io, sys
from kmodmon.__main__ import main
with contextlib.redirect_stdout(io.StringIO()):
    main(sys.argv[1:])
print(*sys.modules)
"""
FOLLOWING = (
    "asyncio",
    "watchdog",
    "psutil",
    "kmodmon.runtime.engine",
    "kmodmon.reports.signatures.table",
    "prometheus_client",
)
HOST = ("--root", str(TREE), "--history.directory", "/nonexistent")


@pytest.mark.parametrize(
    ("words", "needless"),
    [
        (("--version",), ("kmodmon.config.settings", "kmodmon.state.state", "json")),
        (("taint", "12288"), ("kmodmon.state.state", "kmodmon.system.root", "sqlite3", "json")),
        (("taint", *HOST), FOLLOWING),
        (("modules", *HOST), (*FOLLOWING[1:], "ssl", "tomllib")),
        (("events", "--state-dir", "/nonexistent"), (*FOLLOWING, "kmodmon.events.report", "kmodmon.state.state")),
        (("explain", "virtio", *HOST), ("asyncio", "watchdog", "psutil", "kmodmon.runtime.engine")),
    ],
)
def test_command_when_run_then_it_imports_no_more_than_it_uses(
    words: tuple[str, ...], needless: tuple[str, ...]
) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(needless)
