"""The kernel log as an account: which record comes next, how many came by level and origin, how many were lost.

The account is a checkpoint, written in one transaction with the events that the records gave: after a restart or a
SIGKILL counting goes on at `next_seq`, so that nothing is counted twice and nothing that the ring still holds is
missed. A report that was being put together at that moment is heard once more, from `unfinished` on, and not counted
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.kernel.pstore import Dump
from kmodmon.subjects.log_clock import UNSET_CLOCK, LogClock, clock_from_json, clock_to_json
from kmodmon.types.codec import lenient_from_json, members_from_json, to_json, value_or_none
from kmodmon.types.units import JsonObject

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
KERNEL, USER = "kernel", "user"


class LogMemory:
    """The recogniser's memory between two records; only the recogniser looks inside."""

    __slots__ = ()

    @property
    def in_report(self) -> bool:
        """Whether a report is open, so that silence must be noticed."""
        return False

    @property
    def waits(self) -> bool:
        """Whether the passing of time must be noticed."""
        return self.in_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Where the recogniser last had nothing open, and which reports (by their first record) it has told since."""

    since: int
    told: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAccount:
    """Counts of this boot. `first_seq` and `next_seq` are None until a record was read."""

    opened: bool = False  # the log could be read at least once in this boot
    first_seq: int | None = None  # the oldest record that was left at our first look; 0: all of the boot
    next_seq: int | None = None
    records: Mapping[tuple[str, str], int] = field(default_factory=lambda: MappingProxyType({}))  # (level, origin)
    lost: int = 0  # sequence numbers that were never read
    lost_reported: int = 0  # as many of them are in events already
    malformed: int = 0  # what was read and is no record; the stream goes on
    forged: int = 0  # lines of user space in words that only the kernel uses
    forged_reported: int = 0
    repeats: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # signature -> not told again
    suppressed: int = 0  # different reports beyond what is told in one window
    unfinished: Unfinished | None = None
    clock: LogClock = UNSET_CLOCK

    @property
    def total(self) -> int:
        """Records read."""
        return sum(self.records.values())

    @property
    def is_told(self) -> bool:
        """Whether every loss and forgery is in an event."""
        return self.lost == self.lost_reported and self.forged == self.forged_reported


NO_LOG = LogAccount()


def account_to_json(account: LogAccount) -> JsonObject:
    """Give the account as a checkpoint, whose keys an older version of kmodmon may have written."""
    unfinished = account.unfinished
    odd = ("records", "lost_reported", "forged_reported", "unfinished", "clock")
    return {
        **to_json(account, without=odd),
        "records": {f"{level}/{origin}": count for (level, origin), count in account.records.items()},
        "lost_told": account.lost_reported,
        "forged_told": account.forged_reported,
        "unfinished": None if unfinished is None else [unfinished.since, *unfinished.told],
        "clock": clock_to_json(account.clock),
    }


def account_from_json(document: JsonObject) -> LogAccount:
    """Undo :func:`account_to_json`; what has another shape counts as nothing."""
    records = members_from_json(int, document.get("records"))
    unfinished = value_or_none(tuple[int, ...], document.get("unfinished"))
    return lenient_from_json(
        LogAccount,
        document,
        records=MappingProxyType({_level_and_origin(name): count for name, count in records.items()}),
        lost_reported=value_or_none(int, document.get("lost_told")) or 0,
        forged_reported=value_or_none(int, document.get("forged_told")) or 0,
        unfinished=Unfinished(since=unfinished[0], told=unfinished[1:]) if unfinished else None,
        clock=clock_from_json(document.get("clock")),
    )


def _level_and_origin(name: str) -> tuple[str, str]:
    level, _, origin = name.partition("/")
    return level, origin


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRead:
    """Records of /dev/kmsg as read() gave them, in order. None at all: the log could be opened, and had no more."""

    records: tuple[bytes, ...]
    end: bool = False  # nothing more was there
    live: bool = False  # and nothing had been there before: the newest of these was written just now


@dataclass(frozen=True, slots=True, kw_only=True)
class PstoreRead:
    """Dumps of earlier boots: what pstore holds, and what systemd moved out of it."""

    dumps: tuple[Dump, ...]
