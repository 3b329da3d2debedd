"""What a person writes in a file or on a command line, as typed values: durations, sizes, addresses, lists.

A kind reads one TOML value, or the text of one flag, and raises ValueError with the reason; its `hint` says what to
write instead. Values know how they are written: ``str(Seconds(90)) == "90s"``, so a default is shown as it is typed.
"""

import enum
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)
E_co = TypeVar("E_co", bound=enum.StrEnum, covariant=True)

_MS_OF: Mapping[str, int] = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_BYTES_OF: Mapping[str, int] = {
    "": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_DURATION_PART = re.compile(r"([0-9]+)(ms|[dhms])")
_SIZE = re.compile(r"([0-9]+) ?([A-Za-z]*)")
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:/\s]*)):(?P<port>[0-9]{1,5})")


class Seconds(float):
    """A span of time; written as `15s`, `500ms`, `24h`, `1h30m`."""

    def __str__(self) -> str:
        """Write it with the largest unit that loses nothing (24h rather than 1d: that is how people say it)."""
        ms = round(self * 1000)
        for unit, size in _MS_OF.items():
            if ms % size == 0 and ms >= size * (2 if unit == "d" else 1):
                return f"{ms // size}{unit}"
        return "0"

    __repr__ = __str__


class Bytes(int):
    """An amount of memory or disk; written as `64MiB`, `512KiB`, `1GB`, `4096`."""

    def __str__(self) -> str:
        """Write it with the largest binary unit that loses nothing."""
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
        """Write it as it is typed, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ValueType(ABC, Generic[T_co]):
    """How values of one setting are written and checked."""

    metavar: str = "VALUE"
    hint: str = ""
    many: bool = False  # a flag may be given several times

    @abstractmethod
    def read(self, raw: object) -> T_co:
        """Give the value of what TOML holds; raises ValueError with the reason."""

    def read_flag(self, raw: object) -> T_co:
        """Give the value of a flag's text (a list of texts if `many`); raises ValueError with the reason."""
        return self.read(raw)


def text_of(raw: object, what: str) -> str:
    """Give `raw` if it is printable text that is not empty; raises ValueError naming `what` was wanted."""
    if not isinstance(raw, str):
        raise ValueError(f"wants {what} in quotes, not {named(raw)}")
    if not raw.strip():
        raise ValueError(f"wants {what}, not an empty text")
    if not raw.isprintable():
        raise ValueError(f"wants {what}, not a text with control characters")
    return raw


def named(raw: object) -> str:
    """Say what kind of value `raw` of a TOML or YAML file is, with the value itself when it is short."""
    match raw:
        case None:
            return "nothing"
        case bool():
            return "true" if raw else "false"
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
    """A span of time between `least` and `most` seconds; zero is taken too if `off` says what zero means."""

    least: float = 0
    most: float = 10 * 365 * 86_400
    off: str = ""
    metavar = "DURATION"
    hint = 'write a whole number and a unit (ms, s, m, h, d), such as "15s" or "1h30m"'

    def read(self, raw: object) -> Seconds:
        """Read `15s`; a bare number has no unit and is refused, but for 0."""
        value = Seconds(0) if raw == 0 and not isinstance(raw, bool) else _duration(text_of(raw, "a duration"))
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
        raise ValueError(f"{named(text)} is not a duration")
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
        value = Bytes(raw) if isinstance(raw, int) and not isinstance(raw, bool) else _size(text_of(raw, "a size"))
        if not self.least <= value <= self.most:
            raise ValueError(f"{value} is not between {Bytes(self.least)} and {Bytes(self.most)}")
        return value


