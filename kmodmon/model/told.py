"""Which reports were told lately, in this boot or an earlier one: what pstore says again after a reboot is no news.

Remembered across boots. A report is known by its fingerprint and its stamp in printk's clock, to the microsecond.
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


def told_reports(told: tuple[ToldReport, ...], events: Iterable[Event]) -> tuple[ToldReport, ...]:
    """Add the reports among the events; the same object when there is none."""
    new = tuple(
        ToldReport(fingerprint=fingerprint, printk_usec=stamp if isinstance(stamp, int) else None)
        for event in events
        if event.type is EventType.KERNEL_REPORT
        and isinstance(fingerprint := event.fields.get("fingerprint"), str)
        and isinstance(stamp := event.fields.get("printk_usec"), int | None)
    )
    return (*told, *new)[-MAX_TOLD:] if new else told


def is_told(told: Iterable[ToldReport], fingerprint: str, printk_usec: int | None, *, repeats: bool) -> bool:
    """Whether a report was told; with `repeats` also one that came again so soon that it was only counted."""
    for one in told:
        if one.fingerprint != fingerprint:
            continue
        if one.printk_usec is None or printk_usec is None or one.printk_usec == printk_usec:
            return True
        if repeats and 0 < printk_usec - one.printk_usec < REPEAT_USEC:
            return True
    return False


def told_to_json(told: tuple[ToldReport, ...]) -> JsonObject:
    """What was told, as a checkpoint."""
    return {"reports": [[one.fingerprint, one.printk_usec] for one in told]}


def told_from_json(document: JsonObject) -> tuple[ToldReport, ...]:
    """Undo :func:`told_to_json`; entries of another shape are dropped."""
    rows = document.get("reports")
    found = (_told(row) for row in rows) if isinstance(rows, list | tuple) else ()
    return tuple(one for one in found if one is not None)


def _told(row: JsonValue) -> ToldReport | None:
    match row:
        case [str(fingerprint), None]:
            return ToldReport(fingerprint=fingerprint, printk_usec=None)
        case [str(fingerprint), int(stamp)]:
            return ToldReport(fingerprint=fingerprint, printk_usec=stamp)
        case _:
            return None
