"""Taint numbers, letters and text, against what kernels 4.18 to 7.2 print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.taint import (
    FLAGS,
    Tier,
    decode,
    letters,
    parse_letters,
    parse_tainted,
    parse_tainted_text,
)
from kmodmon.types.error import ParseError
from tests.kernel.render import render_tainted_text

KNOWN = st.integers(min_value=0, max_value=(1 << 20) - 1)


def test_table_when_read_is_every_upstream_bit_once() -> None:
    assert [flag.bit for flag in FLAGS] == list(range(20))
    assert "".join(flag.letter for flag in FLAGS) == "PFSRMBUDAWCIOELKXTNJ"
    assert len({flag.label for flag in FLAGS}) == len({flag.name for flag in FLAGS}) == 20
    assert {flag.label for flag in FLAGS} >= {"out_of_tree_module", "unsigned_module", "proprietary_module", "warning"}
    for flag in FLAGS:
        assert isinstance(flag.tier, Tier) and flag.defined
        assert all(sentence.endswith(".") for sentence in (flag.cause, flag.why, flag.advice)), flag.name
        assert flag.label == flag.label.lower() and flag.label.isidentifier()


@pytest.mark.parametrize(
    ("raw", "value"),
    [(b"0\n", 0), (b"12288\n", 12288), (b"18446744073709551615\n", (1 << 64) - 1), (b"1048575", 1048575)],
)
def test_parse_tainted_when_decimal_then_all_64_bits(raw: bytes, value: int) -> None:
    assert parse_tainted(raw) == value


@pytest.mark.parametrize(
    "raw", [b"", b"\n", b"-1\n", b"0x10\n", b"1 2\n", b"18446744073709551616\n", b"9" * 5000, b"\xff"]
)
def test_parse_tainted_when_not_a_number_then_refused(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_tainted(raw)


@given(st.binary(max_size=40))
def test_parse_tainted_when_any_bytes_then_value_or_parse_error(raw: bytes) -> None:
    try:
        value = parse_tainted(raw)
    except ParseError:
        return
    assert 0 <= value < 1 << 64


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_decode_when_any_value_then_no_bit_is_lost(value: int) -> None:
    flags = decode(value)
    assert sum(flag.value for flag in flags) == value
    assert [flag.bit for flag in flags] == sorted(flag.bit for flag in flags)
    assert parse_tainted(b"%d\n" % value) == value


def test_decode_when_bit_is_unknown_then_it_is_kept_by_number() -> None:
    (flag,) = decode(1 << 27)
    assert (flag.label, flag.letter, flag.defined) == ("bit_27", "?", False)


@given(KNOWN)
def test_letters_when_parsed_again_then_same_bits(value: int) -> None:
    assert parse_letters(letters(value)).value == value


def test_parse_letters_when_flags_module_of_6_1_then_its_five_flags() -> None:
    assert [flag.name for flag in parse_letters("COEKN\n").flags] == [
        "CRAP", "OOT_MODULE", "UNSIGNED_MODULE", "LIVEPATCH", "TEST",
    ]  # fmt: skip


def test_parse_letters_when_unknown_letter_then_kept_raw() -> None:
    found = parse_letters("OZE?Z\n")
    assert [flag.letter for flag in found.flags] == ["O", "E"]
    assert found.unknown == "Z?"


@given(st.text())
def test_parse_letters_when_any_text_then_every_letter_is_somewhere(text: str) -> None:
    found = parse_letters(text)
    assert {flag.letter for flag in found.flags} | set(found.unknown) == {char for char in text if not char.isspace()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tainted: G           OE       7.2.13+deb14-cloud-amd64 #1 PREEMPT(lazy)", "OE"),
        ("Tainted: G        W IOE     ", "WIOE"),
        ("G        W  OE", "WOE"),
        ("Tainted: P           OE      6.1.0-56-cloud-amd64 #1", "POE"),
        ("Tainted: [W]=WARN, [O]=OOT_MODULE, [E]=UNSIGNED_MODULE", "WOE"),
        ("[P]=PROPRIETARY_MODULE", "P"),
        ("Tainted: G           OE    --------- -  - 4.18.0-553.el8_10.x86_64 #1", "OE"),
        ("Tainted: G            E     -------  ---  5.14.0-503.el9.x86_64", "E"),
        ("CPU: 0 PID: 1 Comm: Tainted: PF Tainted: G        W          6.1.0-56", "W"),
        ("Not tainted 6.1.0-56-cloud-amd64 #1", ""),
        ("Not tainted", ""),
        ("", ""),
    ],
)
def test_parse_tainted_text_when_real_line_then_its_letters(text: str, expected: str) -> None:
    found = parse_tainted_text(text)
    assert "".join(flag.letter for flag in found.flags) == expected
    assert found.unknown == ""


def test_parse_tainted_text_when_names_are_unknown_then_letter_is_kept() -> None:
    found = parse_tainted_text("Tainted: [h]=SUPPORT_REMOVED, [O]=OOT_MODULE, [h]=OTHER")
    assert [flag.letter for flag in found.flags] == ["O"]
    assert found.unknown == "h"


def test_parse_tainted_text_when_name_and_letter_disagree_then_the_name_counts_if_it_is_known() -> None:
    found = parse_tainted_text("Tainted: [O]=A_NEW_NAME, [N]=UNSIGNED_MODULE")
    assert [flag.name for flag in found.flags] == ["OOT_MODULE", "UNSIGNED_MODULE"]


@given(KNOWN)
def test_tainted_text_when_rendered_then_parses_back(value: int) -> None:
    assert parse_tainted_text(render_tainted_text(value)).value == value


def test_render_tainted_text_when_warn_and_modules_then_as_6_8_prints_it() -> None:
    assert render_tainted_text(512 + 2048 + 4096 + 8192).rstrip() == "Tainted: G        W IOE"


@given(st.text())
def test_parse_tainted_text_when_any_text_then_a_value(text: str) -> None:
    assert parse_tainted_text(text).value < 1 << 20
