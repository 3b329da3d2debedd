"""The three outcomes of reading a kernel interface. Absence is a fact about the kernel, no failure, and never 0."""

import enum
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T", covariant=True)


class Observation:
    """Base of what a reading gives: facts of one moment, no judgement. Each subclass has one fold (`folds.FOLDS`)."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """It was there and could be read."""

    value: T


class AbsentReason(enum.Enum):
    """Why an interface is not there."""

    NOT_OFFERED = enum.auto()  # not built, not mounted, not of this kernel version: normal
    SWITCHED_OFF = enum.auto()  # a setting of kmodmon asks for it
    NOT_RECORDED = enum.auto()  # a recorded machine does not hold it


@dataclass(frozen=True, slots=True)
class Absent:
    """It is not there; `why` is a clause for people."""

    why: str
    reason: AbsentReason = AbsentReason.NOT_OFFERED


@dataclass(frozen=True, slots=True)
class Failed:
    """It is there, or ought to be, but could not be read; `errno` is None when the content was at fault.

    `hung`: reading it has begun and has not ended within its deadline; it may still end.
    """

    why: str
    errno: int | None = None
    hung: bool = False


Outcome: TypeAlias = Read[T] | Absent | Failed


def switched_off(setting: str) -> Absent:
    """What a source gives that the setting of this key switches off."""
    return Absent(f"switched off by {setting}", AbsentReason.SWITCHED_OFF)
