"""ELF relocatable files, 32 and 64 bit, both byte orders; no field of a file is trusted.

Interface: the gABI, include/uapi/linux/elf.h (elf(5)). A file is read through a `Reader` (offset, length) -> bytes, so
that it may be a mapping, a decompression stream or a buffer. Only the header, the section table, the section names and
the sections asked for are read. Every loop is bounded by the size of the bytes read, every read by a limit; nothing
recurses. Extended section numbering (e_shnum 0) is not followed: the kernel's module loader does not either.

Section and symbol names stay bytes here: they are compared, not shown.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from kmodmon.types.error import ParseError

Reader: TypeAlias = Callable[[int, int], bytes]

MAGIC = b"\x7fELF"
HEADER_BYTES = 64  # the larger of the two header forms
ET_REL = 1
SHT_NULL, SHT_SYMTAB, SHT_STRTAB, SHT_NOBITS = 0, 2, 3, 8
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
SHN_UNDEF, SHN_ABS, SHN_COMMON = 0, 0xFFF1, 0xFFF2
STB_WEAK = 2

NAME_LIMIT = 512  # KSYM_NAME_LEN; no name of a section or symbol is longer
TABLE_LIMIT = 16 << 20  # bytes of any one table that is read whole

_IDENT = struct.Struct("4sBBBB8x")


class ElfSection(NamedTuple):
    """One section header: its name, then the fields of Elf64_Shdr in their order, as the file claims them."""

    name: bytes  # b"": its offset lies outside the name table
    name_offset: int  # sh_name
    type: int  # SHT_*
    flags: int  # SHF_*
    address: int
    offset: int  # bytes from the start of the file, not checked against its size
    size: int  # bytes, not checked against the size of the file
    link: int  # index of a section; its meaning depends on the type
    info: int
    alignment: int
    entry_size: int  # bytes


class Symbol(NamedTuple):
    """One entry of the symbol table."""

    name: bytes  # b"": its offset lies outside the string table
    name_offset: int
    info: int  # binding << 4 | type
    section: int  # index of its section, or SHN_*
    value: int  # in a relocatable file an offset into the section; for SHN_ABS the value itself

    @property
    def binding(self) -> int:
        """STB_LOCAL 0, STB_GLOBAL 1, STB_WEAK 2."""
        return self.info >> 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfHeader:
    """The file header, every number as written in the file."""

    bits: Literal[32, 64]
    little_endian: bool
    type: int  # ET_REL for modules
    machine: int  # EM_*
    flags: int  # of the machine
    section_offset: int  # bytes from the start of the file to the section table
    section_entry_size: int  # bytes of one section header
    section_count: int
    names_index: int  # of the section that holds the names of sections

    @property
    def order(self) -> str:
        """The byte order as `struct` writes it."""
        return "<" if self.little_endian else ">"

    @property
    def section_struct(self) -> struct.Struct:
        """The layout of one section header."""
        return struct.Struct(self.order + ("IIQQQQIIQQ" if self.bits == 64 else "10I"))

    @property
    def symbol_struct(self) -> struct.Struct:
        """The layout of one symbol: name, (info, other, section, value, size) in the order of this class."""
        return struct.Struct(self.order + ("IBBHQQ" if self.bits == 64 else "IIIBBH"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """Header and sections of one file."""

    header: ElfHeader
    sections: tuple[ElfSection, ...]  # in the file's order; the first is SHT_NULL in a sound file
    size: int  # bytes of the file

    def find(self, name: bytes) -> ElfSection | None:
        """The first section of that name, None without one."""
        for section in self.sections:
            if section.name == name and section.type != SHT_NULL:
                return section
        return None

    def of_type(self, kind: int) -> tuple[ElfSection, ...]:
        """Every section of that type."""
        return tuple(section for section in self.sections if section.type == kind)


def whole_rows(layout: struct.Struct, raw: bytes) -> Iterator[tuple[int, ...]]:
    """Unpack a table row by row; an incomplete last row is ignored."""
    return layout.iter_unpack(raw[: len(raw) // layout.size * layout.size])


def words32(raw: bytes, order: str) -> tuple[int, ...]:
    """Unpack 32-bit words of byte order `order` (`<` or `>`); an incomplete last word is ignored."""
    return struct.unpack(f"{order}{len(raw) // 4}I", raw[: len(raw) // 4 * 4])


def find_allocated(sections: Sequence[ElfSection], name: bytes) -> ElfSection | None:
    """Find a section as the loader's `find_sec()` does: by name, and only if it is allocated."""
    return next((section for section in sections[1:] if section.flags & SHF_ALLOC and section.name == name), None)


