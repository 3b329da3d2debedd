"""Make ready what only the browser tests want: Debian's Chromium, Node, and two npm packages in the cache.

``python -m tests.browser.tools`` does it (``make test-browser`` calls it). Chromium is Debian's package, so nothing is
fetched that Debian's updates do not cover; playwright-core drives it and brings no browser of its own.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.tools import ToolError, apt_install, cache, locked, on_path

PACKAGES = Path(__file__).parent / "package.json"
PROGRAMS = {"chromium": "chromium", "node": "nodejs"}


def chromium() -> Path:
    """Debian's Chromium; raises ToolError when it is not there."""
    return _ready(on_path("chromium"), "chromium")


def node() -> Path:
    """Node; raises ToolError when it is not there."""
    return _ready(on_path("node"), "node")


def npm_packages() -> Path:
    """The directory whose node_modules holds the packages; raises ToolError when they are not there."""
    return _ready(_installed(), "playwright-core")


def make_ready() -> None:
    """Install what is missing; raises ToolError."""
    apt_install({package for program, package in PROGRAMS.items() if on_path(program) is None})
    if _installed() is None:
        if on_path("npm") is None:
            apt_install({"npm"})
        with locked("npm"):
            _install()


def _directory() -> Path:
    return cache() / f"npm-{hashlib.sha256(PACKAGES.read_bytes()).hexdigest()[:12]}"


def _installed() -> Path | None:
    return _directory() if _directory().is_dir() else None


def _install() -> None:
    # Beside it and moved into place, so that a broken off run leaves nothing half done.
    target = _directory()
    scratch = target.with_suffix(".new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    shutil.copy(PACKAGES, scratch)
    npm = _ready(on_path("npm"), "npm")
    command = (npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise ToolError(f"npm install of {PACKAGES} failed: {done.stderr[-2000:]}")
    if not target.exists():
        scratch.rename(target)


def _ready(found: Path | None, what: str) -> Path:
    if found is None:
        raise ToolError(f"{what} is not there: run `make test-browser` (as root on a Debian machine)")
    return found


if __name__ == "__main__":
    try:
        make_ready()
    except ToolError as error:
        sys.exit(f"tests/browser/tools.py: {error}")
