"""/sys/module: attributes as kernels print them, name mapping, and ELF notes in both byte orders."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.sysmodule import (
    module_name,
    parse_build_id,
    parse_size,
    parse_version,
    sysfs_name,
)
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

BUILD_ID = bytes(range(1, 21))


def note(order: str, kind: int, name: bytes, desc: bytes) -> bytes:
    padded = name + bytes(-len(name) % 4) + desc + bytes(-len(desc) % 4)
    return struct.pack(order + "III", len(name), len(desc), kind) + padded


def test_parse_size_when_printed_by_the_kernel_then_read() -> None:
    assert (parse_size(b"16384\n"), parse_size(b"0\n")) == (16384, 0)


def test_parse_version_when_text_then_safe_and_bounded() -> None:
    assert parse_version(b"1.2.3-k\n") == "1.2.3-k"
    assert parse_version(b"\n") is None
    assert parse_version(b"1\x1b[31m\n") == "1\\x1b[31m"
    assert len(parse_version(b"v" * 5000) or "") == 256


@pytest.mark.parametrize(
    ("name", "directory"),
    [(b"dummy", b"dummy"), (b"../../../", b"..!..!..!"), (b"a b\n\xff", b"a b\n\xff"), (b"a!b", b"a!b")],
)
def test_sysfs_name_when_name_then_directory(name: bytes, directory: bytes) -> None:
    assert sysfs_name(safe_text(name)) == directory
    assert module_name(directory) == safe_text(directory)


@pytest.mark.parametrize("name", ["", ".", "..", "a\\x00b", "x" * 256])
def test_sysfs_name_when_no_directory_then_none(name: str) -> None:
    assert sysfs_name(name) is None


@given(st.binary(max_size=60))
def test_sysfs_name_when_any_name_then_one_path_element(raw: bytes) -> None:
    directory = sysfs_name(safe_text(raw))
    if directory is None:
        assert raw in (b"", b".", b"..") or b"\0" in raw
        return
    assert b"/" not in directory and directory not in (b".", b"..") and len(directory) == len(raw)


@pytest.mark.parametrize("order", ["<", ">"])
def test_parse_build_id_when_among_other_notes_then_its_hex(order: str) -> None:
    raw = note(order, 256, b"Linux\0", b"x") + note(order, 3, b"GNU\0", BUILD_ID)
    assert parse_build_id(raw) == BUILD_ID.hex()


def test_parse_build_id_when_only_other_notes_then_none() -> None:
    assert parse_build_id(note("<", 1, b"GNU\0", b"abcd")) is None
    assert parse_build_id(b"") is None


def test_parse_build_id_when_cut_then_refused() -> None:
    with pytest.raises(ParseError):
        parse_build_id(note("<", 3, b"GNU\0", BUILD_ID)[:-1])


@pytest.mark.parametrize("parse", [parse_size, parse_version, parse_build_id])
@given(raw=st.binary(max_size=80))
def test_parsers_when_any_bytes_then_value_or_parse_error(parse: Callable[[bytes], object], raw: bytes) -> None:
    try:
        parse(raw)
    except ParseError:
        return
