"""Which reports were told lately, in this boot or an earlier one: what pstore says again after a reboot is no news.

Remembered across boots. A report is known by its fingerprint and its stamp in printk's clock, to the microsecond. That
it ended in a panic is news all the same: an oops may be told while the machine still lives.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from kmodmon.events.event import Event, EventType
from kmodmon.types.codec import entries_from_json
from kmodmon.types.units import JsonObject

MAX_REPORTED = 512
REPEAT_USEC = 60_000_000  # a report that comes again within this time was counted, not told


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedFingerprint:
    """One report; `printk_usec` is None where the log has no stamps."""

    fingerprint: str
    printk_usec: int | None
    panic: bool = False


def add_reported(told: tuple[ReportedFingerprint, ...], events: Iterable[Event]) -> tuple[ReportedFingerprint, ...]:
    """Add the reports among the events; the same object when there is none."""
    new = tuple(
        ReportedFingerprint(fingerprint=fingerprint, printk_usec=stamp, panic=event.fields.get("panic") is True)
        for event in events
        if event.type is EventType.KERNEL_REPORT
        and isinstance(fingerprint := event.fields.get("fingerprint"), str)
        and isinstance(stamp := event.fields.get("printk_usec"), int | None)
    )
    return (*told, *new)[-MAX_REPORTED:] if new else told


def is_reported(told: Iterable[ReportedFingerprint], report: ReportedFingerprint) -> bool:
    """Whether a report was told, or came again so soon that it was only counted."""
    return any(_covers(one, report) for one in told if one.fingerprint == report.fingerprint)


def _covers(one: ReportedFingerprint, report: ReportedFingerprint) -> bool:
    if report.panic and not one.panic:
        return False
    if one.printk_usec is None or report.printk_usec is None:
        return True
    apart = report.printk_usec - one.printk_usec
    return apart == 0 or (not report.panic and 0 < apart < REPEAT_USEC)


def reported_to_json(told: tuple[ReportedFingerprint, ...]) -> JsonObject:
    """What was told, as a checkpoint."""
    return {"reports": [[one.fingerprint, one.printk_usec, one.panic] for one in told]}


def reported_from_json(document: JsonObject) -> tuple[ReportedFingerprint, ...]:
    """Undo :func:`reported_to_json`; entries of another shape are dropped."""
    rows = entries_from_json(tuple[str, int | None, bool], document.get("reports"))
    return tuple(
        ReportedFingerprint(fingerprint=fingerprint, printk_usec=printk_usec, panic=panic)
        for fingerprint, printk_usec, panic in rows
    )


def reported_joined(told: tuple[ReportedFingerprint, ...], earlier: JsonObject) -> tuple[ReportedFingerprint, ...]:
    """What was told, with what an earlier run told before."""
    return tuple(dict.fromkeys((*reported_from_json(earlier), *told)))[-MAX_REPORTED:]