def parse_header(raw: bytes) -> ElfHeader:
    """Read the file header from the first bytes of a file; raises ParseError unless it is a whole ELF header."""
    if len(raw) < 20 or raw[:4] != MAGIC:
        raise ParseError("ELF header", raw[:16], "no ELF magic")
    _, bits, order, _, _ = _IDENT.unpack_from(raw)
    if bits not in (1, 2) or order not in (1, 2):
        raise ParseError("ELF header", raw[:16], "unknown class or byte order")
    mark = "<" if order == 1 else ">"
    layout = struct.Struct(mark + ("16xHHIQQQIHHHHHH" if bits == 2 else "16xHHIIIIIHHHHHH"))
    if len(raw) < layout.size:
        raise ParseError("ELF header", raw[:16], f"{len(raw)} bytes are not a whole header")
    kind, machine, _, _, _, table, flags, _, _, _, entry, count, names = layout.unpack_from(raw)
    return ElfHeader(
        bits=64 if bits == 2 else 32,
        little_endian=order == 1,
        type=kind,
        machine=machine,
        flags=flags,
        section_offset=table,
        section_entry_size=entry,
        section_count=count,
        names_index=names,
    )


def parse_elf(read: Reader, size: int) -> ElfFile:
    """Read header and section table of a file of `size` bytes; raises ParseError when there is no section table.

    A name table that cannot be read costs the names only: they are b"".
    """
    header = parse_header(read(0, min(size, HEADER_BYTES)))
    layout = header.section_struct
    table_bytes = header.section_count * layout.size
    if header.section_entry_size != layout.size:
        raise ParseError("ELF section table", b"", f"entries of {header.section_entry_size} bytes")
    if header.section_offset > size or table_bytes > size - header.section_offset:
        raise ParseError("ELF section table", b"", "outside of the file")
    raw = read(header.section_offset, table_bytes)
    if len(raw) != table_bytes or not raw:
        raise ParseError("ELF section table", raw, "missing or cut off")
    rows = list(layout.iter_unpack(raw))
    names = _section_names(read, size, rows, header)
    sections = tuple(ElfSection(name_at(names, row[0]), *row) for row in rows)
    return ElfFile(header=header, sections=sections, size=size)


def _section_names(read: Reader, size: int, rows: list[tuple[int, ...]], header: ElfHeader) -> bytes:
    if header.names_index >= len(rows):
        return b""
    row = rows[header.names_index]
    offset, length = row[4], row[5]
    if row[1] == SHT_NOBITS or offset > size or length > size - offset or length > TABLE_LIMIT:
        return b""
    return read(offset, length)


def name_at(table: bytes, offset: int) -> bytes:
    """The NUL-terminated name at `offset` of a string table; b"" when it lies outside or has no end in reach."""
    end = table.find(b"\0", offset, offset + NAME_LIMIT)
    return table[offset:end] if 0 <= offset <= end else b""


def section_bytes(elf: ElfFile, read: Reader, section: ElfSection, limit: int = TABLE_LIMIT) -> bytes:
    """The contents of a section; raises ParseError when it is cut off, lies outside or is larger than `limit`."""
    if section.type == SHT_NOBITS:
        return b""
    shown = section.name[:40]
    if section.offset > elf.size or section.size > elf.size - section.offset:
        raise ParseError("ELF section", shown, "outside of the file")
    if section.size > limit:
        raise ParseError("ELF section", shown, f"{section.size} bytes, more than {limit}")
    raw = read(section.offset, section.size)
    if len(raw) != section.size:
        raise ParseError("ELF section", shown, "cut off")
    return raw


def parse_symbols(elf: ElfFile, read: Reader) -> tuple[Symbol, ...]:
    """The symbol table without its first, empty entry; () without one. Raises ParseError when it is damaged."""
    tables = elf.of_type(SHT_SYMTAB)
    if not tables:
        return ()
    table = tables[0]
    if not 0 < table.link < len(elf.sections):
        raise ParseError("ELF symbol table", b"", "names no string table")
    names = section_bytes(elf, read, elf.sections[table.link])
    raw = section_bytes(elf, read, table)
    return tuple(_symbols(elf.header, raw, names))[1:]


def _symbols(header: ElfHeader, raw: bytes, names: bytes) -> Iterator[Symbol]:
    layout = header.symbol_struct
    for row in whole_rows(layout, raw):
        if header.bits == 64:
            name, info, _, section, value, _ = row
        else:
            name, value, _, info, _, section = row
        yield Symbol(name_at(names, name), name, info, section, value)
