"""The objections of the kernel's module loader to an ELF file, in the loader's order, with the line it logs.

Interface: kernel/module/main.c; written from `elf_validity_check()` and `setup_load_info()` of 6.1 and
`elf_validity_cache_copy()` of 6.12 and 7.2. Every objection here is ENOEXEC. Kernels differ in order and in the checks
they make. The messages in a kernel's image (`PROBES`) show which checks it has; its version does not, because
distributions backport. Where the checks come from:

- "elf messages": Linux kernel commit 7fd982f394c4 ("module: change to print useful messages from
  elf_validity_check()") (in v5.16); the checks themselves are ec2a29593c83 ("module: harden ELF info handling").
- "staged checks", "one modinfo": 6.1 does not have them, 6.8 has.
- "struct module size": 46752820f9ab ("module: add sanity check for ELF module section"); 6.1 does not have it, 6.8 has.
- one function for each table: 90f8f312db72 ("module: Factor out elf_validity_ehdr") and its series, of which
  d979e3dffa93 ("module: Additional validation in elf_validity_cache_strtab") is "symbol strings"; 6.12 does not have
  them, 7.2 has.
- "extended versions": 54ac1ac8edeb ("modules: Support extended MODVERSIONS info") (in v6.14).
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
    find_allocated,
    name_at,
    parse_header,
    whole_rows,
)
from kmodmon.modfile.modinfo import SECTION_LIMIT, parse_modinfo
from kmodmon.modfile.modversions import CRCS, NAMES
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

_SHORT_HEADER_BYTES = 52
NAMELESS = "(missing .modinfo section or name field)"

# name of a rule -> a message that is only in images of kernels with this rule
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
    """The loader of one kernel."""

    probes: frozenset[str] = NEWEST  # names of PROBES whose message is in the kernel's image
    bits: int = 64  # the loader reads every file as one of its own class and byte order
    little_endian: bool = True
    machine: int | None = None  # EM_*; None: unknown, and not checked
    module_struct_bytes: int | None = None  # sizeof(struct module); None: unknown, and not checked


@dataclass(frozen=True, slots=True)
class _File:
    read: Reader
    size: int
    rules: LoaderRules


@dataclass(frozen=True, slots=True)
class _Tables:
    """The file once its section table is known to be sound."""

    file: _File
    header: ElfHeader
    sections: tuple[ElfSection, ...]
    names: bytes  # the section name table


def elf_objection(read: Reader, size: int, rules: LoaderRules) -> str | None:
    """Return the line that the kernel logs when it refuses this ELF file ("" if it logs none); None: it accepts it.

    `size` is the size of the file without its signature. Raises ParseError when a table is too large to be read here.
    """
    file = _File(read, size, rules)
    objection = _header_objection(file)
    if objection is None:
        header = _header(file)
        sections = _sections(file, header)
        staged = "staged checks" in rules.probes
        objection = _staged(file, header, sections) if staged else _at_once(file, header, sections)
    if objection is not None and "elf messages" not in rules.probes:
        return "" if objection.startswith(("Invalid", "ELF Spec")) else objection
    return objection


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
    return tuple(ElfSection(b"", *row) for row in whole_rows(layout, raw))


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
    """Return the table, or the objection to it."""
    if section.size == 0:
        return "empty section name table"
    if section.size > TABLE_LIMIT:
        raise ParseError("ELF section names", b"", "too large to be looked at")
    names = file.read(section.offset, section.size)
    if not names.endswith(b"\0"):
        return "ELF Spec violation: section name table isn't null terminated"
    return names


def _at_once(file: _File, header: ElfHeader, sections: tuple[ElfSection, ...]) -> str | None:
    """As 6.1: `elf_validity_check()`, then `setup_load_info()`."""
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
    """As 6.8 and later: `elf_validity_cache_copy()`."""
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
    if count > 1 and "one modinfo" in tables.file.rules.probes:
        return "Only one .modinfo section must exist."
    return None


def _this_module_index(tables: _Tables) -> str | None:
    matches = [section for section in tables.sections[1:] if section.name == THIS_MODULE]
    name = _name(tables, require_alloc=False)
    if len(matches) != 1:
        return f"module {name}: Exactly one .gnu.linkonce.this_module section must exist."
    if matches[0].type == SHT_NOBITS:
        return f"module {name}: .gnu.linkonce.this_module section must have a size set"
    if not matches[0].flags & SHF_ALLOC:
        return f"module {name}: .gnu.linkonce.this_module must occupy memory during process execution"
    wanted = tables.file.rules.module_struct_bytes
    if wanted is not None and matches[0].size != wanted and "struct module size" in tables.file.rules.probes:
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
    if "extended versions" not in tables.file.rules.probes:
        return None
    crcs, names = (find_allocated(tables.sections, name) for name in (CRCS, NAMES))
    if (crcs is None) != (names is None):
        return "extended version crc+name presence does not match"
    if crcs is not None and names is not None:
        ends = tables.file.read(names.offset, min(names.size, TABLE_LIMIT)).count(b"\0")
        if ends < crcs.size // 4:
            return "more extended version crcs than names"
    return None


def _symbol_strings(tables: _Tables) -> str | None:
    if "symbol strings" not in tables.file.rules.probes:
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
    for row in whole_rows(layout, raw):
        if row[0] >= len(text):
            return "symbol name out of bounds in string table"
    return None


def _named(sections: tuple[ElfSection, ...], names: bytes) -> tuple[ElfSection, ...]:
    return tuple(section._replace(name=name_at(names, section.name_offset)) for section in sections)


def _name(tables: _Tables, *, require_alloc: bool) -> str:
    """The module's name in the loader's messages before it has read struct module."""
    for section in tables.sections[1:]:
        if section.name == b".modinfo" and (section.flags & SHF_ALLOC or not require_alloc):
            raw = tables.file.read(section.offset, min(section.size, SECTION_LIMIT))
            name = parse_modinfo(raw).first("name")
            if name is not None:
                return name
    return NAMELESS


def loader_name(modinfo_name: str | None, this_module: bytes | None, bits: int) -> str:
    """The name in the loader's later messages: modinfo's, else the one in struct module."""
    if modinfo_name is not None:
        return modinfo_name
    own = None if this_module is None else parse_this_module(this_module, bits)
    return own or safe_text((this_module or b"")[:NAME_LIMIT].partition(b"\0")[0])
