"""Terminal output: widths, cutting, colour, escapes, JSON, human numbers."""

import argparse
import io
import json
from datetime import UTC
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.cli.output import (
    Column,
    Screen,
    Tint,
    Tinted,
    cut,
    display_width,
    human_bytes,
    human_span,
    local_time,
)
from kmodmon.types.text import printable

COLUMNS = (Column(title="MODULE", least=6), Column(title="SIZE", right=True), Column(title="USED BY", least=4))


def screen(width: int | None = None, colour: bool = False) -> tuple[Screen, io.StringIO]:
    stream = io.StringIO()
    return Screen(stream=stream, width=width, colour=colour), stream


def test_table_when_not_on_a_terminal_is_aligned_and_whole() -> None:
    page, stream = screen()
    page.table(COLUMNS, [("ext4", "1.2 MiB", "-"), ("日本", "9 B", "a" * 90)])
    assert stream.getvalue().splitlines() == [
        "MODULE     SIZE  USED BY",
        "ext4    1.2 MiB  -",
        "日本        9 B  " + "a" * 90,
    ]


def test_table_when_the_window_is_narrow_cuts_the_widest_elastic_column_first() -> None:
    page, stream = screen(width=30)
    page.table(COLUMNS, [("a_long_module_name", "1.2 MiB", "b" * 40)])
    assert stream.getvalue().splitlines()[1] == "a_long_mo…  1.2 MiB  bbbbbbbb…"
    assert max(map(display_width, stream.getvalue().splitlines())) <= 30


def test_table_when_nothing_can_be_cut_any_more_is_printed_all_the_same() -> None:
    page, stream = screen(width=5)
    page.table(COLUMNS, [("a_long_module_name", "1.2 MiB", "b" * 40)])
    assert stream.getvalue().splitlines()[1] == "a_lon…  1.2 MiB  bbb…"


def test_table_when_empty_is_its_heading() -> None:
    page, stream = screen()
    page.table(COLUMNS, [])
    assert stream.getvalue() == "MODULE  SIZE  USED BY\n"


def test_table_when_a_row_is_too_short_is_a_bug_and_raises() -> None:
    page, _ = screen()
    with pytest.raises((ValueError, IndexError)):
        page.table(COLUMNS, [("x",)])


def test_colour_when_on_wraps_the_text_and_not_the_padding() -> None:
    page, stream = screen(colour=True)
    page.table((Column(title="A"), Column(title="B")), [(Tinted("x", Tint.BAD), "y")])
    page.line("is ", Tinted("tainted", Tint.WARN), Tinted("", Tint.GOOD))
    assert stream.getvalue().splitlines()[1:] == ["\x1b[31;1mx\x1b[0m  y", "is \x1b[33mtainted\x1b[0m"]


@given(st.text())
def test_line_whatever_it_is_given_sends_no_control_character(text: str) -> None:
    page, stream = screen(width=20)
    page.line(text, Tinted(text, Tint.BAD))
    page.table((Column(title=text), Column(title="x", least=3)), [(text, text)])
    assert all(line.isprintable() for line in stream.getvalue().split("\n"))


@given(st.text(), st.integers(0, 30))
def test_cut_text_never_takes_more_cells_and_keeps_what_fits(text: str, width: int) -> None:
    shown = printable(text)
    short = cut(shown, width)
    assert display_width(short) <= width
    assert short == shown if display_width(shown) <= width else short.endswith("…") or width == 0


def test_line_when_the_stream_cannot_write_a_character_escapes_it() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Screen(stream=stream).line("é…")
    stream.flush()
    assert raw.getvalue() == b"\\xe9\\u2026\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("no_color", "environ", "colour"),
    [
        (False, {}, True),
        (True, {}, False),
        (False, {"NO_COLOR": "1"}, False),
        (False, {"NO_COLOR": ""}, True),
        (False, {"TERM": "dumb"}, False),
    ],
)
def test_screen_has_colour_only_where_it_is_wanted(
    no_color: bool, environ: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    screen = Screen.of(argparse.Namespace(no_color=no_color), {"COLUMNS": "77", **environ})
    assert (screen.colour, screen.width) == (colour, 77)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    screen = Screen.of(argparse.Namespace(no_color=no_color), {"COLUMNS": "77", **environ})
    assert (screen.colour, screen.width) == (False, None)


def test_json_keeps_the_order_of_keys_and_takes_mappings_and_tuples() -> None:
    page, stream = screen()
    page.json(MappingProxyType({"z": 1, "a": (True, None, {"é": MappingProxyType({})})}))
    page.json_line({"b": [1], "a": 2})
    text = stream.getvalue()
    assert text.isascii() and text.index('"z"') < text.index('"a"')
    assert json.loads(text[: text.rindex('{"b"')]) == {"z": 1, "a": [True, None, {"é": {}}]}
    assert text.endswith('{"b":[1],"a":2}\n')


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (16384, "16.0 KiB"),
        (1023 * 1024, "1.0 MiB"),
        (2**60, "1024.0 PiB"),
    ],
)
def test_bytes_are_said_with_a_unit(count: int, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (9.99, "10s"),
        (61, "1m 1s"),
        (3600, "1h"),
        (3601, "1h"),
        (90061, "1d 1h"),
        (-61, "-1m 1s"),
        (86400 * 400, "400d"),
    ],
)
def test_span_is_said_with_its_two_largest_units(seconds: float, text: str) -> None:
    assert human_span(seconds) == text


def test_time_is_said_in_the_zone_asked_for() -> None:
    assert local_time(1_700_000_000_999_999, UTC) == "2023-11-14 22:13:20"


@pytest.mark.parametrize("usec", [-(2**63), 2**63 - 1, 253_402_300_800_000_000])
def test_local_time_when_the_clock_was_nonsense_then_it_is_shown_as_a_number(usec: int) -> None:
    assert local_time(usec, UTC) == f"{usec} µs"
