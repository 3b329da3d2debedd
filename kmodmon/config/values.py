"""The types of settings: durations, sizes, addresses, lists, as a person writes them in a file or on a command line.

A :class:`ValueType` reads one TOML value, or the text of one flag, and raises ValueError with the reason; its `hint`
says what to write instead. ``str()`` of a value is what a person writes: ``str(Seconds(90)) == "90s"``.
"""

import enum
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeGuard, TypeVar

T_co = TypeVar("T_co", covariant=True)
E_co = TypeVar("E_co", bound=enum.StrEnum, covariant=True)

_MS_OF: Mapping[str, int] = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_BYTES_OF: Mapping[str, int] = {
    "": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_DURATION_PART = re.compile(r"([0-9]+)(ms|[dhms])")
_SIZE = re.compile(r"([0-9]+) ?([A-Za-z]*)")
_PASSED = re.compile(r"systemd(?::(?P<name>[A-Za-z0-9_.@-]{1,255}))?")
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:/\s]*)):(?P<port>[0-9]{1,5})")


class Seconds(float):
    """A span of time; written as `15s`, `500ms`, `24h`, `1h30m`."""

    def __str__(self) -> str:
        """Give it in the largest unit that loses nothing; 24h rather than 1d, as people write it."""
        ms = round(self * 1000)
        for unit, size in _MS_OF.items():
            if ms % size == 0 and ms >= size * (2 if unit == "d" else 1):
                return f"{ms // size}{unit}"
        return "0"

    __repr__ = __str__


class Bytes(int):
    """An amount of memory or disk; written as `64MiB`, `512KiB`, `1GB`, `4096`."""

    def __str__(self) -> str:
        """Give it in the largest binary unit that loses nothing."""
        for unit in ("TiB", "GiB", "MiB", "KiB"):
            if self and self % _BYTES_OF[unit] == 0:
                return f"{self // _BYTES_OF[unit]}{unit}"
        return int.__repr__(self)

    __repr__ = __str__


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where to listen; an empty host means every address, port 0 any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Give it with an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PassedSockets:
    """Sockets that systemd listens on and passes: those with that FileDescriptorName=, with an empty name all."""

    name: str

    def __str__(self) -> str:
        """Give it as it is written in the settings."""
        return f"systemd:{self.name}" if self.name else "systemd"


class ValueType(ABC, Generic[T_co]):
    """How values of one setting are written and checked."""

    metavar: str = "VALUE"
    hint: str = ""
    repeatable: bool = False  # its flag may be given several times

    @abstractmethod
    def read(self, raw: object) -> T_co:
        """Give the value of what TOML holds; raises ValueError with the reason."""

    def read_flag(self, raw: object) -> T_co:
        """Give the value of a flag's text (a list of texts if `repeatable`); raises ValueError with the reason."""
        return self.read(raw)


def printable_text(raw: object, what: str) -> str:
    """Give `raw` if it is printable text that is not empty; raises ValueError naming `what` was wanted."""
    if not isinstance(raw, str):
        raise ValueError(f"wants {what} in quotes, not {describe(raw)}")
    if not raw.strip():
        raise ValueError(f"wants {what}, not an empty text")
    if not raw.isprintable():
        raise ValueError(f"wants {what}, not a text with control characters")
    return raw


def is_integer(raw: object) -> TypeGuard[int]:
    """Tell whether `raw` is a whole number of at most 64 bits; in Python True and False are integers too."""
    return isinstance(raw, int) and not isinstance(raw, bool) and -(1 << 63) <= raw < 1 << 64


def describe(raw: object) -> str:
    """Give the type of `raw`, a value of a TOML or YAML file, and the value itself when it is short."""
    match raw:
        case None:
            return "nothing"
        case bool():
            return "true" if raw else "false"
        case int() if not is_integer(raw):
            return "a number of more than 64 bits"  # str() refuses one of thousands of digits
        case int() | float():
            return f"the number {raw}"
        case str():
            return f'"{raw}"' if len(raw) <= 40 and raw.isprintable() else "a text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration(ValueType[Seconds]):
    """A span of time between `least` and `most` seconds. `off`: what zero means, where it is allowed beside these."""

    least: float = 0
    most: float = 10 * 365 * 86_400
    off: str = ""
    metavar = "DURATION"
    hint = 'write a whole number and a unit (ms, s, m, h, d), such as "15s" or "1h30m"'

    def read(self, raw: object) -> Seconds:
        """Read `15s`, or 0; any other number without a unit is refused."""
        value = Seconds(0) if raw == 0 and not isinstance(raw, bool) else _duration(printable_text(raw, "a duration"))
        if not value and self.off:
            return value
        if not self.least <= value <= self.most:
            raise ValueError(f"{value} is not between {Seconds(self.least)} and {Seconds(self.most)}")
        return value


