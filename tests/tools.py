"""Make ready the programs that the tests want and a Python environment cannot hold.

``python tests/tools.py`` does it (``make test`` calls it; as root on a fresh Debian machine nothing else is needed);
``tool("promtool")`` gives a test the program's path. Two ways, chosen by what a package would do to the machine:

* *installed* by apt: small packages that start nothing (kmod, util-linux, openssl);
* *unpacked* into ``${XDG_CACHE_HOME:-~/.cache}/kmodmon/tools``: Prometheus and Alertmanager, whose packages would leave
  two running services behind. Both are static programs, so unpacking is enough.

What is there already, in PATH or in the cache, is used as it is: then this takes no time and no network.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

INSTALLED: Mapping[str, str] = MappingProxyType(
    {
        "modinfo": "kmod",
        "depmod": "kmod",
        "dmesg": "util-linux",
        "openssl": "openssl",
        "systemd-analyze": "systemd",
    }
)
"""Program: the Debian package that apt installs for it."""

UNPACKED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "promtool": ("prometheus", "usr/bin/promtool"),
        "prometheus": ("prometheus", "usr/bin/prometheus"),
        "amtool": ("prometheus-alertmanager", "usr/bin/amtool"),
        "alertmanager": ("prometheus-alertmanager", "usr/bin/prometheus-alertmanager"),
        "mtail": ("mtail", "usr/bin/mtail"),
    }
)
"""Program: the Debian package that is unpacked for it, and the file therein."""

# A user's PATH often lacks these, and kmod's programs lie there.
_SYSTEM_PATHS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")


class ToolError(Exception):
    """A program cannot be made ready, or has not been; the text says what to do."""


def cache() -> Path:
    """Directory for all that the tests fetch or build and that outlives the tree."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kmodmon"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` in the cache, so that runs side by side do not make the same thing twice."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def on_path(program: str) -> Path | None:
    """Path of an installed program, the system directories included; None if there is none."""
    search = os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_PATHS])
    found = shutil.which(program, path=search)
    return None if found is None else Path(found)


def tool(name: str) -> Path:
    """Path of the program `name`; raises ToolError if it is not ready (see ``python tests/tools.py``)."""
    found = _unpacked(name) if name in UNPACKED else on_path(name)
    if found is None:
        raise ToolError(f"{name} is not there: run `python tests/tools.py` (as root on a Debian machine)")
    return found


def apt_install(packages: set[str]) -> None:
    """Install Debian packages, only for root; raises ToolError with the command to type otherwise."""
    if not packages:
        return
    command = ("apt-get", "install", "-qq", "-y", "--no-install-recommends", *sorted(packages))
    if os.geteuid() != 0 or on_path("apt-get") is None:
        raise ToolError(f"missing here: run as root `{' '.join(command)}`, or install the like of it")
    if _apt(*command).returncode != 0:
        _apt("apt-get", "update", "-qq")
        done = _apt(*command)
        if done.returncode != 0:
            raise ToolError(f"{' '.join(command)} failed: {done.stdout[-2000:]}")


def unpack(debs: list[Path], directory: Path) -> None:
    """Unpack Debian packages into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        subprocess.run(("dpkg-deb", "-x", deb, directory), check=True)


def make_ready() -> None:
    """Install or unpack what is missing; raises ToolError."""
    apt_install({package for program, package in INSTALLED.items() if on_path(program) is None})
    if all(_unpacked(program) for program in UNPACKED):
        return
    with locked("tools"):
        for program, (package, _) in UNPACKED.items():
            if _unpacked(program) is None:
                _fetch(package)


def _unpacked(program: str) -> Path | None:
    package, inside = UNPACKED[program]
    path = cache() / "tools" / package / inside
    return path if path.exists() else on_path(path.name)


def _fetch(package: str) -> None:
    # Unpacked beside and moved into place, so that a broken off run leaves nothing half done.
    where = cache() / "tools"
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where) as scratch:
        # APT::Sandbox::User: as root apt would download as a user who may not write here.
        download = ("apt-get", "-o", "APT::Sandbox::User=root", "download", "-qq", package)
        done = _apt(*download, directory=scratch)
        if done.returncode != 0 and os.geteuid() == 0:
            _apt("apt-get", "update", "-qq")
            done = _apt(*download, directory=scratch)
        if done.returncode != 0:
            raise ToolError(f"cannot fetch the Debian package {package}: {done.stdout[-2000:]}")
        new = Path(scratch) / "new"
        unpack(list(Path(scratch).glob("*.deb")), new)
        shutil.rmtree(where / package, ignore_errors=True)
        new.rename(where / package)


def _apt(*command: str, directory: str | None = None) -> "subprocess.CompletedProcess[str]":
    # Another apt at work (a fresh machine's own updates) is waited for, and nobody is asked anything.
    program, *arguments = command
    try:
        return subprocess.run(
            (program, "-o", "DPkg::Lock::Timeout=300", *arguments),
            cwd=directory,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolError(f"no {program} on this machine, which is no Debian: install {', '.join(UNPACKED)}") from error


if __name__ == "__main__":
    try:
        make_ready()
    except ToolError as error:
        sys.exit(f"tests/tools.py: {error}")
