"""Examines one module file: modinfo, build-id, signature. Any content gives an answer, never an exception.

`loading.py` reads what the kernel's loader needs beyond that (symbols, checksums, exports).
"""

from dataclasses import dataclass, replace

from kmodmon.examiner.certificates import NO_TRUST, Trust
from kmodmon.examiner.image import Image, ImageLimits, open_image
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.examiner.verify import verify
from kmodmon.kernel.module_name import THIS_MODULE, name_of_file, parse_this_module
from kmodmon.kernel.note import build_id
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.modfile.elf import ElfFile, ElfSection, parse_elf, section_bytes
from kmodmon.modfile.modinfo import SECTION, SECTION_LIMIT, ModInfo, parse_modinfo
from kmodmon.subjects.module_file import ModuleFile, ParameterFacts, SignatureFacts, TreeOrigin
from kmodmon.types.error import KmodmonError, ParseError
from kmodmon.types.text import bounded, safe_text

_NOTE = b".note.gnu.build-id"
_FLAGS = ("intree", "staging", "livepatch", "test", "retpoline")
_NOTE_LIMIT = 4096
_THIS_MODULE_LIMIT = 1 << 16
# A file may hold megabytes of text
_TEXT = 512  # characters of one text
_ITEMS = 256  # of one list


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The descriptive sections of the ELF file; None: the section is missing."""

    name: str | None  # in .gnu.linkonce.this_module: the name that the kernel uses
    modinfo: ModInfo | None
    build_id: str | None  # hex


def examine_file(
    host: HostTree,
    path: str,
    *,
    trust: Trust = NO_TRUST,
    limits: ImageLimits | None = None,
    origin: TreeOrigin = TreeOrigin.OUTSIDE,
    name: str | None = None,
) -> ModuleFile:
    """Examine one file of the host; `name` None: the name in the file is used. What fails is in `problem`."""
    shown = safe_text(path.encode("utf-8", "surrogateescape"))
    file = ModuleFile(name=name or name_of_file(path) or shown, path=shown, origin=origin, trust=trust.digest)
    try:
        with open_image(host, path, limits or ImageLimits()) as image:
            return _examined(file, image, trust, asked=name is not None)
    except (KmodmonError, MemoryError) as error:
        return _failed(file, str(error) or type(error).__name__)


def _failed(file: ModuleFile, why: str) -> ModuleFile:
    text = bounded(safe_text(why.encode("utf-8", "surrogateescape")), _TEXT)
    return replace(
        file, signature=SignatureFacts(verdict=SignatureStatus.UNKNOWN, reason=text, errno="?"), problem=text
    )


def _examined(file: ModuleFile, image: Image, trust: Trust, *, asked: bool) -> ModuleFile:
    judged = verify(image, trust)
    file = replace(
        file,
        compression=image.compression,
        stamp=image.stamp,
        image_bytes=image.size,
        signature=judged.signature,
        sha256=judged.sha256,
    )
    try:
        contents = read_contents(image)
    except (ParseError, FileError) as error:
        return replace(file, problem=bounded(safe_text(str(error).encode()), _TEXT))
    return _described(file, contents, asked=asked)


def read_contents(image: Image) -> Contents:
    """Read the descriptive sections of a module file; raises ParseError and FileError."""
    elf = parse_elf(image.read, image.size)
    sections = {name: elf.find(name) for name in (SECTION, _NOTE, THIS_MODULE)}
    image.prefetch(
        [(section.offset, min(section.size, SECTION_LIMIT)) for section in sections.values() if section is not None]
    )
    info = _optional(elf, image, sections[SECTION], SECTION_LIMIT)
    note = _optional(elf, image, sections[_NOTE], _NOTE_LIMIT)
    this_module = _optional(elf, image, sections[THIS_MODULE], _THIS_MODULE_LIMIT)
    return Contents(
        name=None if this_module is None else parse_this_module(this_module, elf.header.bits),
        modinfo=None if info is None else parse_modinfo(info),
        build_id=None if note is None else build_id(note, elf.header.order),
    )


def _optional(elf: ElfFile, image: Image, section: ElfSection | None, limit: int) -> bytes | None:
    return None if section is None else section_bytes(elf, image.read, section, limit)


def _described(file: ModuleFile, contents: Contents, *, asked: bool) -> ModuleFile:
    info = contents.modinfo or ModInfo()
    own_name = contents.name or info.first("name")
    problem = None if contents.modinfo is not None else "no .modinfo section: this is no kernel module"
    return replace(
        file,
        name=file.name if asked or own_name is None else own_name,
        license=_short(info.license),
        version=_short(info.first("version")),
        srcversion=_short(info.first("srcversion")),
        vermagic=_short(info.vermagic),
        description=_short(info.first("description")),
        authors=_items(info.all("author")),
        depends=_items(info.depends),
        import_ns=_items(info.all("import_ns")),
        flags=tuple(key for key in _FLAGS if info.first(key) is not None),
        parameters=tuple(
            ParameterFacts(
                name=bounded(parameter.name, _TEXT),
                type=_short(parameter.type),
                description=_short(parameter.description),
            )
            for parameter in info.parameters[:_ITEMS]
        ),
        build_id=contents.build_id,
        problem=problem,
    )


def _short(text: str | None) -> str | None:
    return None if text is None else bounded(text, _TEXT)


def _items(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(bounded(text, _TEXT) for text in texts[:_ITEMS])
