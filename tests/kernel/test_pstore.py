"""Names, heads and parts of pstore's records."""

import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.pstore import MAX_TEXT, RecordName, assemble, parse_name, parse_part
from kmodmon.types.error import ParseError

EFI_TIME = 1_763_903_956


def efi(part: int, count: int = 1, seconds: int = EFI_TIME) -> bytes:
    return b"dmesg-efi_pstore-%d" % ((seconds * 100 + part) * 1000 + count)


def deflated(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"dmesg-ramoops-0", RecordName(kind="dmesg", backend="ramoops", id=0)),
        (b"console-ramoops-0", RecordName(kind="console", backend="ramoops", id=0)),
        (b"pmsg-ramoops-0", RecordName(kind="pmsg", backend="ramoops", id=0)),
        (b"dmesg-erst-7579024510287282177", RecordName(kind="dmesg", backend="erst", id=7579024510287282177)),
        (b"dmesg-nvram-1.enc.z".replace(b"1", b"12"), RecordName(kind="dmesg", backend="nvram", id=12, packed=True)),
        (b"powerpc-ofw-nvram-3", RecordName(kind="powerpc-ofw", backend="nvram", id=3)),
    ],
)
def test_parse_name_when_of_a_kernel_then_its_parts_are_known(name: bytes, expected: RecordName) -> None:
    assert parse_name(name) == expected


def test_parse_name_when_of_efi_then_the_id_tells_the_time() -> None:
    assert parse_name(efi(3)).time_usec == EFI_TIME * 1_000_000
    assert parse_name(b"dmesg-efi-%d" % ((EFI_TIME * 100 + 1) * 1000 + 2)).time_usec == EFI_TIME * 1_000_000
    assert parse_name(b"dmesg-ramoops-%d" % (EFI_TIME * 100_000)).time_usec is None


@pytest.mark.parametrize(
    "name", [b"", b"dmesg.txt", b"dmesg-", b"dmesg-efi-", b"README", b"dmesg-efi-1x", b"..", b"a-b-1/x"]
)
def test_parse_name_when_of_something_else_then_it_raises(name: bytes) -> None:
    with pytest.raises(ParseError):
        parse_name(name)


@given(st.binary(max_size=80))
def test_parse_name_when_given_any_bytes_then_it_gives_a_name_or_raises(name: bytes) -> None:
    with contextlib.suppress(ParseError):
        assert parse_name(name).id >= 0


@given(st.binary(max_size=300), st.booleans())
def test_parse_part_when_given_any_bytes_then_it_is_a_part(data: bytes, packed: bool) -> None:
    part = parse_part(RecordName(kind="dmesg", backend="ramoops", id=0, packed=packed), data)
    assert part.text is None or len(part.text) <= max(len(data), MAX_TEXT)


def test_parse_part_when_it_has_a_head_then_the_reason_is_known() -> None:
    part = parse_part(parse_name(b"dmesg-ramoops-1"), b"Panic#2 Part1\n<0>[    9.000000] Kernel panic\n", 7)
    assert (part.reason, part.count, part.number, part.time_usec) == ("Panic", 2, 1, 7)
    assert part.text == b"<0>[    9.000000] Kernel panic\n"


def test_parse_part_when_the_kernel_left_it_compressed_then_it_is_inflated() -> None:
    text = b"Oops#1 Part1\n" + b"<6>[    1.000000] same\n" * 100
    part = parse_part(parse_name(b"dmesg-efi-1.enc.z"), deflated(text))
    assert (part.reason, part.text) == ("Oops", text[13:])


def test_parse_part_when_compressed_in_another_way_then_it_is_no_text() -> None:
    assert parse_part(parse_name(b"dmesg-efi-1.enc.z"), b"\x04\x22\x4d\x18lz4").text is None


def test_parse_part_when_it_inflates_without_end_then_it_is_no_text() -> None:
    assert parse_part(parse_name(b"dmesg-efi-1.enc.z"), deflated(b"\0" * (MAX_TEXT + 1))).text is None


def test_assemble_when_a_dump_has_parts_then_the_oldest_text_comes_first() -> None:
    found = [
        parse_part(parse_name(efi(number)), b"Panic#1 Part%d\ntext %d\n" % (number, number)) for number in (1, 3, 2)
    ]
    (dump,) = assemble(found)
    assert (dump.text, dump.reason, dump.missing) == (b"text 3\ntext 2\ntext 1\n", "Panic", 0)
    assert dump.time_usec == EFI_TIME * 1_000_000


def test_assemble_when_parts_are_missing_then_they_are_counted() -> None:
    found = [parse_part(parse_name(efi(number)), b"Panic#1 Part%d\nt\n" % number) for number in (1, 4)]
    (dump,) = assemble(found)
    assert dump.missing == 2


def test_assemble_when_one_boot_dumped_twice_then_there_are_two_dumps() -> None:
    found = [
        parse_part(parse_name(efi(part, count)), b"%b#%d Part%d\n%b\n" % (reason, count, part, reason))
        for count, reason in ((1, b"Oops"), (2, b"Panic"))
        for part in (1, 2)
    ]
    assert [dump.reason for dump in assemble(found)] == ["Oops", "Panic"]


def test_assemble_when_two_boots_died_alike_then_there_are_two_dumps() -> None:
    found = [
        parse_part(parse_name(efi(part, seconds=seconds)), b"Panic#1 Part%d\n%d\n" % (part, seconds))
        for seconds in (EFI_TIME, EFI_TIME + 500)
        for part in (1, 2)
    ]
    dumps = assemble(found)
    assert [dump.time_usec for dump in dumps] == [EFI_TIME * 1_000_000, (EFI_TIME + 500) * 1_000_000]
    assert all(dump.missing == 0 for dump in dumps)


def test_assemble_when_records_have_no_head_then_each_is_by_itself() -> None:
    found = [parse_part(parse_name(b"console-ramoops-%d" % at), b"[    1.000000] text") for at in range(2)]
    assert [dump.text for dump in assemble(found)] == [b"[    1.000000] text\n"] * 2
