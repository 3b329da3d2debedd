"""What a module or the kernel exports: name, whether only to GPL modules, namespace, checksum.

A module says it in symbols named `__ksymtab_NAME` (an entry of `__ksymtab` or `__ksymtab_gpl`), `__crc_NAME` (in
`__kcrctab*`, or absolute in old kernels) and `__kstrtabns_NAME` (include/linux/export-internal.h). From 7.0 on there is
one `__ksymtab` and a byte of flags for each entry in `__kflagstab`, bit 0 = GPL only (include/linux/module_symbol.h).

The kernel's own tables have no symbols left; their entries are three 32-bit offsets, each relative to itself (PREL32),
or three pointers.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kmodmon.modfile.elf import SHN_ABS, ElfFile, ElfHeader, ElfSection, Reader, Symbol, name_at, section_bytes
from kmodmon.types.error import ParseError

_KSYMTAB, _CRC, _NAMESPACE = b"__ksymtab_", b"__crc_", b"__kstrtabns_"
_PREL32_BYTES = 12
_FLAG_GPL = 1


class Export(NamedTuple):
    """One exported symbol. None: `gpl_only` could not be told; no namespace; no checksum."""

    name: bytes
    gpl_only: bool | None
    namespace: bytes | None
    crc: int | None


@dataclass(slots=True)
class _Tables:
    """Contents of the export sections of a module, by section index."""

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
    """What a module file exports, sorted as in the file; raises ParseError when a section it needs is damaged."""
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
    # 5.x puts every entry into a section of its own, ___ksymtab_gpl+NAME, which the final link of a module merges
    if name.startswith((b"__ksymtab_gpl", b"___ksymtab_gpl")):
        return True
    flags = tables.named(b"__kflagstab")
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
    if symbol.section == SHN_ABS:
        return symbol.value & 0xFFFFFFFF
    if symbol.section >= len(tables.elf.sections):
        return None
    raw = tables.bytes_of(symbol.section)[symbol.value : symbol.value + 4]
    return int.from_bytes(raw, "little" if tables.elf.header.little_endian else "big") if len(raw) == 4 else None


def kernel_exports(elf: ElfFile, read: Reader) -> tuple[Export, ...]:
    """What a linked kernel (`vmlinux`, stripped or not) exports; raises ParseError when its tables are not in it."""
    found = {section.name: section for section in elf.sections if section.name.startswith(b"__k")}
    strings = found.get(b"__ksymtab_strings")
    if strings is None or not (b"__ksymtab" in found or b"__ksymtab_gpl" in found):
        raise ParseError("kernel exports", b"", "no __ksymtab sections")
    text = section_bytes(elf, read, strings)
    exports: list[Export] = []
    for table, crcs, gpl in ((b"__ksymtab", b"__kcrctab", False), (b"__ksymtab_gpl", b"__kcrctab_gpl", True)):
        if table in found:
            extra = {name: section_bytes(elf, read, found[name]) for name in (crcs, b"__kflagstab") if name in found}
            rows = _entries(elf, section_bytes(elf, read, found[table]), found[table], strings, text)
            exports += _with_flags(rows, extra, crcs, gpl=gpl, order=elf.header.order)
    return tuple(exports)


def _entries(
    elf: ElfFile, raw: bytes, table: ElfSection, strings: ElfSection, text: bytes
) -> list[tuple[bytes, bytes | None]]:
    def string(address: int) -> bytes:
        return name_at(text, address - strings.address)

    rows: list[tuple[bytes, bytes | None]] = []
    width = elf.header.bits // 8
    pointers = struct.Struct(elf.header.order + ("3Q" if width == 8 else "3I"))
    if len(raw) % pointers.size == 0 and raw and string(pointers.unpack_from(raw)[1]):
        return [(string(name), string(space) or None) for _, name, space in pointers.iter_unpack(raw)]
    layout = struct.Struct(elf.header.order + "3i")
    whole = raw[: len(raw) // _PREL32_BYTES * _PREL32_BYTES]
    for index, (_, name, space) in enumerate(layout.iter_unpack(whole)):
        at = table.address + index * _PREL32_BYTES
        rows.append((string(at + 4 + name), (string(at + 8 + space) or None) if space else None))
    return rows


def _with_flags(
    rows: list[tuple[bytes, bytes | None]], extra: Mapping[bytes, bytes], crcs: bytes, *, gpl: bool, order: str
) -> list[Export]:
    flags, sums = extra.get(b"__kflagstab"), extra.get(crcs, b"")
    checksums = struct.unpack(f"{order}{len(sums) // 4}I", sums[: len(sums) // 4 * 4])
    exports = []
    for index, (name, namespace) in enumerate(rows):
        only = gpl
        if flags is not None and index < len(flags):
            only = bool(flags[index] & _FLAG_GPL)
        if name:
            exports.append(Export(name, only, namespace, checksums[index] if index < len(checksums) else None))
    return exports
