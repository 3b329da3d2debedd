"""Makes relocatable ELF files of any class and byte order, whole or wrong in one place, for tests of their readers."""

import struct
from dataclasses import dataclass, field, replace

from kmodmon.modfile import module_signature
from kmodmon.modfile.elf import ET_REL, SHF_ALLOC, SHT_STRTAB, SHT_SYMTAB

EM_386, EM_S390, EM_X86_64 = 3, 22, 62
SHT_PROGBITS = 1
THIS_MODULE_BYTES = 1280
VERMAGIC = "6.12.1-test SMP preempt mod_unload modversions "


@dataclass(frozen=True, kw_only=True)
class Part:
    """One section; `link` and `info` as numbers, `type` SHT_*."""

    name: str
    data: bytes = b""
    type: int = SHT_PROGBITS
    flags: int = SHF_ALLOC
    link: int = 0
    info: int = 0
    entry_size: int = 0


@dataclass(frozen=True, kw_only=True)
class Sym:
    """One symbol: `section` is a section name, or a number (0: undefined)."""

    name: str
    section: str | int = 0
    value: int = 0
    binding: int = 1


@dataclass(frozen=True, kw_only=True)
class Ko:
    """What a module file is made from; `modinfo` is a list because keys repeat."""

    name: str = "demo"
    modinfo: tuple[tuple[str, str], ...] = (("license", "GPL"), ("vermagic", VERMAGIC), ("name", "demo"))
    versions: dict[str, int] | None = None
    extended_versions: dict[str, int] | None = None
    undefined: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    symbols: tuple[Sym, ...] = ()
    bits: int = 64
    order: str = "<"
    machine: int = EM_X86_64
    this_module_bytes: int = THIS_MODULE_BYTES
    build_id: bytes = bytes(range(20))
    type: int = ET_REL
    without: frozenset[str] = field(default_factory=frozenset)


def strings(words: list[str]) -> tuple[bytes, dict[str, int]]:
    """A string table and where each word is in it."""
    table, at = b"\0", {"": 0}
    for word in words:
        if word not in at:
            at[word] = len(table)
            table += word.encode() + b"\0"
    return table, at


def make(ko: Ko) -> bytes:
    """The file."""
    parts = [part for part in _parts(ko) if part.name not in ko.without]
    symbols = [
        *(Sym(name=name) for name in ko.undefined),
        *(Sym(name=name, binding=2) for name in ko.weak),
        *ko.symbols,
    ]
    if ".symtab" not in ko.without:
        names, where = strings([symbol.name for symbol in symbols])
        numbers = {part.name: index + 1 for index, part in enumerate(parts)}
        table = _symbol_table(ko, symbols, where, numbers)
        parts.append(Part(name=".symtab", data=table, type=SHT_SYMTAB, flags=0, link=len(parts) + 2))
        parts.append(Part(name=".strtab", data=names, type=SHT_STRTAB, flags=0))
    return link(parts, ko)


def _parts(ko: Ko) -> list[Part]:
    order, width = ko.order, ko.bits // 8
    this = bytearray(ko.this_module_bytes)
    this[3 * width : 3 * width + len(ko.name)] = ko.name.encode()  # after enum state and the list
    note = struct.pack(ko.order + "III", 4, len(ko.build_id), 3) + b"GNU\0" + ko.build_id
    info = b"".join(f"{key}={value}".encode() + b"\0" for key, value in ko.modinfo)
    parts = [
        Part(name=".note.gnu.build-id", data=note, type=7),
        Part(name=".modinfo", data=info),
        Part(name=".gnu.linkonce.this_module", data=bytes(this), flags=SHF_ALLOC | 1),
    ]
    if ko.versions is not None:
        form = order + ("Q56s" if ko.bits == 64 else "I60s")
        table = b"".join(struct.pack(form, crc, name.encode()) for name, crc in ko.versions.items())
        parts.append(Part(name="__versions", data=table))
    if ko.extended_versions is not None:
        crcs = struct.pack(f"{order}{len(ko.extended_versions)}I", *ko.extended_versions.values())
        names = b"".join(name.encode() + b"\0" for name in ko.extended_versions)
        parts += [Part(name="__version_ext_crcs", data=crcs), Part(name="__version_ext_names", data=names)]
    return [*parts, *ko.parts]


def _symbol_table(ko: Ko, symbols: list[Sym], names: dict[str, int], numbers: dict[str, int]) -> bytes:
    table = bytes(24 if ko.bits == 64 else 16)
    for symbol in symbols:
        index = symbol.section if isinstance(symbol.section, int) else numbers[symbol.section]
        info = symbol.binding << 4
        if ko.bits == 64:
            table += struct.pack(ko.order + "IBBHQQ", names[symbol.name], info, 0, index, symbol.value, 0)
        else:
            table += struct.pack(ko.order + "IIIBBH", names[symbol.name], symbol.value, 0, info, 0, index)
    return table


def link(parts: list[Part], ko: Ko) -> bytes:
    """Put sections one after another, the section table last, the header first."""
    wide = ko.bits == 64
    header_bytes, entry = (64, 64) if wide else (52, 40)
    names, where = strings([part.name for part in parts] + [".shstrtab"])
    parts = [*parts, Part(name=".shstrtab", data=names, type=SHT_STRTAB, flags=0)]
    body = b""
    rows = [bytes(entry)]
    for part in parts:
        body += bytes(-len(body) % 8)
        numbers = (where[part.name], part.type, part.flags, 0, header_bytes + len(body), len(part.data), part.link,
                   part.info, 8, part.entry_size)  # fmt: skip
        rows.append(struct.pack(ko.order + ("IIQQQQIIQQ" if wide else "10I"), *numbers))
        body += part.data
    body += bytes(-len(body) % 8)
    table = header_bytes + len(body)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if ko.order == "<" else 2, 1]) + bytes(9)
    form = ko.order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    head = struct.pack(
        form, ko.type, ko.machine, 1, 0, 0, table, 0, header_bytes, 0, 0, entry, len(rows), len(rows) - 1
    )
    return ident + head + body + b"".join(rows)


def sign(elf: bytes, message: bytes, *, id_type: int = 2, length: int | None = None, algo: int = 0) -> bytes:
    """Append a signature block as scripts/sign-file does."""
    size = len(message) if length is None else length
    block = struct.pack(">BBBBB3sI", algo, 0, id_type, 0, 0, bytes(3), size)
    return elf + message + block + module_signature.MARKER


def other(ko: Ko, *modinfo: tuple[str, str]) -> Ko:
    """The same with these modinfo values instead of the ones of the same keys."""
    keys = {key for key, _ in modinfo}
    return replace(ko, modinfo=(*(pair for pair in ko.modinfo if pair[0] not in keys), *modinfo))
