"""The text tables of /lib/modules, modprobe.d, Module.symvers, EFI signature lists, kernel images."""

import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.modprobe_d import parse_modprobe_file
from kmodmon.modfile.boot_image import candidates, compression_of, find_payload
from kmodmon.modfile.builtin_certificates import OVERLAP, CertificateList, Role, find_lists
from kmodmon.modfile.depmod import (
    parse_aliases,
    parse_dep,
    parse_symbol_owners,
)
from kmodmon.modfile.efi_signature_list import SHA256, X509, X509_SHA256, parse_signature_lists
from kmodmon.modfile.ksymtab import Export
from kmodmon.modfile.symvers import Owned, parse_symvers
from kmodmon.types.error import ParseError
from tests.module_files import certificate

# Debian 6.1.0-56-amd64 after depmod, a few lines
DEP = b"""\
kernel/drivers/net/dummy.ko:
kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko
updates/dkms/usb-storage.ko.xz:
kernel/drivers/usb/storage/usb-storage.ko: kernel/drivers/scsi/scsi_mod.ko
garbage
"""


def test_parse_dep_when_recorded_then_paths_and_needs() -> None:
    table = parse_dep(DEP)
    assert table.paths["bridge"] == "kernel/net/bridge/bridge.ko"
    assert table.needs["bridge"] == ("kernel/net/802/stp.ko", "kernel/net/llc/llc.ko")
    assert table.paths["usb_storage"] == "updates/dkms/usb-storage.ko.xz"
    assert table.needs["dummy"] == ()
    assert table.skipped == 1


def test_tables_when_recorded_then_their_facts() -> None:
    aliases = b"# Aliases\nalias symbol:crc7_be crc7\nalias pci:v0000*sv* some-driver\nodd line\n"
    assert parse_aliases(aliases) == ((("symbol:crc7_be", "crc7"), ("pci:v0000*sv*", "some_driver")), 1)
    assert parse_symbol_owners(aliases) == {"crc7_be": "crc7"}


@given(st.binary(max_size=300))
def test_tables_when_any_bytes_then_a_value(raw: bytes) -> None:
    parse_dep(raw)
    parse_aliases(raw)
    parse_symvers(raw)
    parse_modprobe_file(raw)


def test_parse_modprobe_file_when_all_kinds_then_each_directive() -> None:
    raw = b"""# comment
blacklist usb-storage
install  cramfs /bin/true
options snd_hda_intel power_save=1 \\
    model=auto
alias net-pf-10 ipv6
install pcspkr /sbin/modprobe --ignore-install pcspkr; echo
nonsense here
"""
    found = parse_modprobe_file(raw)
    assert [(one.kind, one.name, one.line) for one in found] == [
        ("blacklist", "usb_storage", 2),
        ("install", "cramfs", 3),
        ("options", "snd_hda_intel", 4),
        ("alias", "net-pf-10", 6),
        ("install", "pcspkr", 7),
        ("nonsense", "here", 8),
    ]
    assert found[2].rest.split() == ["power_save=1", "model=auto"]
    assert [one.refuses for one in found] == [False, True, False, False, False, False]
    assert [one.known for one in found] == [True] * 5 + [False]


def test_parse_symvers_when_recorded_then_owner_and_namespace() -> None:
    table = parse_symvers(
        b"0x4c9d28b0\tphys_base\tvmlinux\tEXPORT_SYMBOL\t\n"
        b"0x669aff23\tcrypto_cipher_setkey\tdrivers/x/some-module\tEXPORT_SYMBOL_GPL\tCRYPTO_INTERNAL\n"
        b"0x00000001\told_style\tvmlinux\tEXPORT_SYMBOL\nbroken\n0xzz\ta\tb\tEXPORT_SYMBOL\t\n"
    )
    assert table.exports[b"phys_base"] == Owned(Export(b"phys_base", False, None, 0x4C9D28B0), None)
    gpl = table.exports[b"crypto_cipher_setkey"]
    assert gpl == Owned(Export(b"crypto_cipher_setkey", True, b"CRYPTO_INTERNAL", 0x669AFF23), "some_module")
    assert table.versions and table.skipped == 2
    assert not parse_symvers(b"0x00000000\tphys_base\tvmlinux\tEXPORT_SYMBOL\t\n").versions


def signature_list(kind: uuid.UUID, *entries: bytes, header: bytes = b"") -> bytes:
    size = 16 + len(entries[0]) if entries else 16
    whole = 28 + len(header) + size * len(entries)
    body = b"".join(bytes(16) + entry for entry in entries)
    return kind.bytes_le + struct.pack("<III", whole, len(header), size) + header + body


