"""Parameter values as 4.18 to 7.2 print them, and names that are secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.parameter import (
    REDACTED,
    SECRET_PATTERNS,
    ParameterKind,
    ParameterValue,
    is_secret,
    parse_parameter,
    redact,
)


@pytest.mark.parametrize(
    ("raw", "kind", "text", "number"),
    [
        (b"5\n", "number", "5", 5),
        (b"-1\n", "number", "-1", -1),
        (b"0\n", "number", "0", 0),
        (b"18446744073709551615\n", "number", "18446744073709551615", (1 << 64) - 1),
        (b"99999999999999999999\n", "text", "99999999999999999999", None),
        (b"0x00beef\n", "number", "0x00beef", 0xBEEF),
        (b"0x000000\n", "number", "0x000000", 0),
        (b"0755\n", "text", "0755", None),
        (b"Y\n", "boolean", "Y", 1),
        (b"N\n", "boolean", "N", 0),
        (b"Y,N\n", "array", "Y,N", None),
        (b"1,2,3\n", "array", "1,2,3", None),
        (b"eth0,eth1\n", "array", "eth0,eth1", None),
        (b"", "empty", "", None),
        (b"\n", "empty", "", None),
        (b"(null)\n", "empty", "(null)", None),
        (b"performance\n", "text", "performance", None),
        (b"Hello, world\n", "text", "Hello, world", None),
        (b"normal", "text", "normal", None),
        (b"one\ntwo\n", "text", "one\\x0atwo", None),
        ("größe\n".encode(), "text", "größe", None),
        (b"\xff\xfe\n", "binary", "\\xff\\xfe", None),
        (b"a\x00b\n", "binary", "a\\x00b", None),
        (b"\x1b[31m\n", "binary", "\\x1b[31m", None),
        (b"nan\n", "text", "nan", None),
        (b"1e5\n", "text", "1e5", None),
        ("٣\n".encode(), "text", "٣", None),
    ],
)
def test_parse_parameter_when_printed_then_kind_text_and_number(
    raw: bytes, kind: str, text: str, number: int | None
) -> None:
    assert parse_parameter(raw) == ParameterValue(kind=ParameterKind(kind), text=text, number=number)


def test_parse_parameter_when_longer_than_the_limit_then_cut_and_a_later_change_shows() -> None:
    first, second = (parse_parameter(b"x" * 4000 + end, limit=16) for end in (b"a", b"b"))
    assert first.text == second.text == "x" * 15 + "…"
    assert first.checksum != second.checksum


@given(st.binary(max_size=300), st.integers(1, 300))
def test_parse_parameter_when_any_bytes_then_a_bounded_printable_value(raw: bytes, limit: int) -> None:
    value = parse_parameter(raw, limit)
    assert len(value.text) <= limit
    assert value.text.isprintable()
    assert (value.number is not None) == (value.kind in (ParameterKind.NUMBER, ParameterKind.BOOLEAN))
    value.text.encode("utf-8")


@given(st.integers(-(1 << 63), (1 << 64) - 1))
def test_parse_parameter_when_any_kernel_integer_then_its_number(number: int) -> None:
    assert parse_parameter(b"%d\n" % number).number == number


@pytest.mark.parametrize(
    "name",
    ["password", "Password", "passwd", "dbpassword", "api_key", "apiKey", "api-key", "key", "wep_key1", "KEY", "keys",
     "hostkey", "authkey", "secret", "client_secret_2", "token", "auth_token", "accesstoken", "psk", "wpa_psk",
     "passphrase", "credentials", "pwd", "APIKEY"],
)  # fmt: skip
def test_is_secret_when_a_word_is_secret_then_true(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["keyboard", "monkey", "hotkey", "turkey", "debug", "monkey_mode", "keyboard_layout", "pinctrl", "passive",
     "bypass_mode", "tokenring", "authentic", "author", "compass", "spin", "", "_"],
)  # fmt: skip
def test_is_secret_when_only_letters_agree_then_false(name: str) -> None:
    assert not is_secret(name)


def test_is_secret_when_own_patterns_then_only_they_count() -> None:
    assert is_secret("my_api_key", ["api_key"])
    assert not is_secret("my_key_api", ["api_key"])
    assert is_secret("serial_number", ["SERIAL*"])
    assert not is_secret("password", ["serial"])
    assert not is_secret("password", [])


@given(st.text())
def test_is_secret_when_any_name_then_an_answer(name: str) -> None:
    assert is_secret(name) in (True, False)
    assert is_secret("x_" + name + "_secret")


def test_redact_when_secret_then_nothing_of_it_is_left() -> None:
    assert redact(parse_parameter(b"hunter2\n")) == ParameterValue(kind=ParameterKind.TEXT, text=REDACTED)
    assert redact(parse_parameter(b"12345\n")).number is None
    assert redact(parse_parameter(b"s" * 5000)).checksum is None


def test_redact_when_boolean_or_empty_then_it_stays() -> None:
    for raw in (b"Y\n", b"", b"(null)\n"):
        assert redact(parse_parameter(raw)) == parse_parameter(raw)


def test_patterns_when_read_are_lower_case() -> None:
    assert all(pattern == pattern.lower() for pattern in SECRET_PATTERNS)
