"""Reports of earlier boots, from the dumps that pstore kept: each is told once, whatever holds it and however often.

The same report may be in a dump, in the console's text beside it, and in the history, where it was told while the
machine was still up. A console's text does not say which lines user space wrote; that is said with the report.
"""

from collections.abc import Iterable

from kmodmon.kernel.pstore import Dump
from kmodmon.model.event import Event, EventType
from kmodmon.model.report import KernelReport
from kmodmon.model.told import ToldReport, is_told, told_reports
from kmodmon.model.units import Instant
from kmodmon.signatures.offline import explain_log

READ_KINDS = frozenset({"dmesg", "console"})
MAX_REPORTS = 64  # of one look; a directory full of dumps is not a reason to flood the history


def earlier_reports(told: tuple[ToldReport, ...], dumps: Iterable[Dump], at: Instant) -> tuple[Event, ...]:
    """Give an event for each report that was not told yet, in the order of the dumps."""
    events: list[Event] = []
    # The kernel's own dumps first: the console tells less of the same.
    for dump in sorted(dumps, key=lambda one: one.kind == "console"):
        for report in explain_log(dump.text):
            known = is_told(told, report.fingerprint, report.printk_usec, repeats=not report.panic)
            if known or len(events) >= MAX_REPORTS:
                continue
            event = _event(report, dump, at)
            events.append(event)
            told = told_reports(told, (event,))
    return tuple(events)


def _event(report: KernelReport, dump: Dump, at: Instant) -> Event:
    return Event(
        type=EventType.KERNEL_REPORT,
        at=at,
        severity=report.severity,
        module=report.module,
        evidence=report.evidence,
        fields={
            **report.fields(),
            "printk_usec": report.printk_usec,
            "previous_boot": True,
            "dump": f"{dump.kind}-{dump.backend}",
            "dump_reason": dump.reason,
            "dump_realtime": dump.time_usec,
            "dump_parts_missing": dump.missing,
            "kernel_only": dump.kind != "console",
        },
    )
