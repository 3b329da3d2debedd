"""ELF files of four architectures, files that lie about themselves, and a second reader."""

import io
import struct
from dataclasses import replace

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.modfile.elf import (
    NAME_LIMIT,
    ElfFile,
    name_at,
    parse_elf,
    parse_header,
    parse_symbols,
    section_bytes,
)
from kmodmon.modfile.ksymtab import kernel_exports, module_exports
from kmodmon.modfile.modversions import parse_modversions
from kmodmon.types.error import ParseError
from tests.elf_maker import Ko, make
from tests.module_files import RECORDED, image, reader


def opened(raw: bytes) -> ElfFile:
    return parse_elf(reader(raw), len(raw))


@pytest.mark.parametrize("name", RECORDED)
def test_parse_elf_when_a_stock_module_then_all_is_as_pyelftools_reads_it(name: str) -> None:
    raw = image(name)
    ours, theirs = opened(raw), ELFFile(io.BytesIO(raw))
    assert ours.header.bits == theirs.elfclass
    assert ours.header.little_endian == theirs.little_endian
    assert ours.header.machine == struct.unpack_from(ours.header.order + "H", raw, 18)[0]
    seen = [(s.name.decode(), s.offset, s.size, s.flags, s.link, s.info) for s in ours.sections]
    assert seen == [
        (s.name, s["sh_offset"], s["sh_size"], s["sh_flags"], s["sh_link"], s["sh_info"])
        for s in theirs.iter_sections()
    ]
    symbols = [(s.name.decode(), s.value) for s in parse_symbols(ours, reader(raw))]
    table = theirs.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    assert symbols == [(s.name, s["st_value"]) for s in list(table.iter_symbols())[1:]]


@pytest.mark.parametrize(("bits", "order"), [(64, "<"), (64, ">"), (32, "<"), (32, ">")])
def test_parse_elf_when_any_class_and_order_then_the_same_contents(bits: int, order: str) -> None:
    raw = make(Ko(bits=bits, order=order, undefined=("printk", "kfree"), weak=("maybe",)))
    elf = opened(raw)
    assert (elf.header.bits, elf.header.order) == (bits, order)
    names = [symbol.name for symbol in parse_symbols(elf, reader(raw))]
    assert names == [b"printk", b"kfree", b"maybe"]
    assert [symbol.binding for symbol in parse_symbols(elf, reader(raw))] == [1, 1, 2]


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x7fEL", b"\x7fELF", b"MZ" + bytes(80), b"\x7fELF\x03\x01" + bytes(80), b"\x7fELF\x02\x01" + bytes(40)],
)
def test_parse_header_when_not_a_whole_header_then_parse_error(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_header(raw)


def with_numbers(raw: bytes, **numbers: int) -> bytes:
    """A 64-bit file with other numbers in its header."""
    places = {"table": (40, "<Q"), "entry": (58, "<H"), "count": (60, "<H"), "names": (62, "<H")}
    changed = bytearray(raw)
    for key, value in numbers.items():
        offset, form = places[key]
        struct.pack_into(form, changed, offset, value)
    return bytes(changed)


@pytest.mark.parametrize(
    "numbers", [{"table": 1 << 40}, {"table": (1 << 64) - 1}, {"entry": 63}, {"count": 65535}, {"count": 0}]
)
def test_parse_elf_when_the_section_table_is_impossible_then_parse_error(numbers: dict[str, int]) -> None:
    raw = with_numbers(make(Ko()), **numbers)
    with pytest.raises(ParseError):
        opened(raw)


def test_parse_elf_when_the_name_table_is_missing_then_sections_without_names() -> None:
    raw = with_numbers(make(Ko()), names=60000)
    assert {section.name for section in opened(raw).sections} == {b""}


def test_section_bytes_when_it_lies_outside_or_is_too_large_then_parse_error() -> None:
    raw = make(Ko())
    elf = opened(raw)
    modinfo = elf.find(b".modinfo")
    assert modinfo is not None
    assert section_bytes(elf, reader(raw), modinfo).endswith(b"name=demo\0")
    for wrong in (modinfo._replace(offset=len(raw) - 3), modinfo._replace(size=1 << 63)):
        with pytest.raises(ParseError):
            section_bytes(elf, reader(raw), wrong)
    with pytest.raises(ParseError, match="more than 4"):
        section_bytes(elf, reader(raw), modinfo, limit=4)
    with pytest.raises(ParseError, match="cut off"):
        section_bytes(elf, reader(raw[: modinfo.offset + 5]), modinfo)


def test_name_at_when_there_is_no_end_in_reach_then_empty() -> None:
    assert name_at(b"\0abc\0", 1) == b"abc"
    assert name_at(b"\0abc", 1) == b""
    assert name_at(b"\0abc\0", 99) == b""
    assert name_at(b"a" * NAME_LIMIT * 2 + b"\0", 0) == b""


def test_names_when_every_section_shares_one_long_name_then_reading_stays_bounded() -> None:
    # 20,000 headers that all name the same megabyte: each name costs NAME_LIMIT bytes at most
    header = make(Ko())[:64]
    names = b"\0" + b"x" * (1 << 20)
    count = 20000
    row = struct.pack("<IIQQQQIIQQ", 1, 1, 2, 0, 64, 0, 0, 0, 1, 0)
    last = struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, 64, len(names), 0, 0, 1, 0)
    raw = with_numbers(header + names + row * (count - 1) + last, table=64 + len(names), count=count, names=count - 1)
    asked = 0

    def counting(offset: int, length: int) -> bytes:
        nonlocal asked
        asked += length
        return raw[offset : offset + length]

    assert len(parse_elf(counting, len(raw)).sections) == count
    assert asked <= len(raw)


@given(st.binary(max_size=400))
def test_parse_header_when_any_bytes_then_a_value_or_parse_error(raw: bytes) -> None:
    for data in (raw, b"\x7fELF" + raw):
        try:
            parse_header(data)
        except ParseError:
            continue


EXPORTING = image("crc7-6.1-amd64.ko")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(EXPORTING) - 1), st.integers(0, 255)), max_size=30), st.integers(0, 6000))
def test_readers_when_a_module_is_damaged_then_a_value_or_parse_error(wounds: list[tuple[int, int]], end: int) -> None:
    raw = bytearray(EXPORTING)
    for place, value in wounds:
        raw[place] = value
    damaged = bytes(raw[:end]) if end % 2 else bytes(raw)
    read = reader(damaged)
    try:
        elf = parse_elf(read, len(damaged))
        parse_modversions(elf, read)
        module_exports(elf, read, parse_symbols(elf, read))
        kernel_exports(elf, read)
    except ParseError:
        return


def test_find_when_a_section_is_of_type_null_then_it_is_not_there() -> None:
    raw = make(Ko())
    elf = opened(raw)
    hidden = tuple(section._replace(type=0) for section in elf.sections)
    assert elf.find(b".modinfo") is not None
    assert replace(elf, sections=hidden).find(b".modinfo") is None