def test_parse_signature_lists_when_every_kind_then_each_in_its_place() -> None:
    raw = (
        signature_list(X509, b"certificate")
        + signature_list(SHA256, b"\x01" * 32, b"\x02" * 32, header=b"head")
        + signature_list(X509_SHA256, b"\x03" * 32 + bytes(16))
        + signature_list(uuid.UUID(int=7), b"what")
    )
    found = parse_signature_lists(raw)
    assert found.certificates == (b"certificate",)
    assert found.file_hashes == {"01" * 32, "02" * 32}
    assert found.tbs_hashes == {"03" * 32}
    assert found.unknown == 1


@pytest.mark.parametrize(
    "raw", [b"x", signature_list(X509, b"abc")[:-1], X509.bytes_le + struct.pack("<III", 28, 0, 3), bytes(28)]
)
def test_parse_signature_lists_when_sizes_lie_then_parse_error(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_signature_lists(raw)


@given(st.binary(max_size=200))
def test_parse_signature_lists_when_any_bytes_then_a_value_or_parse_error(raw: bytes) -> None:
    try:
        parse_signature_lists(raw)
    except ParseError:
        return


def test_find_payload_when_known_forms_then_where_it_is() -> None:
    # header numbers of Debian's vmlinuz-6.1.0-56-amd64
    head = bytearray(1024)
    head[0x1F1] = 39
    head[0x202:0x208] = b"HdrS\x0f\x02"
    struct.pack_into("<II", head, 0x248, 716, 8122480)
    found = find_payload(bytes(head))
    assert (found.offset, found.length, found.form) == (21196, 8122480, "bzImage")
    struct.pack_into("<H", head, 0x206, 0x0207)
    with pytest.raises(ParseError, match="too old"):
        find_payload(bytes(head))
    with pytest.raises(ParseError):
        find_payload(bytes(head[:0x210]))
    zboot = find_payload(b"MZ\0\0zimg" + struct.pack("<II", 4096, 99) + bytes(100))
    assert (zboot.offset, zboot.length, zboot.form) == (4096, 99, "EFI zboot")
    assert find_payload(b"\x1f\x8b rest").form == "plain"
    assert [compression_of(raw) for raw in (b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x7fELF", b"what")] == [
        "gzip", "xz", "none", None,
    ]  # fmt: skip
    assert candidates(b"..\xfd7zXZ\x00..\x28\xb5\x2f\xfd" + b"\x1f\x8b\x08" * 40)[:2] == (2, 10)


@given(st.binary(max_size=700))
def test_find_payload_when_any_bytes_then_a_value_or_parse_error(raw: bytes) -> None:
    for head in (raw, bytes(0x202) + b"HdrS" + raw, b"MZ\0\0zimg" + raw):
        try:
            find_payload(head)
        except ParseError:
            continue


RSA, EC = certificate("crc7-6.1-amd64.ko"), certificate("failover-7.2-amd64.ko.xz")


def kernel_with(certificates: bytes, words: bytes, *, before: int = 1000, fill: int = 4) -> bytes:
    return bytes(before) + certificates + bytes(fill) + words + b"\x55" * 64


@pytest.mark.parametrize("layout", ["<QQ", ">QQ", "<II", ">II"])
def test_find_lists_when_the_sizes_after_it_fit_then_trusted(layout: str) -> None:
    words = struct.pack(layout, len(RSA) + len(EC), len(RSA))
    (found,) = find_lists(kernel_with(RSA + EC, words), 5000, last=True)
    assert (found.offset, found.role, len(found.certificates)) == (6000, Role.TRUSTED, 2)
    (roomy,) = find_lists(kernel_with(RSA + EC, words, fill=4100), 0, last=True)
    assert roomy.role is Role.TRUSTED


def test_find_lists_when_only_its_own_size_follows_then_revoked() -> None:
    (found,) = find_lists(kernel_with(EC, struct.pack("<QQ", len(EC), 0)), 0, last=True)
    assert found.role is Role.REVOKED


def test_find_lists_when_no_size_follows_then_it_is_somebody_elses_certificate() -> None:
    assert find_lists(kernel_with(RSA, b"\x77" * 16), 0, last=True) == ()
    assert find_lists(bytes(1000) + RSA, 0, last=True) == ()


def test_find_lists_when_the_kernel_comes_in_windows_then_each_list_once() -> None:
    kernel = kernel_with(RSA, struct.pack("<QQ", len(RSA), len(RSA)), before=OVERLAP * 2 - 100) + bytes(OVERLAP * 2)
    step = OVERLAP
    found: list[CertificateList] = []
    for at in range(0, len(kernel) - OVERLAP, step):
        window = kernel[at : at + step + OVERLAP]
        found += find_lists(window, at, last=at + step + OVERLAP >= len(kernel))
    assert [one.offset for one in found] == [OVERLAP * 2 - 100]
