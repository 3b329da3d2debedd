"""The kernel log as an account: which record comes next, how many came by level and origin, how many were lost.

The account is a checkpoint, written in one transaction with the events that the records gave: after a restart or a
SIGKILL counting goes on at `next_seq`, so that nothing is counted twice and nothing that the ring still holds is
missed. A report that was being put together at that moment is heard once more, from `unfinished` on, and not counted
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.codec import number_or_none
from kmodmon.kernel.pstore import Dump
from kmodmon.subjects.log_clock import UNSET_CLOCK, LogClock, clock_from_json, clock_to_json
from kmodmon.types.outcome import Observation
from kmodmon.types.units import JsonObject, JsonValue

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
# Field of LogAccount: its key in the checkpoint, which an older version of kmodmon may have written.
_COUNTS: Mapping[str, str] = MappingProxyType(
    {
        "lost": "lost",
        "lost_reported": "lost_told",
        "malformed": "malformed",
        "forged": "forged",
        "forged_reported": "forged_told",
        "suppressed": "suppressed",
    }
)


def account_to_json(account: LogAccount) -> JsonObject:
    """The account as a checkpoint."""
    unfinished = account.unfinished
    return {
        "opened": account.opened,
        "first_seq": account.first_seq,
        "next_seq": account.next_seq,
        "records": {f"{level}/{origin}": count for (level, origin), count in account.records.items()},
        "lost": account.lost,
        "lost_told": account.lost_reported,
        "malformed": account.malformed,
        "forged": account.forged,
        "forged_told": account.forged_reported,
        "repeats": dict(account.repeats),
        "suppressed": account.suppressed,
        "unfinished": None if unfinished is None else [unfinished.since, *unfinished.told],
        "clock": clock_to_json(account.clock),
    }


def account_from_json(document: JsonObject) -> LogAccount:
    """Undo :func:`account_to_json`; what has another shape counts as nothing."""
    records: dict[tuple[str, str], int] = {}
    for name, count in _numbers(document.get("records")).items():
        level, _, origin = name.partition("/")
        records[level, origin] = count
    counts = {field: number_or_none(document.get(key)) or 0 for field, key in _COUNTS.items()}
    return replace(
        NO_LOG,
        opened=document.get("opened") is True,
        first_seq=number_or_none(document.get("first_seq")),
        next_seq=number_or_none(document.get("next_seq")),
        records=MappingProxyType(records),
        repeats=MappingProxyType(_numbers(document.get("repeats"))),
        unfinished=_unfinished(document.get("unfinished")),
        clock=clock_from_json(document.get("clock")),
        **counts,
    )


def _unfinished(value: JsonValue) -> Unfinished | None:
    match value:
        case [int(since), *told]:
            return Unfinished(since=since, told=tuple(one for one in told if isinstance(one, int)))
        case _:
            return None


def _numbers(value: JsonValue) -> dict[str, int]:
    if not isinstance(value, Mapping):
        return {}
    return {name: count for name, count in value.items() if isinstance(count, int) and not isinstance(count, bool)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRead(Observation):
    """Records of /dev/kmsg as read() gave them, in order. None at all: the log could be opened, and had no more."""

    records: tuple[bytes, ...]
    end: bool = False  # nothing more was there
    live: bool = False  # and nothing had been there before: the newest of these was written just now


@dataclass(frozen=True, slots=True, kw_only=True)
class PstoreRead(Observation):
    """Dumps of earlier boots: what pstore holds, and what systemd moved out of it."""

    dumps: tuple[Dump, ...]
