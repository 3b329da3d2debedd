"""Reads what the kernel's loader reads in a module file (symbols, checksums, exports), for preflight."""

from types import MappingProxyType

from kmodmon.examiner.image import Image, ImageLimits, open_image
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.kernel.module_name import THIS_MODULE, parse_this_module
from kmodmon.modfile.elf import (
    SHF_EXECINSTR,
    SHF_WRITE,
    SHN_COMMON,
    SHN_UNDEF,
    STB_WEAK,
    TABLE_LIMIT,
    ElfFile,
    ElfSection,
    Symbol,
    parse_elf,
    parse_symbols,
    section_bytes,
)
from kmodmon.modfile.ksymtab import Export, module_exports
from kmodmon.modfile.loader_elf import LoaderRules, elf_objection, loader_name
from kmodmon.modfile.modinfo import SECTION, SECTION_LIMIT, ModInfo, parse_modinfo
from kmodmon.modfile.module_signature import MARKER, TAIL_BYTES, check_trailer, parse_trailer
from kmodmon.modfile.modversions import parse_modversions
from kmodmon.preflight.facts import KnownSymbol, LoadingFacts, Undefined
from kmodmon.types.error import KmodmonError, ParseError
from kmodmon.types.text import safe_text

_FLAGS = ("intree", "staging", "livepatch", "test")
_THIS_MODULE_LIMIT = 1 << 16
_LTO = b"__gnu_lto"


def read_loading_facts(
    host: HostTree, path: str, rules: LoaderRules, limits: ImageLimits | None = None
) -> LoadingFacts:
    """Read one file; raises nothing, `unreadable` and `elf_objection` say what is wrong."""
    try:
        with open_image(host, path, limits or ImageLimits()) as image:
            return _facts(image, rules)
    except (KmodmonError, MemoryError) as error:
        return LoadingFacts(unreadable=safe_text(str(error).encode("utf-8", "surrogateescape")))


def read_exports(host: HostTree, path: str, limits: ImageLimits | None = None) -> dict[str, KnownSymbol]:
    """Give the exports of a module file, without an owner; raises FileError and ParseError."""
    with open_image(host, path, limits or ImageLimits()) as image:
        elf = parse_elf(image.read, image.size)
        _prefetch(elf, image)
        return known_symbols(module_exports(elf, image.read, parse_symbols(elf, image.read)), None)


def known_symbols(exports: tuple[Export, ...], owner: str | None) -> dict[str, KnownSymbol]:
    """Give exports by name, names as safe texts."""
    return {
        safe_text(export.name): KnownSymbol(
            owner, export.gpl_only, None if export.namespace is None else safe_text(export.namespace), export.crc
        )
        for export in exports
    }


def loader_size(image: Image) -> int:
    """Give the length of the file that the ELF checks see: the loader cuts off a signature whose trailer is valid.

    Of an invalid trailer it cuts off the marker alone (module_sig_check() in kernel/module/signing.c).
    """
    try:
        trailer = parse_trailer(image.read(max(0, image.size - TAIL_BYTES), TAIL_BYTES), image.size)
    except ParseError:
        return max(0, image.size - len(MARKER))
    if trailer is None:
        return image.size
    return image.size - len(MARKER) if check_trailer(trailer) else trailer.signed_bytes


def _facts(image: Image, rules: LoaderRules) -> LoadingFacts:
    size = loader_size(image)
    objection = elf_objection(image.read, size, rules)
    if objection is not None:
        return LoadingFacts(elf_objection=objection)
    elf = parse_elf(image.read, image.size)
    _prefetch(elf, image)
    info = _modinfo(elf, image)
    this_module = _optional(elf, image, elf.find(THIS_MODULE), _THIS_MODULE_LIMIT)
    versions = parse_modversions(elf, image.read)
    symbols = parse_symbols(elf, image.read)
    return LoadingFacts(
        name=None if this_module is None else parse_this_module(this_module, elf.header.bits),
        loader_name=loader_name(info.first("name"), this_module, elf.header.bits),
        vermagic=info.vermagic,
        license=info.license,
        gpl_compatible=info.gpl_compatible,
        import_ns=info.all("import_ns"),
        flags=frozenset(flag for flag in _FLAGS if info.first(flag) is not None),
        has_versions=versions.present,
        extended_versions=versions.extended,
        versions=MappingProxyType({safe_text(name): crc for name, crc in versions.crcs.items()}),
        undefined=tuple(_undefined(symbols)),
        common_symbols=any(symbol.section == SHN_COMMON and not symbol.name.startswith(_LTO) for symbol in symbols),
        exports=MappingProxyType(known_symbols(module_exports(elf, image.read, symbols), None)),
        write_exec=_write_exec(elf),
    )


def _undefined(symbols: tuple[Symbol, ...]) -> list[Undefined]:
    return [
        Undefined(safe_text(symbol.name), symbol.binding == STB_WEAK)
        for symbol in symbols
        if symbol.section == SHN_UNDEF
    ]


def _write_exec(elf: ElfFile) -> tuple[int, str] | None:
    both = SHF_WRITE | SHF_EXECINSTR
    for index, section in enumerate(elf.sections):
        if section.flags & both == both:
            return index, safe_text(section.name)
    return None


def _modinfo(elf: ElfFile, image: Image) -> ModInfo:
    raw = _optional(elf, image, elf.find(SECTION), SECTION_LIMIT)
    return ModInfo() if raw is None else parse_modinfo(raw)


def _optional(elf: ElfFile, image: Image, section: ElfSection | None, limit: int) -> bytes | None:
    return None if section is None else section_bytes(elf, image.read, section, limit)


def _prefetch(elf: ElfFile, image: Image) -> None:
    """Load everything that will be read of a large compressed file in one pass."""
    wanted = [SECTION, THIS_MODULE, b"__versions", b"__version_ext_crcs", b"__version_ext_names"]
    sections = [
        section
        for section in elf.sections
        if section.name in wanted or section.name.startswith((b"__ksym", b"__kcrc", b"__kflag"))
    ]
    ranges = [(section.offset, section.size) for section in sections if section.size <= TABLE_LIMIT]
    try:
        image.prefetch(ranges)
    except FileError:
        return  # each section is then read, or refused, on its own
