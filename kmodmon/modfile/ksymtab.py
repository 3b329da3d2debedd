"""Symbols that a module or the kernel exports: name, whether only to GPL modules, namespace, checksum.

Interface: include/linux/export-internal.h, scripts/mod/modpost.c. A module has an ELF symbol `__ksymtab_NAME` for each
export (an entry of `__ksymtab` or `__ksymtab_gpl`), with CONFIG_MODVERSIONS `__crc_NAME`, and `__kstrtabns_NAME` for an
export with a namespace. The kernel's own tables have no ELF symbols left in a stripped image. Forms that kernels had:

- Namespaces exist since Linux kernel commit 8651ec01daed ("module: add support for symbol namespaces.") (in v5.4).
- The checksum is the value of an absolute symbol `__crc_NAME`, or 4 bytes in `__kcrctab*` that the symbol points to:
  always the latter since Linux kernel commit 7b4537199a4a ("kbuild: link symbol CRCs at final link, removing
  CONFIG_MODULE_REL_CRCS") (in v5.19).
- Object files had one section for each entry (`___ksymtab_gpl+NAME`) until Linux kernel commit ddb5cdbafaaa ("kbuild:
  generate KSYMTAB entries by modpost") (in v6.5); the final link of a module merges them.
- An entry is three 32-bit offsets, each relative to itself (PREL32), since Linux kernel commit 7290d5809571 ("module:
  use relative references for __ksymtab entries") (in v4.19) on architectures that support it, else three pointers.
- Since Linux kernel commit 55fcb926b6d8 ("module: use kflagstab instead of *_gpl sections") (in v7.1) there is one
  `__ksymtab` and a byte of flags for each entry in `__kflagstab`, bit 0 = GPL only (include/linux/module_symbol.h).
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kmodmon.modfile.elf import (
    SHN_ABS,
    ElfFile,
    ElfHeader,
    ElfSection,
    Reader,
    Symbol,
    name_at,
    section_bytes,
    whole_rows,
    words32,
)
from kmodmon.types.error import ParseError

_KSYMTAB, _CRC, _NAMESPACE = b"__ksymtab_", b"__crc_", b"__kstrtabns_"
_PREL32_BYTES = 12
_FLAG_GPL = 1


class Export(NamedTuple):
    """One exported symbol."""

    name: bytes
    gpl_only: bool | None  # None: its entry lies in no section that decides
    namespace: bytes | None  # None: it has none, or a kernel before 5.4
    crc: int | None  # of its type; None: kernel without CONFIG_MODVERSIONS


@dataclass(slots=True)
class _Tables:
    """Contents of the export sections of a module, by section index, each read once."""

    elf: ElfFile
    read: Reader
    contents: dict[int, bytes] = field(default_factory=dict)

    def bytes_of(self, index: int) -> bytes:
        if index not in self.contents:
            self.contents[index] = section_bytes(self.elf, self.read, self.elf.sections[index])
        return self.contents[index]

    def named(self, name: bytes) -> bytes | None:
        for index, section in enumerate(self.elf.sections):
            if section.name == name:
                return self.bytes_of(index)
        return None


def module_exports(elf: ElfFile, read: Reader, symbols: Iterable[Symbol]) -> tuple[Export, ...]:
    """Read the exports of a module file, in the file's order; raises ParseError when a section is damaged."""
    entries: list[Symbol] = []
    crcs: dict[bytes, Symbol] = {}
    namespaces: dict[bytes, Symbol] = {}
    for symbol in symbols:
        if symbol.section == 0 or not symbol.name.startswith(b"__"):
            continue
        if symbol.name.startswith(_KSYMTAB):
            entries.append(symbol)
        elif symbol.name.startswith(_CRC):
            crcs[symbol.name[len(_CRC) :]] = symbol
        elif symbol.name.startswith(_NAMESPACE):
            namespaces[symbol.name[len(_NAMESPACE) :]] = symbol
    tables = _Tables(elf, read)
    exports = []
    for entry in entries:
        name = entry.name[len(_KSYMTAB) :]
        gpl, namespace, crc = (
            _gpl(tables, entry),
            _namespace(tables, namespaces.get(name)),
            _crc(tables, crcs.get(name)),
        )
        exports.append(Export(name, gpl, namespace, crc))
    return tuple(exports)


