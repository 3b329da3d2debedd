"""Reads from a module file what the kernel's loader would read: for preflight, not for everyday examination."""

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
    """Read one file; whatever is wrong with it is in the answer."""
    try:
        with open_image(host, path, limits or ImageLimits()) as image:
            return _facts(image, rules)
    except (KmodmonError, MemoryError) as error:
        return LoadingFacts(unreadable=safe_text(str(error).encode("utf-8", "surrogateescape")))


def read_exports(host: HostTree, path: str, limits: ImageLimits | None = None) -> dict[str, KnownSymbol]:
    """What a module file exports, with no owner yet; raises FileError and ParseError."""
    with open_image(host, path, limits or ImageLimits()) as image:
        elf = parse_elf(image.read, image.size)
        _prefetch(elf, image)
        return known_symbols(module_exports(elf, image.read, parse_symbols(elf, image.read)), None)


def known_symbols(exports: tuple[Export, ...], owner: str | None) -> dict[str, KnownSymbol]:
    """Exports by name, as texts."""
    return {
        safe_text(one.name): KnownSymbol(
            owner, one.gpl_only, None if one.namespace is None else safe_text(one.namespace), one.crc
        )
        for one in exports
    }


def loader_size(image: Image) -> int:
    """How much of the file the ELF checks see: the loader cuts a signature off as far as it understood it."""
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
    this = _optional(elf, image, elf.find(THIS_MODULE), _THIS_MODULE_LIMIT)
    versions = parse_modversions(elf, image.read)
    symbols = parse_symbols(elf, image.read)
    return LoadingFacts(
        name=None if this is None else parse_this_module(this, elf.header.bits),
        loader_name=loader_name(info.first("name"), this, elf.header.bits),
        vermagic=info.vermagic,
        license=info.license,
        gpl_compatible=info.gpl_compatible,
        import_ns=info.all("import_ns"),
        flags=frozenset(flag for flag in _FLAGS if info.first(flag) is not None),
        has_versions=versions.present,
        extended_versions=versions.extended,
        versions=MappingProxyType({safe_text(name): crc for name, crc in versions.crcs.items()}),
        undefined=tuple(_undefined(symbols)),
        common_symbols=any(one.section == SHN_COMMON and not one.name.startswith(_LTO) for one in symbols),
        exports=MappingProxyType(known_symbols(module_exports(elf, image.read, symbols), None)),
        write_exec=_write_exec(elf),
    )


def _undefined(symbols: tuple[Symbol, ...]) -> list[Undefined]:
    return [Undefined(safe_text(one.name), one.binding == STB_WEAK) for one in symbols if one.section == SHN_UNDEF]


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
    """All that will be read of a large compressed file, in one pass."""
    wanted = [SECTION, THIS_MODULE, b"__versions", b"__version_ext_crcs", b"__version_ext_names"]
    found = [
        one for one in elf.sections if one.name in wanted or one.name.startswith((b"__ksym", b"__kcrc", b"__kflag"))
    ]
    small = [(one.offset, one.size) for one in found if one.size <= TABLE_LIMIT]
    try:
        image.prefetch(small)
    except FileError:
        return  # then each is read, or refused, by itself
