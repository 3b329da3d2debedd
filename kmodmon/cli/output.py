"""What a verb prints: tables, coloured words, JSON, and numbers as people read them.

Text from the kernel is safe text already; here everything is made printable once more, because a terminal obeys what it
is sent. Colour and cutting to the window's width are for terminals only: a pipe gets every character.
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
from kmodmon.types.units import JsonValue


class Tint(enum.StrEnum):
    """A colour by what it means; the values are SGR parameters."""

    BAD = "31;1"
    WARN = "33"
    GOOD = "32"
    STRONG = "1"
    FAINT = "2"


@dataclass(frozen=True, slots=True)
class Tinted:
    """A text in a colour, where there are colours."""

    text: str
    tint: Tint


Cell: TypeAlias = str | Tinted


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table; `least` > 0: may be cut down to that width where the window is too narrow."""

    title: str
    right: bool = False
    least: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Where a verb prints; `width` None: lines may be of any length."""

    stream: TextIO
    width: int | None = None
    colour: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> "Screen":
        """Give the screen of standard output, as the options and the environment want it."""
        stream = sys.stdout
        terminal = stream.isatty()
        plain = bool(args.no_color or environ.get("NO_COLOR") or environ.get("TERM") == "dumb")
        return cls(stream=stream, width=_columns(stream, environ) if terminal else None, colour=terminal and not plain)

    def line(self, *cells: Cell) -> None:
        """Print one line of these pieces, with nothing between them."""
        self._print("".join(self._shown(cell) for cell in cells))

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
        """Print a table with a heading line; every row has as many cells as there are columns."""
        heading = [Tinted(column.title, Tint.STRONG) for column in columns]
        lines: list[Sequence[Cell]] = [heading, *rows]
        widths = _fitted(columns, lines, self.width)
        for line in lines:
            places = zip(line, columns, widths, strict=True)
            self._print("  ".join(self._padded(cell, column, width) for cell, column, width in places).rstrip())

    def json(self, value: JsonValue) -> None:
        """Print a value as indented JSON, keys in the order they were declared, in ASCII."""
        import json  # only for those who ask for it

        self._print(json.dumps(value, indent=2, default=_as_json))

    def json_line(self, value: JsonValue) -> None:
        """Print a value as JSON on one line and let it through at once, for streams."""
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
    wanted = environ.get("COLUMNS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else os.get_terminal_size(stream.fileno()).columns or 80


def _as_json(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text


def _fitted(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None) -> list[int]:
    widths = [max(display_width(printable(_text(row[place]))) for row in rows) for place in range(len(columns))]
    excess = sum(widths) + 2 * (len(columns) - 1) - width if width is not None else 0
    elastic = [place for place, column in enumerate(columns) if column.least]
    while excess > 0 and elastic:  # take from the column that has most to give
        place = max(elastic, key=lambda place: widths[place] - columns[place].least)
        if widths[place] <= columns[place].least:
            break
        widths[place] -= 1
        excess -= 1
    return widths


def display_width(text: str) -> int:
    """Give the number of terminal cells that printable `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Give `text` in at most `width` terminal cells; a cut text ends in an ellipsis."""
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
    """Give a number of bytes with a binary unit and three or four digits: `16.0 KiB`, `812 B`."""
    if abs(count) < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        value /= 1024
        if abs(value) < 999.95 or unit == "PiB":
            break
    return f"{value:.1f} {unit}"


def human_span(seconds: float) -> str:
    """Give a span of time by its two largest units: `3d 4h`, `12m 5s`, `0.25s`."""
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
    """Give a CLOCK_REALTIME moment as `2026-11-23 12:24:05`, in `zone` (None: the local one)."""
    try:
        return datetime.fromtimestamp(realtime_usec // 1_000_000, zone).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # a clock that was set to nonsense, or a row that was edited
        return f"{realtime_usec} µs"