def _gpl(tables: _Tables, entry: Symbol) -> bool | None:
    if entry.section >= len(tables.elf.sections):
        return None
    name = tables.elf.sections[entry.section].name
    # ___ksymtab_gpl+NAME before ddb5cdbafaaa, see above
    if name.startswith((b"__ksymtab_gpl", b"___ksymtab_gpl")):
        return True
    flags = tables.named(b"__kflagstab")  # since 55fcb926b6d8 (in v7.1), see above
    if flags is None:
        return False if name.startswith((b"__ksymtab", b"___ksymtab")) else None
    index = entry.value // _entry_bytes(tables.elf.header, tables.elf.sections[entry.section], len(flags))
    return bool(flags[index] & _FLAG_GPL) if index < len(flags) else None


def _entry_bytes(header: ElfHeader, table: ElfSection, entries: int) -> int:
    pointers = 3 * header.bits // 8
    return pointers if entries and table.size == entries * pointers else _PREL32_BYTES


def _namespace(tables: _Tables, symbol: Symbol | None) -> bytes | None:
    if symbol is None or symbol.section >= len(tables.elf.sections):
        return None
    return name_at(tables.bytes_of(symbol.section), symbol.value) or None


def _crc(tables: _Tables, symbol: Symbol | None) -> int | None:
    if symbol is None:
        return None
    if symbol.section == SHN_ABS:  # before 7b4537199a4a (in v5.19), see above
        return symbol.value & 0xFFFFFFFF
    if symbol.section >= len(tables.elf.sections):
        return None
    raw = tables.bytes_of(symbol.section)[symbol.value : symbol.value + 4]
    return int.from_bytes(raw, "little" if tables.elf.header.little_endian else "big") if len(raw) == 4 else None


def kernel_exports(elf: ElfFile, read: Reader) -> tuple[Export, ...]:
    """Read the exports of a linked kernel (`vmlinux`, stripped or not); raises ParseError without its tables."""
    sections = {section.name: section for section in elf.sections if section.name.startswith(b"__k")}
    strings = sections.get(b"__ksymtab_strings")
    if strings is None or not (b"__ksymtab" in sections or b"__ksymtab_gpl" in sections):
        raise ParseError("kernel exports", b"", "no __ksymtab sections")
    text = section_bytes(elf, read, strings)
    exports: list[Export] = []
    for table, crcs, gpl in ((b"__ksymtab", b"__kcrctab", False), (b"__ksymtab_gpl", b"__kcrctab_gpl", True)):
        if table in sections:
            extra = {
                name: section_bytes(elf, read, sections[name]) for name in (crcs, b"__kflagstab") if name in sections
            }
            rows = _entries(elf, section_bytes(elf, read, sections[table]), sections[table], strings, text)
            exports += _with_flags(rows, extra, crcs, gpl=gpl, order=elf.header.order)
    return tuple(exports)


def _entries(
    elf: ElfFile, raw: bytes, table: ElfSection, strings: ElfSection, text: bytes
) -> list[tuple[bytes, bytes | None]]:
    def string(address: int) -> bytes:
        return name_at(text, address - strings.address)

    rows: list[tuple[bytes, bytes | None]] = []
    width = elf.header.bits // 8
    # Pointers before 7290d5809571 (in v4.19) and on architectures without PREL32 relocations, else relative offsets.
    pointers = struct.Struct(elf.header.order + ("3Q" if width == 8 else "3I"))
    if len(raw) % pointers.size == 0 and raw and string(pointers.unpack_from(raw)[1]):
        return [(string(name), string(space) or None) for _, name, space in pointers.iter_unpack(raw)]
    layout = struct.Struct(elf.header.order + "3i")
    for index, (_, name, space) in enumerate(whole_rows(layout, raw)):
        at = table.address + index * _PREL32_BYTES
        rows.append((string(at + 4 + name), (string(at + 8 + space) or None) if space else None))
    return rows


def _with_flags(
    rows: list[tuple[bytes, bytes | None]], extra: Mapping[bytes, bytes], crcs: bytes, *, gpl: bool, order: str
) -> list[Export]:
    flags, checksums = extra.get(b"__kflagstab"), words32(extra.get(crcs, b""), order)
    exports = []
    for index, (name, namespace) in enumerate(rows):
        only = gpl
        if flags is not None and index < len(flags):
            only = bool(flags[index] & _FLAG_GPL)
        if name:
            exports.append(Export(name, only, namespace, checksums[index] if index < len(checksums) else None))
    return exports
