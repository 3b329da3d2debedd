"""Module.symvers of a kernel's headers: every exported symbol of a whole build.

Interface: scripts/mod/modpost.c `write_dump` (Documentation/kbuild/modules.rst); in the build directory that
/lib/modules/RELEASE/build points to, world readable. Absent: the package with the kernel's headers is not installed.

A line is `CRC<TAB>name<TAB>owner<TAB>EXPORT_SYMBOL[_GPL]<TAB>namespace`; the owner is `vmlinux` or a path without
`.ko`. The CRC is 0x00000000 for all symbols of a kernel without CONFIG_MODVERSIONS. Kernels before 5.4 have no fifth
field. Linux kernel commit 5190044c2965 ("modpost: move the namespace field in Module.symvers last") (in v5.6, and in
5.4 and 5.5 stable) moved the namespace, which was the third field for some months: such files are not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from kmodmon.kernel.module_name import kernel_name
from kmodmon.modfile.ksymtab import Export

KERNEL = "vmlinux"


class Owned(NamedTuple):
    """An export and its owner."""

    export: Export
    owner: str | None  # kernel name of a module; None: the kernel itself


@dataclass(frozen=True, slots=True, kw_only=True)
class SymVers:
    """All exports of a build."""

    exports: Mapping[bytes, Owned] = field(default_factory=lambda: MappingProxyType({}))  # by name
    versions: bool = False  # the build has CONFIG_MODVERSIONS, so the checksums are real
    skipped: int = 0  # lines of another format


def parse_symvers(raw: bytes) -> SymVers:
    """Read Module.symvers. Raises nothing: lines of another format are counted."""
    exports: dict[bytes, Owned] = {}
    skipped = 0
    versions = False
    for line in raw.split(b"\n"):
        if not line:
            continue
        words = line.split(b"\t")
        kind = words[3] if len(words) > 3 else b""
        if len(words) not in {4, 5} or not kind.startswith(b"EXPORT_") or not words[0].startswith(b"0x"):
            skipped += 1
            continue
        try:
            crc = int(words[0], 16)
        except ValueError:
            skipped += 1
            continue
        versions = versions or crc != 0
        namespace = words[4] if len(words) == 5 else b""
        export = Export(words[1], kind.startswith(b"EXPORT_SYMBOL_GPL"), namespace or None, crc & 0xFFFFFFFF)
        exports[words[1]] = Owned(export, _owner(words[2]))
    return SymVers(exports=MappingProxyType(exports), versions=versions, skipped=skipped)


def _owner(raw: bytes) -> str | None:
    base = raw.decode("utf-8", "replace").rpartition("/")[2].removesuffix(".ko")
    return None if base == KERNEL else kernel_name(base)
