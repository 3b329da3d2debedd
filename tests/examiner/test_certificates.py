"""Certificates from every place that may hold one: kernel image, build directory, firmware, shim, directories, DKMS."""

import base64
import bz2
import lzma
import struct
import uuid
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from backports import zstd

from kmodmon.examiner.boot import find_image
from kmodmon.examiner.certificates import KernelFacts, KnownCertificate, Trust, TrustRequest, gather_trust
from kmodmon.examiner.kernel_image import read_kernel_image
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.modfile.efi_signature_list import SHA256, X509, X509_SHA256
from kmodmon.modfile.x509 import parse_certificate
from kmodmon.subjects.module_file import Keyring
from kmodmon.types.codec import ShapeError, from_json, to_json
from tests.elf_maker import Ko, Part, link
from tests.modfile.test_lz4 import frame as lz4_frame
from tests.module_files import certificate

RSA, EC, OTHER = (certificate(f"crc7-6.1-{arch}.ko") for arch in ("amd64", "i386", "s390x"))
RELEASE = "6.12.1-test"
VERMAGIC = f"{RELEASE} SMP preempt mod_unload modversions "


def kernel_elf(trusted: Iterable[bytes] = (RSA,), revoked: bytes = b"") -> bytes:
    """A linked kernel: certificates as the build lays them out, two exports, a build-id."""
    certificates = b"".join(trusted)
    first = len(certificates) and len(parse_certificate(certificates).raw)
    initial = bytes(100) + certificates + bytes(-len(certificates) % 8)
    initial += struct.pack("<QQ", len(certificates), first) + b"\x55" * 300
    if revoked:
        initial += revoked + bytes(8) + struct.pack("<Q", len(revoked)) + b"\x77" * 64
    strings = b"\0one\0two\0NS\0"
    # addresses are all zero here: offsets are relative to their own place in the table
    table = struct.pack("<3i", 0, 1 - 4, 0) + struct.pack("<3i", 0, 5 - 16, 9 - 20)
    note = struct.pack("<III", 4, 20, 3) + b"GNU\0" + bytes(range(20))
    parts = [
        Part(name=".rodata", data=b"junk\0" + VERMAGIC.encode() + b"\0"),
        Part(name="__ksymtab", data=table),
        Part(name="__kflagstab", data=b"\x00\x01"),
        Part(name="__kcrctab", data=struct.pack("<II", 0x11, 0x22)),
        Part(name="__ksymtab_strings", data=strings),
        Part(name=".notes", data=note, type=7),
        Part(name=".init.data", data=initial),
    ]
    return link(parts, Ko(type=2))


def bzimage(payload: bytes) -> bytes:
    """An x86 boot image around a compressed kernel, with what the build puts after it."""
    head = bytearray(1024)
    head[0x1F1] = 1
    head[0x202:0x208] = b"HdrS\x0f\x02"
    struct.pack_into("<II", head, 0x248, 10, len(payload) + 4)
    return bytes(head) + bytes(10) + payload + b"size" + b"code after it"


KERNELS: dict[str, Callable[[bytes], bytes]] = {
    "xz": lambda raw: bzimage(lzma.compress(raw, check=lzma.CHECK_CRC32)),
    "zstd": lambda raw: bzimage(zstd.compress(raw)),
    "lzma": lambda raw: bzimage(lzma.compress(raw, format=lzma.FORMAT_ALONE)),
    "bzip2": lambda raw: bzimage(bz2.compress(raw)),
    "lz4": lambda raw: bzimage(lz4_frame(raw)),
    "gzip": lambda raw: bzimage(zlib.compress(raw, wbits=31)),
    "zboot": lambda raw: (
        b"MZ\0\0zimg" + struct.pack("<II", 64, len(packed := zlib.compress(raw, wbits=31))) + bytes(48) + packed
    ),
    "whole file": lambda raw: zlib.compress(raw, wbits=31),
    "plain": lambda raw: raw,
    "hidden": lambda raw: (
        b"\x00\x04code \xfd7zXZ\x00 its magic" + bytes(500) + lzma.compress(raw + bytes(1 << 20)) + b"rest"
    ),
}


@pytest.mark.parametrize("form", KERNELS)
def test_read_kernel_image_when_any_form_then_what_is_in_it(tmp_path: Path, form: str) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / f"boot/vmlinuz-{RELEASE}").write_bytes(KERNELS[form](kernel_elf((RSA, EC), OTHER)))
    host = HostTree(tmp_path)
    path = find_image(host, RELEASE)
    assert path is not None
    image = read_kernel_image(host, path, RELEASE, exports=True)
    assert [one.raw for one in image.trusted] == [RSA, EC]
    assert [one.raw for one in image.revoked] == [OTHER]
    assert image.vermagic == VERMAGIC
    assert image.build_id == bytes(range(20)).hex()
    assert image.exports is not None
    assert [(one.name, one.gpl_only, one.namespace, one.crc) for one in image.exports] == [
        (b"one", False, None, 0x11),
        (b"two", True, b"NS", 0x22),
    ]


@pytest.mark.parametrize(
    "raw",
    [b"", b"short", bytes(3000), bzimage(b"\xfd7zXZ\x00 broken"), bzimage(b"\x89LZO\x00\r\n\x1a\n lzo is not read")],
)
def test_read_kernel_image_when_it_is_none_then_no_certificates(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "image").write_bytes(raw)
    try:
        image = read_kernel_image(HostTree(tmp_path), "/image", RELEASE)
    except FileError:
        return
    assert (image.trusted, image.build_id, image.exports) == ((), None, None)


def signature_list(kind: uuid.UUID, entry: bytes) -> bytes:
    return kind.bytes_le + struct.pack("<III", 44 + len(entry), 0, 16 + len(entry)) + bytes(16) + entry


