"""The account of the kernel log: the sequence number of the next record, records by level and origin, records lost.

The account is a checkpoint, written in one transaction with the events of the records. After a restart, also after
SIGKILL, counting continues at `next_seq`: no record is counted twice, and every record that the ring still has is
counted. The records of a report that was incomplete at the restart are processed again from `unfinished` on, without
being counted again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.kernel.pstore import Dump
from kmodmon.subjects.log_clock import UNSET_CLOCK, LogClock, clock_from_json, clock_to_json
from kmodmon.types.codec import lenient_from_json, members_from_json, to_json, value_or_none
from kmodmon.types.outcome import Observation
from kmodmon.types.units import JsonObject

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
KERNEL, USER = "kernel", "user"


class LogMemory:
    """The state of the log reader between two batches; `kmodmon.reports.live_log` defines its content."""

    __slots__ = ()

    @property
    def in_report(self) -> bool:
        """Whether a report is open, which a second without records would complete."""
        return False

    @property
    def unsettled(self) -> bool:
        """Whether a report is open, or complete and not confirmed yet: readings of the kernel's counters decide it."""
        return self.in_report

    @property
    def waits(self) -> bool:
        """Whether the passing of time without records changes something."""
        return self.unsettled


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Where reading continues after a restart while a report is open, or waits to be confirmed."""

    since_seq: int  # of the record that opened the first report after the last moment without such a one
    reported: tuple[int, ...] = ()  # the first records of the reports that were told or counted since then


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAccount:
    """Counts since the boot, over restarts of kmodmon."""

    opened: bool = False  # the log could be read at least once in this boot
    first_seq: int | None = None  # of the oldest record that was read; 0: all of the boot; None: no record yet
    next_seq: int | None = None  # of the record that is read next; None: no record yet
    records: Mapping[tuple[str, str], int] = field(default_factory=lambda: MappingProxyType({}))  # (level, origin)
    lost: int = 0  # sequence numbers that were never read
    lost_reported: int = 0  # how many of them are in events
    malformed: int = 0  # reads that gave no record
    forged: int = 0  # records of user space (facility above 0) that imitate a report, and unconfirmed reports
    forged_reported: int = 0  # how many of them are in events
    repeats: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # signature -> without an event
    suppressed: int = 0  # reports that are in no event because their share was used up, or too many came at once
    # signature -> suppressed reports that no event has named yet
    suppressed_unnamed: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    unconfirmed: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # signature -> reports
    unfinished: Unfinished | None = None  # None: no report is open or waits
    clock: LogClock = UNSET_CLOCK

    @property
    def total(self) -> int:
        """Records counted in this boot, of all levels and origins."""
        return sum(self.records.values())

    @property
    def is_reported(self) -> bool:
        """Whether every loss, forgery and suppressed report is in an event."""
        counts = self.lost == self.lost_reported and self.forged == self.forged_reported
        return counts and not self.suppressed_unnamed


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
        "unfinished": None if unfinished is None else [unfinished.since_seq, *unfinished.reported],
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
        unfinished=Unfinished(since_seq=unfinished[0], reported=unfinished[1:]) if unfinished else None,
        clock=clock_from_json(document.get("clock")),
    )


def _level_and_origin(name: str) -> tuple[str, str]:
    level, _, origin = name.partition("/")
    return level, origin


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRead(Observation):
    """One batch of records of /dev/kmsg, as read() gave them, in order."""

    records: tuple[bytes, ...]  # empty: the log could be opened and had no record
    end: bool = False  # the next read() gave EAGAIN
    live: bool = False  # the read() before the batch gave EAGAIN too: the newest record was written just now


@dataclass(frozen=True, slots=True, kw_only=True)
class PstoreRead(Observation):
    """Dumps of earlier boots: those in pstore, and those that systemd-pstore moved to /var/lib/systemd/pstore."""

    dumps: tuple[Dump, ...]
