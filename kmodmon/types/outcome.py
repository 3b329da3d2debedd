"""The three outcomes of looking at a kernel interface. Absence is a fact about the kernel, no failure, and never 0."""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T", covariant=True)

SWITCHED_OFF = "switched off by "  # begins the `why` of an Absent that a setting asks for


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """It was there and could be read."""

    value: T


@dataclass(frozen=True, slots=True)
class Absent:
    """The kernel does not offer it here (not built, not mounted, not of this version): normal, and said."""

    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It is there, or ought to be, but could not be read; `errno` is None when the content was at fault."""

    why: str
    errno: int | None = None


Outcome: TypeAlias = Read[T] | Absent | Failed
