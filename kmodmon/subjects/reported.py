"""The reports that were stored lately, in this boot or an earlier one: what pstore holds of them is not news.

Kept across boots. A report is identified by its fingerprint and the stamp of its first line in printk's clock, to the
microsecond. A report that ended in a panic is news all the same, because the oops may have been stored before.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from kmodmon.events.event import Event
from kmodmon.events.kinds.log import KernelReported
from kmodmon.types.codec import entries_from_json
from kmodmon.types.units import JsonObject

MAX_REPORTED = 512
REPEAT_USEC = 60_000_000  # a report with the same fingerprint within this time was counted and is in no event


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedFingerprint:
    """One report that is in an event."""

    fingerprint: str
    printk_usec: int | None  # of its first line; None: the log has no stamps
    panic: bool = False  # it ended in a panic

    def covers(self, other: "ReportedFingerprint") -> bool:
        """Whether the other is the same report, or came so soon after it that it was only counted."""
        if self.fingerprint != other.fingerprint or (other.panic and not self.panic):
            return False
        if self.printk_usec is None or other.printk_usec is None:
            return True
        apart_usec = other.printk_usec - self.printk_usec
        return apart_usec == 0 or (not other.panic and 0 < apart_usec < REPEAT_USEC)


def add_reported(reported: tuple[ReportedFingerprint, ...], events: Iterable[Event]) -> tuple[ReportedFingerprint, ...]:
    """Add the reports among the events; return the same object when there is none."""
    new = tuple(
        ReportedFingerprint(fingerprint=report.fingerprint, printk_usec=report.printk_usec, panic=report.panic)
        for event in events
        if isinstance(event.details, KernelReported) and (report := event.details.report)
    )
    return (*reported, *new)[-MAX_REPORTED:] if new else reported


def is_reported(reported: Iterable[ReportedFingerprint], report: ReportedFingerprint) -> bool:
    """Whether the report is in an event, or came so soon after the same one that it was only counted."""
    return any(earlier.covers(report) for earlier in reported)


def reported_to_json(reported: tuple[ReportedFingerprint, ...]) -> JsonObject:
    """Write the checkpoint."""
    return {"reports": [[report.fingerprint, report.printk_usec, report.panic] for report in reported]}


def reported_from_json(document: JsonObject) -> tuple[ReportedFingerprint, ...]:
    """Undo :func:`reported_to_json`; entries of another shape are dropped."""
    rows = entries_from_json(tuple[str, int | None, bool], document.get("reports"))
    return tuple(
        ReportedFingerprint(fingerprint=fingerprint, printk_usec=printk_usec, panic=panic)
        for fingerprint, printk_usec, panic in rows
    )


def reported_joined(reported: tuple[ReportedFingerprint, ...], earlier: JsonObject) -> tuple[ReportedFingerprint, ...]:
    """Return what this run reported behind what an earlier run did, each once, the newest MAX_REPORTED."""
    return tuple(dict.fromkeys((*reported_from_json(earlier), *reported)))[-MAX_REPORTED:]
