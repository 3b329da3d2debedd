"""Printing for all verbs: tables, colours, JSON, and numbers, times and values of the public JSON as text.

Text from the kernel is already safe text (types/text.py). It is escaped once more here, because a terminal executes
control characters. Colours, and cutting to the width of the window, are for terminals only: a pipe gets all of it.
"""

import argparse
import enum
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TextIO, TypeAlias

from kmodmon.types.text import printable
from kmodmon.types.units import JsonObject, JsonValue


class Tint(enum.StrEnum):
    """A colour by what it means; the values are SGR parameters."""

    BAD = "31;1"
    WARN = "33"
    GOOD = "32"
    STRONG = "1"
    FAINT = "2"


@dataclass(frozen=True, slots=True)
class Tinted:
    """A text with its colour, which is used only where the screen has colours."""

    text: str
    tint: Tint


Cell: TypeAlias = str | Tinted


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    right: bool = False  # aligned to the right
    least: int = 0  # the width to which it may be cut where the window is too narrow; 0: it is never cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Where a verb prints."""

    stream: TextIO
    width: int | None = None  # terminal cells; None: lines may have any length
    colour: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> "Screen":
        """Give the screen for standard output, by the options and NO_COLOR, TERM and COLUMNS of the environment."""
        stream = sys.stdout
        terminal = stream.isatty()
        plain = bool(args.no_color or environ.get("NO_COLOR") or environ.get("TERM") == "dumb")
        return cls(stream=stream, width=_columns(stream, environ) if terminal else None, colour=terminal and not plain)

    def line(self, *cells: Cell) -> None:
        """Print the cells on one line, with nothing between them."""
        self._print("".join(self._shown(cell) for cell in cells))

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
        """Print a table with a heading line; every row has as many cells as there are columns."""
        heading = [Tinted(column.title, Tint.STRONG) for column in columns]
        lines: list[Sequence[Cell]] = [heading, *rows]
        widths = _fitted(columns, lines, self.width)
        for line in lines:
            cells = zip(line, columns, widths, strict=True)
            self._print("  ".join(self._padded(cell, column, width) for cell, column, width in cells).rstrip())

    def json(self, value: JsonValue) -> None:
        """Print a value as indented JSON in ASCII, with keys in the order of the value."""
        import json  # only --json needs it

        self._print(json.dumps(value, indent=2, default=_as_json))

    def json_line(self, value: JsonValue) -> None:
        """Print a value as JSON on one line and flush it, for streams."""
        import json

        self._print(json.dumps(value, separators=(",", ":"), default=_as_json))
        self.stream.flush()

    def _print(self, line: str) -> None:
        encoding = self.stream.encoding or "utf-8"
        self.stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")

    def _shown(self, cell: Cell) -> str:
        if isinstance(cell, str):
            return printable(cell)
        text = printable(cell.text)
        return f"\x1b[{cell.tint}m{text}\x1b[0m" if self.colour and text else text

    def _padded(self, cell: Cell, column: Column, width: int) -> str:
        text = cut(printable(_text(cell)), width)
        blank = " " * (width - display_width(text))
        shown = self._shown(text if isinstance(cell, str) else Tinted(text, cell.tint))
        return blank + shown if column.right else shown + blank


def _columns(stream: TextIO, environ: Mapping[str, str]) -> int:
    columns = environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and int(columns) else os.get_terminal_size(stream.fileno()).columns or 80


def _as_json(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text


def _fitted(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None) -> list[int]:
    widths = [max(display_width(printable(_text(row[index]))) for row in rows) for index in range(len(columns))]
    excess = sum(widths) + 2 * (len(columns) - 1) - width if width is not None else 0
    elastic = [index for index, column in enumerate(columns) if column.least]
    while excess > 0 and elastic:  # cut the column that is widest beyond its least width
        widest = max(elastic, key=lambda index: widths[index] - columns[index].least)
        if widths[widest] <= columns[widest].least:
            break
        widths[widest] -= 1
        excess -= 1
    return widths


def display_width(text: str) -> int:
    """Give the number of terminal cells that a printable text takes (two for a wide character, none for an accent)."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Shorten `text` to at most `width` terminal cells; a shortened text ends in an ellipsis."""
    if display_width(text) <= width:
        return text
    kept, used = [], 0
    for char in text:
        used += _cells(char)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept) + "…" if width > 0 else ""


def human_bytes(count: int) -> str:
    """Format a number of bytes with a binary unit and three or four digits: `16.0 KiB`, `812 B`."""
    if abs(count) < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        value /= 1024
        if abs(value) < 999.95 or unit == "PiB":
            break
    return f"{value:.1f} {unit}"


def human_span(seconds: float) -> str:
    """Format a span of time by its two largest units: `3d 4h`, `12m 5s`, `0.25s`."""
    if seconds < 0:
        return "-" + human_span(-seconds)
    if seconds < 10:
        return f"{seconds:.2g}s"
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part[0] != "0")


def local_time(realtime_usec: int, zone: tzinfo | None = None) -> str:
    """Format a CLOCK_REALTIME as `2026-11-23 12:24:05`, in `zone` (None: the local one)."""
    try:
        return datetime.fromtimestamp(realtime_usec // 1_000_000, zone).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # a year that datetime lacks: a clock set wrong, or an edited row
        return f"{realtime_usec} µs"


def as_object(value: JsonValue) -> JsonObject:
    """Check that a value of a view is an object, and give it."""
    assert isinstance(value, Mapping)
    return value


def as_objects(value: JsonValue) -> Sequence[JsonObject]:
    """Check that a value of a view is a list of objects, and give it."""
    assert isinstance(value, Sequence)
    return [as_object(item) for item in value]


def joined(value: JsonValue, separator: str) -> str:
    """Join the items of a list in a view to one text; null gives an empty one."""
    return separator.join(str(item) for item in value) if isinstance(value, Sequence) else ""
