"""TOML as kmodmon writes it: the default settings, the shipped policy, the baseline.

What is written reads back to the same value. A text may hold any character but a lone surrogate, which TOML has no way
to write (toml.io/en/v1.0.0#string: escapes are Unicode scalar values).
"""

import re
from collections.abc import Iterable, Iterator, Mapping

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml_value(value: object) -> str:
    """Give a value as TOML: None as an empty text, what is no bool, int, list or mapping as its ``str()`` in quotes.

    So durations and sizes, which are numbers with a unit, are written as people type them. Raises ValueError for a text
    with a lone surrogate.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return '""'
        case tuple() | list():
            return "[" + ", ".join(map(toml_value, value)) + "]"
        case Mapping():
            return "{ " + ", ".join(assignments(value)) + " }" if value else "{}"
        case int() if type(value) is int:
            return str(value)
        case _:
            return _quoted(str(value))


def toml_key(name: str) -> str:
    """Give a key as TOML: bare where it can be, else in quotes."""
    return name if _BARE_KEY.fullmatch(name) else _quoted(name)


def assignments(values: Mapping[str, object]) -> Iterator[str]:
    """Yield a line for each key and value."""
    return (f"{toml_key(key)} = {toml_value(value)}" for key, value in values.items())


def table(header: str, values: Mapping[str, object]) -> Iterator[str]:
    """Yield the lines of a table with this header, such as `[meta]`."""
    yield header
    yield from assignments(values)


def list_on_lines(key: str, values: Iterable[object]) -> Iterator[str]:
    """Yield the lines of a list that has each value on a line of its own."""
    yield f"{toml_key(key)} = ["
    yield from (f"    {toml_value(value)}," for value in values)
    yield "]"


def comment(text: str) -> Iterator[str]:
    """Yield the lines of `text` as comments."""
    return (f"# {line}".rstrip() for line in text.splitlines())


def _quoted(text: str) -> str:
    return '"' + "".join(char if char.isprintable() and char not in '"\\' else _escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if "\ud800" <= char <= "\udfff":
        raise ValueError(f"TOML cannot hold the lone surrogate U+{ord(char):04X}")
    return _ESCAPES.get(char) or f"\\U{ord(char):08x}"
