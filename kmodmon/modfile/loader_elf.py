"""What the kernel's module loader objects to in an ELF file, in its order, with the line it logs.

Written from `elf_validity_check()` and `setup_load_info()` of 6.1 and `elf_validity_cache_copy()` of 6.12 and 7.2
(kernel/module/main.c). Kernels differ in order and in what they look at; which checks one has is told by the messages
in its image (`PROBES`), not by its version. Every objection here is ENOEXEC.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmodmon.kernel.module_name import THIS_MODULE, parse_this_module
from kmodmon.modfile.elf import (
    ET_REL,
    HEADER_BYTES,
    MAGIC,
    NAME_LIMIT,
    SHF_ALLOC,
    SHT_NOBITS,
    SHT_NULL,
    SHT_STRTAB,
    SHT_SYMTAB,
    TABLE_LIMIT,
    ElfHeader,
    ElfSection,
    Reader,
    name_at,
    parse_header,
)
from kmodmon.modfile.modinfo import SECTION_LIMIT, parse_modinfo
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

_SHORT_HEADER_BYTES = 52
NAMELESS = "(missing .modinfo section or name field)"

# name of a rule: a message that only kernels with it have
PROBES: Mapping[str, bytes] = MappingProxyType(
    {
        "elf messages": b"Invalid ELF header magic: != %s",
        "staged checks": b"Invalid ELF section name table type: %u",
        "one modinfo": b"Only one .modinfo section must exist.",
        "struct module size": b"section size must match the kernel's built struct module size at run time",
        "symbol strings": b"symbol string table missing leading NUL",
        "extended versions": b"extended version crc+name presence does not match",
        "export flags": b"%s: no flags for exported symbols",
        "module namespaces": b"%s: module tries to import module namespace: %s",
        "blacklist message": b"Module %s is blacklisted",
    }
)
NEWEST = frozenset(PROBES)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderRules:
    """One kernel's loader. `known` are names of PROBES; None: the number is not known and not checked."""

    known: frozenset[str] = NEWEST
    bits: int = 64  # the loader reads every file as one of its own class and byte order
    little_endian: bool = True
    machine: int | None = None
    module_struct_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _File:
    read: Reader
    size: int
    rules: LoaderRules


@dataclass(frozen=True, slots=True)
class _Tables:
    """After the section table was found sound: sections, their names, the module's name for messages."""

    file: _File
    header: ElfHeader
    sections: tuple[ElfSection, ...]
    names: bytes


def elf_objection(read: Reader, size: int, rules: LoaderRules) -> str | None:
    """The line the kernel logs when it refuses this ELF file ("" for a silent refusal); None: it takes it.

    `size` is the file's without its signature. Raises ParseError when a table is too large to be looked at here.
    """
    file = _File(read, size, rules)
    found = _header_objection(file)
    if found is None:
        header = _header(file)
        sections = _sections(file, header)
        staged = "staged checks" in rules.known
        found = _staged(file, header, sections) if staged else _at_once(file, header, sections)
    if found is not None and "elf messages" not in rules.known:
        return "" if found.startswith(("Invalid", "ELF Spec")) else found
    return found


def _header(file: _File) -> ElfHeader:
    """The header as this kernel reads it, whatever class the file says it is."""
    raw = file.read(0, min(file.size, HEADER_BYTES))
    ident = MAGIC + bytes([2 if file.rules.bits == 64 else 1, 1 if file.rules.little_endian else 2])
    return parse_header(ident + raw[6:])


def _header_objection(file: _File) -> str | None:
    needed = HEADER_BYTES if file.rules.bits == 64 else _SHORT_HEADER_BYTES
    if file.size < needed:
        return f"Invalid ELF header len {file.size}"
    if file.read(0, 4) != MAGIC:
        return "Invalid ELF header magic: != \\x7fELF"
    header = _header(file)
    if header.type != ET_REL:
        return f"Invalid ELF header type: {header.type} != {ET_REL}"
    if file.rules.machine is not None and header.machine != file.rules.machine:
        return f"Invalid architecture in ELF header: {header.machine}"
    layout = header.section_struct
    if header.section_entry_size != layout.size:
        return "Invalid ELF section header size"
    table = header.section_count * layout.size
    if header.section_offset >= file.size or table > file.size - header.section_offset:
        return "Invalid ELF section header overflow"
    return None