def _size(text: str) -> Bytes:
    found = _SIZE.fullmatch(text)
    if found is None or found[2] not in _BYTES_OF or len(found[1]) > 20:
        raise ValueError(f"{named(text)} is not a size")
    return Bytes(int(found[1]) * _BYTES_OF[found[2]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer(ValueType[int]):
    """A whole number between `least` and `most`."""

    least: int = 0
    most: int = 2**31 - 1
    metavar = "N"
    hint = "write a whole number without quotes"

    def read(self, raw: object) -> int:
        """Read a TOML integer."""
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise ValueError(f"wants a whole number, not {named(raw)}")
        if not self.least <= raw <= self.most:
            raise ValueError(f"{raw} is not between {self.least} and {self.most}")
        return raw

    def read_flag(self, raw: object) -> int:
        """Read decimal digits."""
        if not isinstance(raw, str) or re.fullmatch(r"-?[0-9]{1,19}", raw) is None:
            raise ValueError(f"wants a whole number, not {named(raw)}")
        return self.read(int(raw))


@dataclass(frozen=True, slots=True)
class Switch(ValueType[bool]):
    """On or off."""

    hint = "write true or false without quotes"

    def read(self, raw: object) -> bool:
        """Read a TOML boolean (`--x` and `--no-x` give one too)."""
        if not isinstance(raw, bool):
            raise ValueError(f"wants true or false, not {named(raw)}")
        return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(ValueType[str]):
    """A printable text, all of which matches `pattern`."""

    what: str = "a text"
    pattern: str = r".+"
    metavar = "TEXT"

    def read(self, raw: object) -> str:
        """Read a TOML string."""
        text = text_of(raw, self.what)
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(f"{named(text)} is not {self.what}")
        return text


@dataclass(frozen=True, slots=True)
class Location(ValueType[Path]):
    """A path of a file or directory; it need not exist."""

    metavar = "PATH"
    hint = "write an absolute path in quotes"

    def read(self, raw: object) -> Path:
        """Read a TOML string."""
        return Path(text_of(raw, "a path"))


@dataclass(frozen=True, slots=True)
class OptionalLocation(ValueType[Path | None]):
    """A path, or "" for none."""

    metavar = "PATH"
    hint = 'write an absolute path in quotes, or "" for none'

    def read(self, raw: object) -> Path | None:
        """Read a TOML string; empty means None."""
        return None if raw == "" else Path(text_of(raw, "a path"))


@dataclass(frozen=True, slots=True)
class Listen(ValueType[Address]):
    """An address and port to listen on."""

    metavar = "ADDR:PORT"
    hint = 'write "127.0.0.1:10069", "[::1]:10069", or ":10069" for every address'

    def read(self, raw: object) -> Address:
        """Read `host:port`; an IPv6 address stands in brackets."""
        text = text_of(raw, "an address and port")
        found = _ADDRESS.fullmatch(text)
        if found is None or int(found["port"]) > 65535:
            raise ValueError(f"{named(text)} is not an address and port")
        return Address(found["six"] or found["host"] or "", int(found["port"]))


@dataclass(frozen=True, slots=True)
class Choice(ValueType[E_co]):
    """One word of a closed list."""

    words: type[E_co]
    metavar = "WORD"

    @property
    def hint(self) -> str:  # type: ignore[override]  # a constant for the other kinds
        """Name the words."""
        return "write one of " + ", ".join(f'"{word}"' for word in self.words)

    def read(self, raw: object) -> E_co:
        """Read a TOML string."""
        text = text_of(raw, "a word")
        if text not in [str(word) for word in self.words]:
            raise ValueError(f"{named(text)} is not known")
        return self.words(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Many(ValueType[tuple[T_co, ...]]):
    """A list of at least `least` values of one kind; as a flag: the flag given several times."""

    of: ValueType[T_co]
    least: int = 0
    most: int = 10_000
    many = True

    @property
    def metavar(self) -> str:  # type: ignore[override]
        """The single value's."""
        return self.of.metavar

    @property
    def hint(self) -> str:  # type: ignore[override]
        """The single value's."""
        return f"write a list in brackets; in it, {self.of.hint}" if self.of.hint else "write a list in brackets"

    def read(self, raw: object) -> tuple[T_co, ...]:
        """Read a TOML array; a reason names the place in the list."""
        if not isinstance(raw, list | tuple):
            raise ValueError(f"wants a list, not {named(raw)}")
        if not self.least <= len(raw) <= self.most:
            raise ValueError(f"wants {self.least} to {self.most} values, not {len(raw)}")
        values: list[T_co] = []
        for place, item in enumerate(raw, 1):
            try:
                values.append(self.of.read(item))
            except ValueError as error:
                raise ValueError(f"value {place}: {error}") from None
        return tuple(values)