def host(root: Path) -> Path:
    """A host with a certificate in every place."""
    efivars = root / "sys/firmware/efi/efivars"
    efivars.mkdir(parents=True)
    attributes = struct.pack("<I", 7)
    image_security, shim = "d719b2cb-3d3a-4596-a3bc-dad00e67656f", "605dab50-e046-4300-abb6-3dd810dd8b23"
    (efivars / f"db-{image_security}").write_bytes(attributes + signature_list(X509, EC))
    (efivars / f"MokListRT-{shim}").write_bytes(attributes + signature_list(X509, OTHER))
    (efivars / f"MokListXRT-{shim}").write_bytes(attributes + signature_list(X509_SHA256, b"\x11" * 48))
    (efivars / f"dbx-{image_security}").write_bytes(attributes + signature_list(SHA256, b"\x22" * 32))
    build = root / f"lib/modules/{RELEASE}/build/certs"
    build.mkdir(parents=True)
    (build / "signing_key.x509").write_bytes(RSA)
    for name, raw in (("boot", b""), ("etc/mine", b""), ("etc/theirs", b""), ("var/lib/dkms", b"")):
        (root / name).mkdir(parents=True)
        assert raw == b""
    armour = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(RSA) + b"-----END CERTIFICATE-----\n"
    (root / "etc/mine/two.pem").write_bytes(b"a comment\n" + armour + armour.replace(b"\n", b"\r\n"))
    (root / "etc/mine/odd.der").write_bytes(b"not a certificate")
    (root / "etc/theirs/bad.der").write_bytes(EC)
    (root / "var/lib/dkms/mok.pub").write_bytes(OTHER)
    (root / f"boot/vmlinuz-{RELEASE}").write_bytes(KERNELS["xz"](kernel_elf((RSA,), EC)))
    return root


def gathered(root: Path, known: KernelFacts | None = None) -> Trust:
    request = TrustRequest(
        release=RELEASE, sysfs=str(root / "sys"), certificates=("/etc/mine",), revoked=("/etc/theirs",), kernel=known
    )
    return gather_trust(HostTree(root), request)


def places(held: Iterable[KnownCertificate]) -> list[tuple[Keyring, bytes]]:
    return [(one.keyring, one.certificate.raw) for one in held]


def test_gather_trust_when_every_place_has_one_then_all_of_them(tmp_path: Path) -> None:
    trust = gathered(host(tmp_path))
    assert places(trust.certificates) == [
        (Keyring.BUILTIN, RSA),
        (Keyring.BUILD, RSA),
        (Keyring.PLATFORM, EC),
        (Keyring.MACHINE, OTHER),
        (Keyring.CONFIGURED, RSA),
        (Keyring.CONFIGURED, RSA),
        (Keyring.LOCAL, OTHER),
    ]
    assert [one.raw for one in trust.revoked] == [EC, EC]
    assert trust.revoked_tbs == {"11" * 32}
    assert trust.revoked_files == {"22" * 32}
    assert trust.is_revoked(parse_certificate(EC)) and not trust.is_revoked(parse_certificate(RSA))
    assert trust.kernel is not None and trust.kernel.vermagic == VERMAGIC
    assert len(trust.problems) == 1 and "/etc/mine/odd.der" in trust.problems[0]


def test_gather_trust_when_shim_gives_its_table_then_it_counts_more_than_the_variable(tmp_path: Path) -> None:
    root = host(tmp_path)
    table = root / "sys/firmware/efi/mok-variables"
    table.mkdir()
    (table / "MokListRT").write_bytes(signature_list(X509, EC))
    assert (Keyring.MACHINE, EC) in places(gathered(root).certificates)


def test_gather_trust_when_nothing_is_there_then_it_says_what_is_missing(tmp_path: Path) -> None:
    trust = gathered(tmp_path)
    assert (trust.certificates, trust.kernel) == ((), None)
    assert trust.problems == (f"no image of kernel {RELEASE} in /boot or its module tree",)


def test_gather_trust_when_firmware_lies_then_it_is_a_problem_and_no_more(tmp_path: Path) -> None:
    root = host(tmp_path)
    for variable in (root / "sys/firmware/efi/efivars").iterdir():
        variable.write_bytes(b"\x07\0\0\0garbage")
    trust = gathered(root)
    assert {ring for ring, _ in places(trust.certificates)}.isdisjoint({Keyring.PLATFORM, Keyring.MACHINE})
    assert sum("EFI variable" in text for text in trust.problems) == 4


def test_gather_trust_when_the_kernel_is_known_then_it_is_not_read_again(tmp_path: Path) -> None:
    root = host(tmp_path)
    first = gathered(root)
    assert first.kernel is not None
    remembered = from_json(KernelFacts, to_json(first.kernel), "kernel")
    assert remembered == first.kernel
    image = root / f"boot/vmlinuz-{RELEASE}"
    image.chmod(0o644)
    status = image.stat()
    assert gathered(root, gathered(root).kernel).digest == first.digest
    image.write_bytes(KERNELS["xz"](kernel_elf((OTHER,))))
    assert image.stat().st_size != status.st_size
    again = gathered(root, remembered)
    assert (Keyring.BUILTIN, OTHER) in places(again.certificates)
    assert again.digest != first.digest


@pytest.mark.parametrize(
    "document", [{}, {"path": 1, "stamp": None}, {"path": "/b", "stamp": {"device": "x"}, "trusted": [], "revoked": []}]
)
def test_kernel_facts_when_the_json_is_odd_then_shape_error(document: dict[str, None]) -> None:
    with pytest.raises(ShapeError):
        from_json(KernelFacts, document, "kernel")
