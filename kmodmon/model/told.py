"""Which reports were told lately, in this boot or an earlier one: what pstore says again after a reboot is no news.

Remembered across boots. A report is known by its fingerprint and its stamp in printk's clock, to the microsecond. That
it ended in a panic is news all the same: an oops may be told while the machine still lives.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from kmodmon.model.event import Event, EventType
from kmodmon.model.units import JsonObject, JsonValue

MAX_TOLD = 512
REPEAT_USEC = 60_000_000  # a report that comes again within this time was counted, not told


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldReport:
    """One report; `printk_usec` is None where the log has no stamps."""

    fingerprint: str
    printk_usec: int | None
    panic: bool = False


def told_reports(told: tuple[ToldReport, ...], events: Iterable[Event]) -> tuple[ToldReport, ...]:
    """Add the reports among the events; the same object when there is none."""
    new = tuple(
        ToldReport(fingerprint=fingerprint, printk_usec=stamp, panic=event.fields.get("panic") is True)
        for event in events
        if event.type is EventType.KERNEL_REPORT
        and isinstance(fingerprint := event.fields.get("fingerprint"), str)
        and isinstance(stamp := event.fields.get("printk_usec"), int | None)
    )
    return (*told, *new)[-MAX_TOLD:] if new else told


def is_told(told: Iterable[ToldReport], report: ToldReport) -> bool:
    """Whether a report was told, or came again so soon that it was only counted."""
    return any(_covers(one, report) for one in told if one.fingerprint == report.fingerprint)


def _covers(one: ToldReport, report: ToldReport) -> bool:
    if report.panic and not one.panic:
        return False
    if one.printk_usec is None or report.printk_usec is None:
        return True
    apart = report.printk_usec - one.printk_usec
    return apart == 0 or (not report.panic and 0 < apart < REPEAT_USEC)


def told_to_json(told: tuple[ToldReport, ...]) -> JsonObject:
    """What was told, as a checkpoint."""
    return {"reports": [[one.fingerprint, one.printk_usec, one.panic] for one in told]}


def told_from_json(document: JsonObject) -> tuple[ToldReport, ...]:
    """Undo :func:`told_to_json`; entries of another shape are dropped."""
    rows = document.get("reports")
    found = (_told(row) for row in rows) if isinstance(rows, list | tuple) else ()
    return tuple(one for one in found if one is not None)


def told_joined(told: tuple[ToldReport, ...], earlier: JsonObject) -> tuple[ToldReport, ...]:
    """What was told, with what an earlier run told before."""
    return tuple(dict.fromkeys((*told_from_json(earlier), *told)))[-MAX_TOLD:]


def _told(row: JsonValue) -> ToldReport | None:
    match row:
        case [str(fingerprint), int() | None as stamp, bool(panic)]:
            return ToldReport(fingerprint=fingerprint, printk_usec=stamp, panic=panic)
        case _:
            return None