def _duration(text: str) -> Seconds:
    if text == "0":
        return Seconds(0)
    parts = _DURATION_PART.findall(text)
    if not parts or len(text) > 40 or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{describe(text)} is not a duration")
    return Seconds(sum(int(number) * _MS_OF[unit] for number, unit in parts) / 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size(ValueType[Bytes]):
    """An amount of bytes between `least` and `most`."""

    least: int = 0
    most: int = 2**50
    metavar = "SIZE"
    hint = 'write a whole number and a unit (KiB, MiB, GiB, kB, MB, GB), such as "64MiB"'

    def read(self, raw: object) -> Bytes:
        """Read `64MiB` or a bare number of bytes."""
        value = Bytes(raw) if is_integer(raw) else _size(printable_text(raw, "a size"))
        if not self.least <= value <= self.most:
            raise ValueError(f"{value} is not between {Bytes(self.least)} and {Bytes(self.most)}")
        return value


def _size(text: str) -> Bytes:
    match = _SIZE.fullmatch(text)
    if match is None or match[2] not in _BYTES_OF or len(match[1]) > 20:
        raise ValueError(f"{describe(text)} is not a size")
    return Bytes(int(match[1]) * _BYTES_OF[match[2]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer(ValueType[int]):
    """A whole number between `least` and `most`."""

    least: int = 0
    most: int = 2**31 - 1
    metavar = "N"
    hint = "write a whole number without quotes"

    def read(self, raw: object) -> int:
        if not is_integer(raw):
            raise ValueError(f"wants a whole number, not {describe(raw)}")
        if not self.least <= raw <= self.most:
            raise ValueError(f"{raw} is not between {self.least} and {self.most}")
        return raw

    def read_flag(self, raw: object) -> int:
        if not isinstance(raw, str) or re.fullmatch(r"-?[0-9]{1,19}", raw) is None:
            raise ValueError(f"wants a whole number, not {describe(raw)}")
        return self.read(int(raw))


class Switch(ValueType[bool]):
    """On or off."""

    hint = "write true or false without quotes"

    def read(self, raw: object) -> bool:
        """Read a boolean, which the flags `--x` and `--no-x` give too."""
        if not isinstance(raw, bool):
            raise ValueError(f"wants true or false, not {describe(raw)}")
        return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(ValueType[str]):
    """A printable text that `pattern` matches as a whole. `what`: what such a text is, for messages."""

    what: str = "a text"
    pattern: str = r".+"
    metavar = "TEXT"

    def read(self, raw: object) -> str:
        text = printable_text(raw, self.what)
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(f"{describe(text)} is not {self.what}")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionalText(Text):
    """A text as in :class:`Text`, or "" for none."""

    hint = 'write it in quotes, or "" for none'

    def read(self, raw: object) -> str:
        return "" if raw == "" else Text.read(self, raw)


class Location(ValueType[Path]):
    """A path of a file or directory; it need not exist."""

    metavar = "PATH"
    hint = "write an absolute path in quotes"

    def read(self, raw: object) -> Path:
        return Path(printable_text(raw, "a path"))


class OptionalLocation(ValueType[Path | None]):
    """A path, or "" for none."""

    metavar = "PATH"
    hint = 'write an absolute path in quotes, or "" for none'

    def read(self, raw: object) -> Path | None:
        return None if raw == "" else Path(printable_text(raw, "a path"))


class ListenAddress(ValueType[Address | PassedSockets]):
    """An address and port to listen on, or sockets that systemd listens on."""

    metavar = "ADDR:PORT"
    hint = 'write "127.0.0.1:10069", "[::1]:10069", ":10069" for every address, or "systemd" for its .socket unit'

    def read(self, raw: object) -> Address | PassedSockets:
        """Read `host:port`, an IPv6 address in brackets; `systemd` or `systemd:NAME`."""
        text = printable_text(raw, "an address and port")
        if (passed := _PASSED.fullmatch(text)) is not None:
            return PassedSockets(passed["name"] or "")
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match["port"]) > 65535:
            raise ValueError(f"{describe(text)} is not an address and port")
        return Address(match["six"] or match["host"] or "", int(match["port"]))


@dataclass(frozen=True, slots=True)
class Choice(ValueType[E_co]):
    """One word of a closed list."""

    words: type[E_co]
    metavar = "WORD"

    @property
    def hint(self) -> str:  # type: ignore[override]  # a constant of the other types
        return "write one of " + ", ".join(f'"{word}"' for word in self.words)

    def read(self, raw: object) -> E_co:
        text = printable_text(raw, "a word")
        if text not in [str(word) for word in self.words]:
            raise ValueError(f"{describe(text)} is not known")
        return self.words(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf(ValueType[tuple[T_co, ...]]):
    """A list of `least` to `most` values of one type; on the command line the flag given several times."""

    of: ValueType[T_co]
    least: int = 0
    most: int = 10_000
    repeatable = True

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return self.of.metavar

    @property
    def hint(self) -> str:  # type: ignore[override]
        return f"write a list in brackets; in it, {self.of.hint}" if self.of.hint else "write a list in brackets"

    def read(self, raw: object) -> tuple[T_co, ...]:
        """Read an array; the reason of a refusal has the number of the value, from 1."""
        if not isinstance(raw, list | tuple):
            raise ValueError(f"wants a list, not {describe(raw)}")
        if not self.least <= len(raw) <= self.most:
            raise ValueError(f"wants {self.least} to {self.most} values, not {len(raw)}")
        values: list[T_co] = []
        for number, item in enumerate(raw, 1):
            try:
                values.append(self.of.read(item))
            except ValueError as error:
                raise ValueError(f"value {number}: {error}") from None
        return tuple(values)
