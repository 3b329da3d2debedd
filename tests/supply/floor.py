"""`make test-floor`: the tests of `make check` with the lowest versions that pyproject.toml allows.

The environment is made in the cache, anew when a range in pyproject.toml changes. Lint, types and format are not tried:
what they say depends on the tool's version, which the lock file fixes.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.supply.lock import LOCKS, ROOT, requirements
from tests.tools import cache


def lowest(wanted: str) -> str:
    """The lowest versions that these requirements allow, and the newest of what they need in turn."""
    command = (_uv(), "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--no-header", "--no-annotate", "-")
    done = subprocess.run(
        (*command, "--python", sys.executable), input=wanted, text=True, stdout=subprocess.PIPE, cwd=ROOT, check=True
    )
    return done.stdout


def environment() -> Path:
    """The Python of an environment with exactly these versions."""
    versions = lowest("\n".join(requirements(LOCKS[0])))
    digest = hashlib.sha256(f"{sys.version} {versions}".encode()).hexdigest()[:16]
    directory = cache() / f"floor-{digest}"
    python = directory / "bin/python"
    if not (directory / "complete").exists():
        for old in cache().glob("floor-*"):
            shutil.rmtree(old)
        subprocess.run((sys.executable, "-m", "venv", "--without-pip", directory), check=True)
        install = (_uv(), "pip", "install", "--quiet", "--no-deps", "--python", python, "--requirement", "-")
        subprocess.run(install, input=versions, text=True, check=True)
        (directory / "complete").touch()
    print(versions, flush=True)
    return python


def _uv() -> str:
    return str(Path(sys.executable).with_name("uv"))


def main(arguments: Sequence[str]) -> int:
    """Run pytest there; its exit code."""
    quick = ("-n", "2", "--dist", "worksteal", "-m", "not process and not soak")
    return subprocess.run((environment(), "-m", "pytest", *quick, *arguments), cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
