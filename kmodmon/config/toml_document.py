"""TOML files as :class:`kmodmon.config.document.Section`, with the line of every table and key.

tomllib keeps no lines, so they are found in the text, and only when one is asked for. A key inside an inline table has
the line of that table.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache, partial

from kmodmon.config.document import Document, Notation, Section
from kmodmon.types.error import ConfigError

TOML = Notation(table="a table", write_text='{key} = "…"', write_table="[{path}]", write_tables="[[{path}]]")
_TABLE = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]")
_ENTRY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"))*)\s*=""")
_STRING_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""' + r"|'''.*?'''" + r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'" + r"|#[^\n]*", re.DOTALL
)
_TOML_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def parse_toml(raw: bytes, file: str) -> Section:
    """Read a TOML document; raises ConfigError."""
    import tomllib  # 13 ms and 1.6 MiB: only where there is a file

    try:
        text = raw.decode("utf-8")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(file, "", "is not UTF-8 text", line=raw[: error.start].count(b"\n") + 1) from None
    except (ValueError, RecursionError) as error:  # ValueError itself: a number of thousands of digits
        raise _not_toml(file, text, str(error)) from None
    return Section(Document(file, TOML, cache(partial(toml_lines, text))), values)


def _not_toml(file: str, text: str, message: str) -> ConfigError:
    # Before Python 3.14 a TOMLDecodeError has its line nowhere but in its text.
    position = _TOML_POSITION.search(message)
    if position is None:
        return ConfigError(file, "", f"is not TOML: {message}")
    line = int(position[1] or text.rstrip("\n").count("\n") + 1)
    return ConfigError(file, "", f"is not TOML: {message[: position.start()]}", line=line)


def toml_lines(text: str) -> Mapping[str, int]:
    """Give the line, from 1, of each table and each key that has a line of its own."""
    return dict(_toml_lines(_STRING_OR_COMMENT.sub(_on_one_line, text)))


def _on_one_line(match: re.Match[str]) -> str:
    # what looks like a table or a key inside a text of several lines is none
    breaks = match[0].count("\n")
    return '""' + "\n" * breaks if breaks else match[0]


def _toml_lines(text: str) -> Iterator[tuple[str, int]]:
    table = ""
    counts: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if match := _TABLE.match(line):
            table = _indexed(_without_quotes(match[2]), counts, new=match[1] == "[[")
            yield table, number
        elif match := _ENTRY.match(line):
            yield f"{table}.{_without_quotes(match[1])}".removeprefix("."), number


def _indexed(name: str, counts: dict[str, int], *, new: bool) -> str:
    """Give a table's path, with the number of the array entry that it lies in."""
    if new:
        counts[name] = counts.get(name, -1) + 1
    head, dot, rest = name.partition(".")
    return f"{head}[{counts[head]}]{dot}{rest}" if head in counts else name


def _without_quotes(dotted: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in dotted.split("."))
