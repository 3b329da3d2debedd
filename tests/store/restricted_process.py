"""Runs a piece of Python in a process of its own that has less: another user, or a limit on the size of files."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# Everything is imported before the privileges go, because the checkout need not be readable for the other user.
_PRELUDE = """
import os, sys
from pathlib import Path
from kmodmon.store import *
from kmodmon.store.options import *
from kmodmon.store.backend import *
from kmodmon.store.writer import *
from kmodmon.store.sqlite import SqliteHistory
from tests.store.making import *
from tests.store.watching import *
directory = Path(sys.argv[1])
"""
AS_NOBODY = "\nif os.geteuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"


def python(code: str, directory: Path, before: str = "") -> str:
    """What the code printed; fails with what it said when it failed."""
    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE + before + code, str(directory)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
