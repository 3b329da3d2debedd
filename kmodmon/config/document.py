"""Documents that a person or another program wrote, read through typed getters: settings, policy, baseline, web file.

A :class:`Section` is a table of a TOML file or a mapping of a YAML file. Every refusal is a ConfigError with the file,
the path of the key (`rule[2].match.signer[0]`), its line, the reason, and what to write instead: the nearest known
name, or all of them. A key that nobody asks for is refused by :meth:`Section.only`.

TOML is parsed in :mod:`kmodmon.config.toml_document`, YAML in :mod:`kmodmon.config.yaml_document`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from kmodmon.config.values import describe
from kmodmon.types.error import ConfigError
from kmodmon.types.text import printable

E = TypeVar("E", bound=str)

MAX_VALUES = 10_000  # in one list
MAX_SHOWN = 100  # characters of a refused text in the message

_TEXT = r"(?s).{0,1000}"
_ITEM = r"(?s).{1,300}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """The words of a file format in messages; `{key}` and `{path}` stand for those of the refused key."""

    table: str
    write_text: str
    write_table: str
    write_tables: str


@dataclass(frozen=True, slots=True)
class Document:
    """One file. `lines` gives the line, from 1, of each path; it is called only for a message."""

    file: str
    notation: Notation
    lines: Callable[[], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Section:
    """The keys of one table or mapping. `path`: its own, such as `rule[2].match`; "" for the whole file."""

    document: Document
    values: Mapping[str, object]
    path: str = ""

    def error(self, key: str, why: str, hint: str = "") -> ConfigError:
        """Give the error about `key` of this section ("": about the section itself), to be raised."""
        path = self._path_of(key)
        return ConfigError(self.document.file, printable(path), why, hint, line=self.line(key))

    def line(self, key: str = "") -> int | None:
        """Give the line of `key` ("": of this section), or else of the nearest section around it; None: of none."""
        lines = self.document.lines()
        path = self._path_of(key)
        while path and path not in lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return lines.get(path)

    def only(self, keys: Iterable[str]) -> None:
        """Raise ConfigError for the first key that is not among `keys`."""
        allowed = tuple(keys)
        for key in self.values:
            if key not in allowed:
                raise self.error(key, "there is no such key", _instead(key, allowed, "there are"))

    def version(self, supported: int) -> None:
        """Raise ConfigError when `version` is there and is not the supported one."""
        if self.values.get("version", supported) != supported:
            raise self.error("version", f"wants {supported}", "a newer kmodmon may know it")

    def text(self, key: str, default: str | None = None, *, pattern: str = _TEXT, what: str = "") -> str:
        """Give the text of `key`; raises ConfigError, also when it is missing and there is no default."""
        value = self.values.get(key)
        if value is None and default is None:
            raise self.error(key, "is missing", f"write {self.document.notation.write_text.format(key=key)}")
        return self._text(
            key, default if value is None else value, pattern, what or "a text of at most 1000 characters"
        )

    def optional_text(self, key: str, *, pattern: str = _TEXT, what: str = "") -> str | None:
        """Give the text of `key`, None when it is not there; raises ConfigError."""
        return None if self.values.get(key) is None else self.text(key, pattern=pattern, what=what)

    def flag(self, key: str, default: bool) -> bool:
        """Give whether `key` is true; raises ConfigError."""
        value = self.values.get(key)
        if not isinstance(value, bool | None):
            raise self.error(key, f"wants true or false, not {describe(value)}", "write true or false without quotes")
        return default if value is None else value

    def word(self, key: str, words: Iterable[E], default: E | None = None) -> E:
        """Give which of `words` the text of `key` is; raises ConfigError."""
        if self.values.get(key) is None and default is not None:
            return default
        return self._word(key, self.text(key), words)

    def texts(
        self, key: str, words: Iterable[str] | None = None, *, pattern: str = _ITEM, single: bool = True
    ) -> tuple[str, ...]:
        """Give the list of texts of `key`, () when it is not there; raises ConfigError.

        `words`: what they must be among. `single`: a text that is not in a list counts as a list of one.
        """
        value = self.values.get(key)
        if single and isinstance(value, str):
            return (self._item(key, value, words, pattern),)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > MAX_VALUES:
            kind = "a text or a list of texts" if single else "a list of texts"
            raise self.error(key, f"wants {kind}, not {describe(value)}")
        return tuple(self._item(f"{key}[{number}]", item, words, pattern) for number, item in enumerate(value))

    def section(self, key: str) -> "Section":
        """Give the section of `key`, an empty one when it is not there; raises ConfigError."""
        path = self._path_of(key)
        value = self.values.get(key)
        if not isinstance(value, dict | None):
            notation = self.document.notation
            hint = f"write {notation.write_table.format(path=path)}" if path else ""
            raise self.error(key, f"wants {notation.table}, not {describe(value)}", hint)
        below = replace(self, values=value or {}, path=path)
        for name in below.values:
            if not isinstance(name, str):  # YAML has keys of every type
                raise below.error(repr(name), "a key must be text", "write it in quotes")
        return below

    def sections(self, key: str) -> "tuple[Section, ...]":
        """Give the list of sections of `key`, () when it is not there; raises ConfigError."""
        values = self.values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            hint = self.document.notation.write_tables.format(path=self._path_of(key))
            raise self.error(key, "wants an array of tables", f"write {hint}")
        path = self._path_of(key)
        return tuple(replace(self, values=value, path=f"{path}[{number}]") for number, value in enumerate(values))

    def _path_of(self, key: str) -> str:
        return ".".join(part for part in (self.path, key) if part)

    def _item(self, key: str, value: object, words: Iterable[str] | None, pattern: str) -> str:
        text = self._text(key, value, pattern, "a text of 1 to 300 characters")
        return text if words is None else self._word(key, text, words)

    def _text(self, key: str, value: object, pattern: str, what: str) -> str:
        if not isinstance(value, str):
            raise self.error(key, f"wants a text, not {describe(value)}", "write it in quotes")
        if re.fullmatch(pattern, value) is None:
            raise self.error(key, f'"{_shown(value)}" is not {what}')
        return value

    def _word(self, key: str, text: str, words: Iterable[E]) -> E:
        by_text = {str(word): word for word in words}
        if text not in by_text:
            raise self.error(key, f'"{_shown(text)}" is not known here', _instead(text, by_text, "write one of"))
        return by_text[text]


def read_limited(file: Path, limit: int) -> bytes | None:
    """Read a whole file; None when it is larger than `limit` bytes. Raises OSError."""
    with file.open("rb") as stream:
        raw = stream.read(limit + 1)
    return raw if len(raw) <= limit else None


def nearest(text: str, names: Iterable[str]) -> str | None:
    """Give the name that `text` is most likely a misspelling of; None when none is near."""
    from difflib import get_close_matches  # only where something is wrong

    return next(iter(get_close_matches(text, tuple(names), n=1, cutoff=0.6)), None)


def _instead(text: str, names: Iterable[str], otherwise: str) -> str:
    near = nearest(text, names)
    return f"did you mean {near}?" if near else f"{otherwise} {', '.join(names)}"


def _shown(text: str) -> str:
    return printable(text[:MAX_SHOWN])
