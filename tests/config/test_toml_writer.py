"""The writer of TOML: tomllib reads the same values back, whatever characters they hold."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmodmon.config.toml_writer import assignments, comment, list_on_lines, table, toml_key, toml_value
from kmodmon.config.values import Address, Bytes, PassedSockets, Seconds

VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=10), below, max_size=3),
    max_leaves=10,
)


@given(st.text())
@example("\0\x01\x08\t\n\x0b\x0c\r\x1b\x7f\x80\x85\u2028\ufeff")
@example('"\\""" \'\'\' # = [x] \\U0001f600 \U0001f600 \U0010ffff')
def test_text_when_written_then_it_reads_back_as_key_and_value_on_one_line(text: str) -> None:
    line = f"{toml_key(text)} = {toml_value(text)}"
    assert tomllib.loads(line) == {text: text}
    assert line.isprintable()


@given(st.dictionaries(st.text(max_size=10), VALUES, max_size=4))
def test_values_when_written_then_they_read_back(values: dict[str, object]) -> None:
    assert tomllib.loads("\n".join(table("[t]", values))) == {"t": values}
    assert tomllib.loads("\n".join(list_on_lines("a b", values.values()))) == {"a b": list(values.values())}


@given(st.characters(categories=["Cs"]))
def test_text_when_it_has_a_lone_surrogate_then_it_is_refused(char: str) -> None:
    with pytest.raises(ValueError, match=f"lone surrogate U\\+{ord(char):04X}"):
        toml_value(f"a{char}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, '""'),
        (True, "true"),
        (7, "7"),
        (Seconds(90), '"90s"'),
        (Bytes(4096), '"4KiB"'),
        (Address("::1", 80), '"[::1]:80"'),
        (PassedSockets("web"), '"systemd:web"'),
        (Path("/etc"), '"/etc"'),
        (("a", "b"), '["a", "b"]'),
        ({"a-b": 1, "c.d": True}, '{ a-b = 1, "c.d" = true }'),
        ({}, "{}"),
    ],
)
def test_value_when_written_then_as_people_write_it(value: object, text: str) -> None:
    assert toml_value(value) == text


def test_comment_when_of_several_lines_then_each_is_one() -> None:
    assert list(comment("a\n\nb")) == ["# a", "#", "# b"]
    assert list(assignments({"a": 1})) == ["a = 1"]
