"""A kernel's headers, made usable where they lie and on this machine.

Debian's headers expect to be in /usr/src and their programs (modpost, objtool, sign-file) want the libc of their suite.
Here any number of kernels lie side by side, and the programs of a newer suite are run by that suite's own loader.
"""

import os
import platform
import tempfile
from pathlib import Path

from tests.tools import unpack
from tests.vm.lab import directory
from tests.vm.suites import Suite


def settle(suite: Suite, headers: Path, release: str) -> None:
    """Make the headers independent of /usr/src, and their programs of this machine's libc."""
    makefile = headers / "usr/src" / f"linux-headers-{release}" / "Makefile"
    text = makefile.read_text().replace("/usr/src/", f"{headers}/usr/src/")
    makefile.write_text(text.replace("/usr/lib/linux-kbuild", f"{headers}/usr/lib/linux-kbuild"))
    programs = [path for path in headers.rglob("*") if path.is_file() and not path.is_symlink() and _is_program(path)]
    if any(_wants_newer_libc(path) for path in programs):
        with tempfile.TemporaryDirectory(dir=directory()) as scratch:
            unpack(suite.download(["libc6"], Path(scratch)), headers / "libc")
        libc = next(path.parent for path in headers.rglob("libc.so.6") if "x86_64-linux-gnu" in path.parts)
        for path in programs:
            _run_by_loader(path, libc)


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        return os.access(path, os.X_OK) and file.read(4) == b"\x7fELF" and path.suffix != ".so"


def _wants_newer_libc(program: Path) -> bool:
    # ldd -r would need the program's own loader; the versions that it asks for are plain text in it.
    have = tuple(int(part) for part in platform.libc_ver()[1].split("."))
    asked = {tuple(map(int, part.split(b"."))) for part in _glibc_versions(program.read_bytes())}
    return max(asked, default=(0,)) > have


def _glibc_versions(program: bytes) -> list[bytes]:
    texts = (piece.partition(b"\0")[0] for piece in program.split(b"GLIBC_")[1:])
    return [text for text in texts if text.replace(b".", b"").isdigit()]


def _run_by_loader(program: Path, libc: Path) -> None:
    real = program.with_name(program.name + ".elf")
    program.rename(real)
    paths = f"{libc}:/usr/lib/x86_64-linux-gnu"
    loader = f'{libc}/ld-linux-x86-64.so.2 --argv0 "$0" --library-path {paths} {real} "$@"'
    program.write_text(f"#!/bin/sh\nexec {loader}\n")
    program.chmod(0o755)
