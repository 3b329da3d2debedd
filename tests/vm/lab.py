"""Where the real-kernel lab keeps its things, and the few ways in which it talks to this machine.

All that is large lies in ``${XDG_CACHE_HOME:-~/.cache}/kmodmon/vm``: the root file system of the guests, a directory
for each kernel, saved states of booted guests. Every part carries a stamp, a digest of what it was made from, and is
made again when that changes; so the directory may be deleted at any time, and never needs to be.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.tools import apt_install, cache, on_path

HERE = Path(__file__).parent
GUEST_FILES = HERE / "guest"

# Program: its Debian package. seabios and ipxe-qemu are what qemu-system-x86 only recommends.
_HOST_TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "cpio": "cpio",
    "zstd": "zstd",
    "xz": "xz-utils",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "gcc": "gcc",
    "make": "make",
    "openssl": "openssl",
    "strip": "binutils",
}


class LabError(Exception):
    """A part of the lab could not be built or started; the text says what and why."""


def directory(*parts: str) -> Path:
    """Give a directory of the lab, made if missing."""
    path = cache().joinpath("vm", *parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def say(text: str) -> None:
    """Tell whoever watches the build; pytest shows it only for a failed test."""
    print(f"[vm] {text}", file=sys.stderr, flush=True)


def run(*argv: str | Path, cwd: Path | None = None, timeout: float = 600, stdin: bytes = b"") -> str:
    """Run a program of this machine and give what it printed; raises LabError with its output if it fails."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    environment["PATH"] = f"{environment.get('PATH', '')}:/usr/sbin:/sbin"
    command = tuple(str(part) for part in argv)
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, input=stdin, capture_output=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise LabError(f"{' '.join(command)} answered {done.returncode}: {said[-3000:]}")
    return done.stdout.decode(errors="replace")


def stamp(*parts: str | bytes | Path) -> str:
    """Digest of texts and of files; of a directory, of each file in it with its name."""
    digest = hashlib.sha256()
    for part in parts:
        for piece in _pieces(part):
            digest.update(len(piece).to_bytes(8, "big") + piece)
    return digest.hexdigest()[:16]


def _pieces(part: str | bytes | Path) -> Iterable[bytes]:
    match part:
        case str():
            yield part.encode()
        case bytes():
            yield part
        case Path():
            files = sorted(path for path in part.rglob("*") if path.is_file()) if part.is_dir() else [part]
            for path in files:
                if "__pycache__" not in path.parts:
                    yield str(path.relative_to(part)).encode()
                    yield path.read_bytes()


def stamped(target: Path, wanted: str) -> bool:
    """Tell whether the directory `target` was finished from what `wanted` is the digest of."""
    mark = target / "stamp"
    return mark.exists() and mark.read_text() == wanted


def build(target: Path, wanted: str, make: Callable[[Path], None]) -> Path:
    """Give the directory `target`, filled by `make` unless it was already made from the same; whole or not at all."""
    if stamped(target, wanted):
        return target
    began = time.monotonic()
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    make(target)
    # Written last: a build that broke off has no stamp, and is made again.
    (target / "stamp").write_text(wanted)
    say(f"{target.name}: {time.monotonic() - began:.1f} s")
    return target


def make_disk(image: Path, tree: Path, *, mebibytes: int, label: str) -> None:
    """Write an ext4 image holding `tree`; sparse, without a journal: its guest never writes back to it."""
    options = ("-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-L", label)
    with image.open("wb") as file:
        file.truncate(mebibytes << 20)
    run("mke2fs", *options, "-d", tree, image)


def tree_mebibytes(tree: Path) -> int:
    """Room that the files of `tree` take, counted in whole blocks."""
    return sum((path.lstat().st_size // 4096 + 1) * 4096 for path in tree.rglob("*")) >> 20


def need_host_tools() -> None:
    """Install what the lab runs on this machine; raises ToolError where that cannot be done."""
    missing = {package for program, package in _HOST_TOOLS.items() if on_path(program) is None}
    if "qemu-system-x86" in missing:
        missing |= {"seabios", "ipxe-qemu"}
    if missing:
        began = time.monotonic()
        apt_install(missing)
        say(f"installed {' '.join(sorted(missing))}: {time.monotonic() - began:.1f} s")
