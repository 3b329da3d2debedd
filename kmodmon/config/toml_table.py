"""Files of rules: TOML that a person wrote, read through typed getters, every refusal with file, line, key and hint.

tomllib keeps no line numbers: the line of a refused key is looked up in the text afterwards.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from kmodmon.types.error import ConfigError
from kmodmon.types.text import safe_text

E = TypeVar("E", bound=str)

_TABLE = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]")
_ENTRY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"))*)\s*=""")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_MOST = 10_000  # values in one list


@dataclass(frozen=True, slots=True)
class TomlTable:
    """One table of a file. `path`: its own key, such as `rule[2].match`, "" for the whole file."""

    file: str
    text: str
    values: Mapping[str, object]
    path: str = ""

    def refuse(self, key: str, why: str, hint: str = "") -> NoReturn:
        """Raise the ConfigError for one key of this table ("": for the table itself)."""
        whole = ".".join(part for part in (self.path, key) if part)
        raise ConfigError(self.file, whole, why, hint, line=line_of(self.text, whole))

    def only(self, known: Iterable[str]) -> None:
        """Refuse every key that is not known."""
        names = tuple(known)
        for key in self.values:
            if key not in names:
                self.refuse(safe_text(key.encode()), "there is no such key", _nearest(key, names))

    def text_of(self, key: str, default: str | None = None, *, pattern: str = r"(?s).{0,1000}", what: str = "") -> str:
        """A text; refused when it is missing and there is no default."""
        value = self.values.get(key, default)
        if value is None:
            self.refuse(key, "is missing", f'write {key} = "…"')
        if not isinstance(value, str):
            self.refuse(key, f"wants a text, not {_named(value)}", "write it in quotes")
        if re.fullmatch(pattern, value) is None:
            self.refuse(key, f'"{_shown(value)}" is not {what or "a text of that length"}')
        return value

    def truth_of(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key, default)
        return value if isinstance(value, bool) else self.refuse(key, f"wants true or false, not {_named(value)}")

    def word_of(self, key: str, words: Iterable[E], default: E | None = None) -> E:
        """One of some words."""
        known = {str(word): word for word in words}
        if key not in self.values and default is not None:
            return default
        value = self.text_of(key)
        return known[value] if value in known else self._unknown_word(key, value, known)

    def texts_of(self, key: str, words: Iterable[str] | None = None) -> tuple[str, ...]:
        """A list of texts, or one text; of `words` only, where those are given. () when the key is not there."""
        raw = self.values.get(key, ())
        values = [raw] if isinstance(raw, str) else raw
        if not isinstance(values, list | tuple) or len(values) > _MOST:
            self.refuse(key, f"wants a text or a list of texts, not {_named(raw)}")
        known = None if words is None else tuple(map(str, words))
        found: list[str] = []
        for value in values:
            if not isinstance(value, str) or not 0 < len(value) <= 300:
                self.refuse(key, f"wants texts of 1 to 300 characters, not {_named(value)}")
            if known is not None and value not in known:
                self._unknown_word(key, value, known)
            found.append(value)
        return tuple(found)

    def table_of(self, key: str) -> "TomlTable":
        """A table; an empty one when it is not there."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.refuse(key, f"wants a table, not {_named(value)}", f"write [{self._below(key)}]")
        return TomlTable(self.file, self.text, value, self._below(key))

    def tables_of(self, key: str) -> "tuple[TomlTable, ...]":
        """An array of tables; () when it is not there."""
        values = self.values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self.refuse(key, "wants an array of tables", f"write [[{self._below(key)}]]")
        return tuple(
            TomlTable(self.file, self.text, value, f"{self._below(key)}[{number}]")
            for number, value in enumerate(values)
        )

    def _below(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _unknown_word(self, key: str, value: str, known: Iterable[str]) -> NoReturn:
        names = tuple(known)
        self.refuse(key, f'"{_shown(value)}" is not known here', f"write one of {', '.join(names)}")


def parse(raw: bytes, file: str) -> TomlTable:
    """Read a file; raises ConfigError."""
    import tomllib  # 13 ms and 1.6 MiB: only where there is a file

    try:
        text = raw.decode("utf-8")
        return TomlTable(file, text, tomllib.loads(text))
    except UnicodeDecodeError as error:
        raise ConfigError(file, "", "is not UTF-8 text", line=raw[: error.start].count(b"\n") + 1) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        why = str(error)[: found.start()] if found else str(error)
        last = len(text.rstrip("\n").split("\n"))
        line = None if found is None else int(found[1] or last)
        raise ConfigError(file, "", f"is not TOML: {why}", line=line) from None


def line_of(text: str, key: str) -> int | None:
    """The line, from 1, that sets `key` (`rule[2].match.signer`), or else the nearest table around it; None: none."""
    found = dict(_places(text))
    while key:
        if key in found:
            return found[key]
        key = key.rpartition(".")[0]
    return None


def _places(text: str) -> Iterable[tuple[str, int]]:
    table = ""
    counts: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if found := _TABLE.match(line):
            table = _indexed(_plain(found[2]), counts, new=found[1] == "[[")
            yield table, number
        elif found := _ENTRY.match(line):
            yield f"{table}.{_plain(found[1])}".removeprefix("."), number


def _indexed(name: str, counts: dict[str, int], *, new: bool) -> str:
    """A table's name with the numbers of the arrays that it lies in."""
    if new:
        counts[name] = counts.get(name, -1) + 1
    head, dot, rest = name.partition(".")
    return f"{head}[{counts[head]}]{dot}{rest}" if head in counts else name


def _plain(dotted: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in dotted.split("."))


def _nearest(key: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # only where something is wrong

    near = get_close_matches(key, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _shown(text: str) -> str:
    return safe_text(text.encode("utf-8", "surrogateescape"))[:100]


def _named(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{_shown(value)}"'
        case int() | float():
            return str(value)
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "that"


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