def _sections(file: _File, header: ElfHeader) -> tuple[ElfSection, ...]:
    layout = header.section_struct
    raw = file.read(header.section_offset, header.section_count * layout.size)
    return tuple(ElfSection(b"", *row) for row in layout.iter_unpack(raw[: len(raw) // layout.size * layout.size]))


def _outside(file: _File, section: ElfSection) -> bool:
    return section.offset + section.size > min(file.size, (1 << 64) - 1)


def _first(objections: Iterator[str]) -> str | None:
    return next(objections, None)


def _names_index(header: ElfHeader) -> str | None:
    index, count = header.names_index, header.section_count
    if index == 0 or index >= count:
        return f"Invalid ELF section name index: {index} || e_shstrndx ({index}) >= e_shnum ({count})"
    return None


def _section_zero(sections: tuple[ElfSection, ...]) -> str | None:
    zero = sections[0]
    if zero.type != SHT_NULL or zero.size != 0 or zero.address != 0:
        return f"ELF Spec violation: section 0 type({zero.type})!=SH_NULL or non-zero len or addr"
    return None


def _names_table(file: _File, section: ElfSection) -> bytes | str:
    """The table, or the objection to it."""
    if section.size == 0:
        return "empty section name table"
    if section.size > TABLE_LIMIT:
        raise ParseError("ELF section names", b"", "too large to be looked at")
    names = file.read(section.offset, section.size)
    if not names.endswith(b"\0"):
        return "ELF Spec violation: section name table isn't null terminated"
    return names


def _at_once(file: _File, header: ElfHeader, sections: tuple[ElfSection, ...]) -> str | None:
    """6.1: `elf_validity_check()`, then `setup_load_info()`."""
    if wrong := _names_index(header):
        return wrong
    table = sections[header.names_index]
    if _outside(file, table):
        return f"Invalid ELF section hdr(type {table.type})"
    names = _names_table(file, table)
    if isinstance(names, str):
        return names
    if wrong := _section_zero(sections):
        return wrong
    if wrong := _first(_contents_at_once(file, sections, len(names))):
        return wrong
    return _setup(_Tables(file, header, _named(sections, names), names))


def _contents_at_once(file: _File, sections: tuple[ElfSection, ...], names: int) -> Iterator[str]:
    for index, section in enumerate(sections[1:], start=1):
        if section.type in {SHT_NULL, SHT_NOBITS}:
            continue
        if section.type == SHT_SYMTAB and not 0 < section.link < len(sections):
            link = section.link
            yield f"Invalid ELF sh_link!=SHN_UNDEF({link}) or (sh_link({link}) >= hdr->e_shnum({len(sections)})"
        if _outside(file, section):
            yield f"Invalid ELF section in module (section {index} type {section.type})"
        if section.flags & SHF_ALLOC and section.name_offset >= names:
            yield f"Invalid ELF section name in module (section {index} type {section.type})"


def _setup(tables: _Tables) -> str | None:
    allocated = {section.name for section in tables.sections[1:] if section.flags & SHF_ALLOC}
    name = _name(tables, require_alloc=True)
    if not any(section.type == SHT_SYMTAB for section in tables.sections[1:]):
        return f"{name}: module has no symbols (stripped?)"
    if THIS_MODULE not in allocated:
        return f"{name}: No module found in object"
    return None


def _staged(file: _File, header: ElfHeader, sections: tuple[ElfSection, ...]) -> str | None:
    """6.8 and later: one function for each table."""
    if not sections:
        return "Invalid ELF section header overflow"
    wrong = _section_zero(sections) or _first(_contents(file, sections)) or _names_index(header)
    if wrong:
        return wrong
    table = sections[header.names_index]
    if table.type != SHT_STRTAB:
        return f"Invalid ELF section name table type: {table.type}"
    names = _names_table(file, table)
    if isinstance(names, str):
        return names
    for index, section in enumerate(sections):
        if section.type != SHT_NULL and section.name_offset >= len(names):
            return f"Invalid ELF section name in module (section {index} type {section.type})"
    return _indexes(_Tables(file, header, _named(sections, names), names))


def _contents(file: _File, sections: tuple[ElfSection, ...]) -> Iterator[str]:
    for index, section in enumerate(sections[1:], start=1):
        if section.type not in {SHT_NULL, SHT_NOBITS} and _outside(file, section):
            yield f"Invalid ELF section in module (section {index} type {section.type})"


def _indexes(tables: _Tables) -> str | None:
    checks: tuple[Callable[[_Tables], str | None], ...] = (
        _modinfo_index, _this_module_index, _symbols_index, _strings_index, _versions_index, _symbol_strings,
    )  # fmt: skip
    return next((wrong for check in checks if (wrong := check(tables)) is not None), None)


def _modinfo_index(tables: _Tables) -> str | None:
    count = sum(section.name == b".modinfo" for section in tables.sections[1:])
    if count > 1 and "one modinfo" in tables.file.rules.known:
        return "Only one .modinfo section must exist."
    return None


def _this_module_index(tables: _Tables) -> str | None:
    found = [section for section in tables.sections[1:] if section.name == THIS_MODULE]
    name = _name(tables, require_alloc=False)
    if len(found) != 1:
        return f"module {name}: Exactly one .gnu.linkonce.this_module section must exist."
    if found[0].type == SHT_NOBITS:
        return f"module {name}: .gnu.linkonce.this_module section must have a size set"
    if not found[0].flags & SHF_ALLOC:
        return f"module {name}: .gnu.linkonce.this_module must occupy memory during process execution"
    wanted = tables.file.rules.module_struct_bytes
    if wanted is not None and found[0].size != wanted and "struct module size" in tables.file.rules.known:
        what = "section size must match the kernel's built struct module size at run time"
        return f"module {name}: .gnu.linkonce.this_module {what}"
    return None


def _symbols_index(tables: _Tables) -> str | None:
    count = sum(section.type == SHT_SYMTAB for section in tables.sections[1:])
    return None if count == 1 else f"{_name(tables, require_alloc=False)}: module has no symbols (stripped?)"


def _strings_index(tables: _Tables) -> str | None:
    link = next(section.link for section in tables.sections[1:] if section.type == SHT_SYMTAB)
    count = len(tables.sections)
    if not 0 < link < count:
        return f"Invalid ELF sh_link!=SHN_UNDEF({link}) or (sh_link({link}) >= hdr->e_shnum({count})"
    if tables.sections[link].type != SHT_STRTAB:
        return f"Invalid ELF symbol string table type: {tables.sections[link].type}"
    return None


def _versions_index(tables: _Tables) -> str | None:
    if "extended versions" not in tables.file.rules.known:
        return None
    crcs, names = (
        next((one for one in tables.sections[1:] if one.name == name and one.flags & SHF_ALLOC), None)
        for name in (b"__version_ext_crcs", b"__version_ext_names")
    )
    if (crcs is None) != (names is None):
        return "extended version crc+name presence does not match"
    if crcs is not None and names is not None:
        ends = tables.file.read(names.offset, min(names.size, TABLE_LIMIT)).count(b"\0")
        if ends < crcs.size // 4:
            return "more extended version crcs than names"
    return None


def _symbol_strings(tables: _Tables) -> str | None:
    if "symbol strings" not in tables.file.rules.known:
        return None
    symbols = next(section for section in tables.sections[1:] if section.type == SHT_SYMTAB)
    strings = tables.sections[symbols.link]
    if max(symbols.size, strings.size) > TABLE_LIMIT:
        raise ParseError("ELF symbols", b"", "too large to be looked at")
    text = tables.file.read(strings.offset, strings.size)
    if not text:
        return "empty symbol string table"
    if text[0] != 0:
        return "symbol string table missing leading NUL"
    if text[-1] != 0:
        return "symbol string table isn't NUL terminated"
    layout = tables.header.symbol_struct
    raw = tables.file.read(symbols.offset, symbols.size)
    for row in layout.iter_unpack(raw[: len(raw) // layout.size * layout.size]):
        if row[0] >= len(text):
            return "symbol name out of bounds in string table"
    return None


def _named(sections: tuple[ElfSection, ...], names: bytes) -> tuple[ElfSection, ...]:
    return tuple(one._replace(name=name_at(names, one.name_offset)) for one in sections)


def _name(tables: _Tables, *, require_alloc: bool) -> str:
    """The module's name as the loader knows it this early."""
    for section in tables.sections[1:]:
        if section.name == b".modinfo" and (section.flags & SHF_ALLOC or not require_alloc):
            raw = tables.file.read(section.offset, min(section.size, SECTION_LIMIT))
            name = parse_modinfo(raw).first("name")
            if name is not None:
                return name
    return NAMELESS


def loader_name(modinfo_name: str | None, this_module: bytes | None, bits: int) -> str:
    """The name in the loader's messages: modinfo's, else the one in struct module."""
    if modinfo_name is not None:
        return modinfo_name
    own = None if this_module is None else parse_this_module(this_module, bits)
    return own or safe_text((this_module or b"")[:NAME_LIMIT].partition(b"\0")[0])
