"""Targets of kmodmon/modfile: what is inside module files and kernel images."""

from collections.abc import Callable

from kmodmon.modfile import (
    boot_image,
    builtin_certificates,
    depmod,
    der,
    distinguished_name,
    lz4,
    modversions,
    vermagic,
)
from kmodmon.modfile.elf import ElfFile, parse_elf, parse_header, parse_symbols, section_bytes
from kmodmon.modfile.ksymtab import kernel_exports, module_exports
from kmodmon.modfile.loader_elf import PROBES, LoaderRules, elf_objection, loader_name
from kmodmon.modfile.modinfo import parse_modinfo
from kmodmon.modfile.module_signature import check_trailer, is_signed, parse_trailer
from kmodmon.modfile.modversions import parse_modversions
from kmodmon.modfile.pkcs7 import objection, parse_signed_data
from kmodmon.modfile.x509 import parse_certificate, parse_certificates
from kmodmon.types.error import ParseError
from tests.fuzz.inputs import pieces, tried
from tests.module_files import reader


def elf_file(data: bytes) -> object:
    """Nothing that is read is larger than the file, and no section is read beyond it."""
    read = reader(data)
    tried(ParseError, parse_header, data)
    elf = parse_elf(read, len(data))
    for section in elf.sections:
        assert len(tried(ParseError, section_bytes, elf, read, section) or b"") <= len(data)
    return _tables(elf, read)


def _tables(elf: ElfFile, read: Callable[[int, int], bytes]) -> object:
    symbols = tried(ParseError, parse_symbols, elf, read) or ()
    versions = tried(ParseError, parse_modversions, elf, read)
    exports = tried(ParseError, module_exports, elf, read, symbols)
    return len(symbols), versions and len(versions.crcs), exports, tried(ParseError, kernel_exports, elf, read)


def loader(data: bytes) -> object:
    """What the loaders of kernels with and without each check say."""
    read = reader(data)
    said = []
    for probes in (frozenset[str](), frozenset(PROBES), *(frozenset({name}) for name in PROBES)):
        for bits, little in ((64, True), (32, False)):
            rules = LoaderRules(probes=probes, bits=bits, little_endian=little, machine=62, module_struct_bytes=1088)
            said.append(elf_objection(read, len(data), rules))
    return said, loader_name(None, data, 64), loader_name(None, data, 32)


def kernel_image(data: bytes) -> object:
    """Offsets lie inside of the image."""
    payload = tried(ParseError, boot_image.find_payload, data)
    found = boot_image.candidates(data)
    assert all(0 <= offset < len(data) for offset in found) and len(found) <= 16
    return boot_image.compression_of(data), payload, found


def certificate_lists(data: bytes) -> object:
    """Searching a part finds no more than searching the whole."""
    whole = builtin_certificates.find_lists(data, 0, last=True)
    assert len(builtin_certificates.find_lists(data, 4096, last=False)) <= len(whole)
    return len(whole)


def depmod_files(data: bytes) -> object:
    return depmod.parse_dep(data), depmod.parse_aliases(data), depmod.parse_symbol_owners(data)


def der_tree(data: bytes) -> object:
    """Every element lies inside of its parent; no element is read in more than one way without an error."""
    pending = [der.read_tlv(data, 0)]
    seen = 0
    while pending and seen < 2000:
        element = pending.pop()
        seen += 1
        inside = der.contents(data, element)
        assert inside in der.whole(data, element)
        for read in (der.oid, der.small_integer, der.text):
            tried(ParseError, read, data, element)
        pending += tried(ParseError, lambda parent: list(der.children(data, parent)), element) or []
    return seen


def names(data: bytes) -> object:
    parsers = (distinguished_name.common_name, distinguished_name.display_name, distinguished_name.attributes)
    return [tried(ParseError, parse, data) for parse in parsers]


def lz4_frame(data: bytes) -> object:
    return sum(map(len, lz4.blocks(data)))


def lz4_block(data: bytes) -> object:
    """A block expands to its limit at most."""
    out = lz4.decompress_block(data, 1 << 16)
    assert len(out) <= 1 << 16
    return len(out)


def module_info(data: bytes) -> object:
    info = parse_modinfo(data)
    return (
        info.license, info.vermagic, info.depends, info.parameters, info.gpl_compatible, info.intree,
        info.first("name"), info.all("import_ns"),
    )  # fmt: skip


def signature_trailer(data: bytes) -> object:
    """The signature and what it signs lie inside of the file."""
    trailer = tried(ParseError, parse_trailer, data, len(data))
    if trailer is not None:
        assert is_signed(data)
    if trailer is None or check_trailer(trailer) is not None:
        return trailer
    assert trailer.signed_bytes >= 0 and trailer.signed_bytes + trailer.signature_bytes <= len(data)
    return trailer


def signed_data(data: bytes) -> object:
    message = parse_signed_data(data)
    texts = [(info.signer, info.key_text, info.digest, info.algorithm) for info in message.signers]
    return objection(message), texts


def certificate(data: bytes) -> object:
    """The certificate is the start of the bytes; a list of certificates begins with the same one."""
    found = parse_certificates(data)
    first = parse_certificate(data)
    assert data.startswith(first.raw)
    assert found and found[0] == first
    return first.name, first.fingerprint, first.tbs_fingerprint


def version_tables(data: bytes) -> object:
    crcs, texts = pieces(data, 2)
    plain = [len(modversions.parse_basic(data, order, bits)) for order in "<>" for bits in (32, 64)]
    extended = tried(ParseError, modversions.parse_extended, crcs, texts, "<")
    return plain, extended and len(extended)


def version_magic(data: bytes) -> object:
    module, kernel = (part.decode("utf-8", "surrogateescape") for part in pieces(data, 2))
    same = [vermagic.same_magic(module, kernel, has_crcs=crcs) for crcs in (True, False)]
    return (
        same,
        len(vermagic.explain_difference(module, kernel)),
        len(vermagic.release(module)),
        len(vermagic.flags(module)),
    )
