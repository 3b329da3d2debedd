"""The lockdown file and the list of LSMs, as 5.10 to 7.2 print them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.lockdown import parse_lockdown, parse_lsm
from kmodmon.types.error import ParseError


@pytest.mark.parametrize(
    ("raw", "mode", "integrity", "confidentiality"),
    [
        (b"[none] integrity confidentiality\n", "none", False, False),
        (b"none [integrity] confidentiality\n", "integrity", True, False),
        (b"none integrity [confidentiality]\n", "confidentiality", True, True),
    ],
)
def test_parse_lockdown_when_recorded_then_mode_and_what_it_covers(
    raw: bytes, mode: str, integrity: bool, confidentiality: bool
) -> None:
    found = parse_lockdown(raw)
    assert (found.mode, found.available) == (mode, ("none", "integrity", "confidentiality"))
    assert found.is_at_least("integrity") is integrity
    assert found.is_at_least("confidentiality") is confidentiality


def test_parse_lockdown_when_a_new_level_then_kept() -> None:
    found = parse_lockdown(b"none integrity confidentiality [total]\n")
    assert found.mode == "total"
    assert found.is_at_least("confidentiality")
    assert not found.is_at_least("absolute")


@pytest.mark.parametrize("raw", [b"", b"\n", b"none integrity\n", b"[none] [integrity]\n", b"[]\n", b"\xff [none]\n"])
def test_parse_lockdown_when_not_one_active_word_then_refused(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_lockdown(raw)


@given(st.binary() | st.text("[]none integrity\n").map(str.encode))
def test_parse_lockdown_when_any_bytes_then_value_or_parse_error(raw: bytes) -> None:
    try:
        found = parse_lockdown(raw)
    except ParseError:
        return
    assert found.mode in found.available


def test_parse_lsm_when_recorded_then_names_in_order() -> None:
    assert parse_lsm(b"lockdown,capability,landlock,yama,apparmor") == (
        "lockdown", "capability", "landlock", "yama", "apparmor",
    )  # fmt: skip
    assert parse_lsm(b"") == ()


@given(st.binary())
def test_parse_lsm_when_any_bytes_then_names_or_parse_error(raw: bytes) -> None:
    try:
        names = parse_lsm(raw)
    except ParseError:
        return
    assert ",".join(names).encode() == raw.strip()
