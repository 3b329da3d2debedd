"""Numeric settings, counters and switches."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.sysctl import (
    COUNTERS,
    HARDENING,
    parse_counter,
    parse_number,
    parse_switch,
    parse_words,
)
from kmodmon.types.error import ParseError


def test_tables_when_read_then_names_are_unique_and_files_are_named() -> None:
    settings = (*HARDENING, *COUNTERS)
    assert len({setting.name for setting in settings}) == len(settings)
    interfaces = {setting.name: setting.interface for setting in settings}
    assert interfaces["kptr_restrict"] == "/proc/sys/kernel/kptr_restrict"
    assert interfaces["kfence_sample_interval"] == "/sys/module/kfence/parameters/sample_interval"
    assert interfaces["oops_count"] == "/sys/kernel/oops_count"


def test_parse_number_when_printed_then_read() -> None:
    assert [parse_number(raw, "x") for raw in (b"0\n", b"-1\n", b"10000\n")] == [0, -1, 10000]
    assert parse_counter(b"7\n", "x") == 7


@pytest.mark.parametrize("raw", [b"", b"\n", b"off\n", b"1 2\n", b"0x1\n", b"--1\n"])
def test_parse_number_when_no_number_then_refused_by_name(raw: bytes) -> None:
    with pytest.raises(ParseError, match="/proc/sys/kernel/x"):
        parse_number(raw, "/proc/sys/kernel/x")


def test_parse_counter_when_negative_then_refused() -> None:
    with pytest.raises(ParseError):
        parse_counter(b"-1\n", "x")


def test_parse_switch_when_either_spelling_then_bool() -> None:
    assert [parse_switch(raw, "x") for raw in (b"1\n", b"Y\n", b"0\n", b"N\n")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("raw", "text"), [(b"/sbin/modprobe\n", "/sbin/modprobe"), (b"\n", ""), (b"on\n", "on"), (b"\x1b\n", "\\x1b")]
)
def test_parse_words_when_printed_then_safe_text(raw: bytes, text: str) -> None:
    assert parse_words(raw) == text


PARSERS: list[Callable[[bytes], object]] = [
    lambda raw: parse_number(raw, "x"),
    lambda raw: parse_counter(raw, "x"),
    lambda raw: parse_switch(raw, "x"),
    parse_words,
]


@pytest.mark.parametrize("parse", PARSERS)
@given(raw=st.binary(max_size=40))
def test_parsers_when_any_bytes_then_value_or_parse_error(parse: Callable[[bytes], object], raw: bytes) -> None:
    try:
        parse(raw)
    except ParseError:
        return
