"""TOML as kmodmon writes it."""

import re

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def quoted(text: str) -> str:
    """A text as TOML writes it."""
    escaped = (
        char if char.isprintable() and char not in '"\\' else _ESCAPES.get(char) or f"\\U{ord(char):08x}"
        for char in text
    )
    return f'"{"".join(escaped)}"'


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def key_of(name: str) -> str:
    """A key as TOML writes it: bare where it can be."""
    return name if _BARE.fullmatch(name) else quoted(name)
