"""Builds the wheel as a release is built: by the installed build backend, without isolation and without network."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def build(tree: Path, target: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Build the wheel of a tree into a directory; give its path."""
    command = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target))
    done = subprocess.run(command, cwd=tree, env=environ, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = sorted(target.glob("kmodmon-*.whl"), key=lambda path: path.stat().st_mtime)[-1:]
    return wheel
