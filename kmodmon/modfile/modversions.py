"""Checksums of the symbols that a module was built against.

Interface: kernel/module/version.c, scripts/mod/modpost.c. Absent: kernel without CONFIG_MODVERSIONS.

- `__versions`: entries of 64 bytes, an unsigned long CRC and a NUL-padded name.
- `__version_ext_crcs` (u32 each) and `__version_ext_names` (NUL-terminated), for names that are too long: since Linux
  kernel commit 54ac1ac8edeb ("modules: Support extended MODVERSIONS info") (in v6.14), with
  CONFIG_EXTENDED_MODVERSIONS. A loader that knows them ignores `__versions`.

The checksum of `module_layout` covers the loader's own structures.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.modfile.elf import ElfFile, Reader, find_allocated, section_bytes, words32
from kmodmon.types.error import ParseError

BASIC, CRCS, NAMES = b"__versions", b"__version_ext_crcs", b"__version_ext_names"
_ENTRY_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ModVersions:
    """The checksums in a module."""

    present: bool = False  # it has `__versions`
    extended: bool = False  # it has the extended form
    # symbol name -> CRC, of the extended form where it exists
    crcs: Mapping[bytes, int] = field(default_factory=lambda: MappingProxyType({}))


def parse_modversions(elf: ElfFile, read: Reader) -> ModVersions:
    """Read the checksums of a module; an empty value when it has none. Raises ParseError when they are damaged."""
    basic, crcs, names = (find_allocated(elf.sections, name) for name in (BASIC, CRCS, NAMES))
    if (crcs is None) != (names is None):
        raise ParseError("__version_ext", b"", "extended version crc+name presence does not match")
    if crcs is not None and names is not None:  # since 54ac1ac8edeb (in v6.14), see above
        pairs = parse_extended(section_bytes(elf, read, crcs), section_bytes(elf, read, names), elf.header.order)
        return ModVersions(present=basic is not None, extended=True, crcs=MappingProxyType(pairs))
    if basic is None:
        return ModVersions()
    pairs = parse_basic(section_bytes(elf, read, basic), elf.header.order, elf.header.bits)
    return ModVersions(present=True, crcs=MappingProxyType(pairs))


def parse_basic(raw: bytes, order: str, bits: int) -> dict[bytes, int]:
    """Read `__versions`; of a repeated name the first counts, an incomplete last entry does not."""
    layout = struct.Struct(order + ("Q56s" if bits == 64 else "I60s"))
    by_name: dict[bytes, int] = {}
    for crc, name in layout.iter_unpack(raw[: len(raw) // _ENTRY_BYTES * _ENTRY_BYTES]):
        by_name.setdefault(name.partition(b"\0")[0], crc & 0xFFFFFFFF)
    return by_name


def parse_extended(crcs: bytes, names: bytes, order: str) -> dict[bytes, int]:
    """Read the extended form; raises ParseError when there are fewer names than checksums."""
    values = words32(crcs, order)
    words = names.split(b"\0")[:-1]
    if len(words) < len(values):
        raise ParseError("__version_ext_names", names[:40], "more extended version crcs than names")
    by_name: dict[bytes, int] = {}
    for crc, name in zip(values, words, strict=False):
        by_name.setdefault(name, crc)
    return by_name
