"""Reports of earlier boots, from the dumps that pstore kept: each is told once, whatever holds it and however often.

The same report may be in a dump, in the console's text beside it, and in the history, where it was told while the
machine was still up. A console's text does not say which lines user space wrote; that is said with the report.
"""

from collections.abc import Iterable
from dataclasses import replace

from kmodmon.events.event import Event
from kmodmon.events.kinds.log import PreviousBootReported
from kmodmon.events.report import KernelReport
from kmodmon.kernel.pstore import Dump
from kmodmon.reports.saved_log import explain_log
from kmodmon.subjects.reported import ReportedFingerprint, is_reported
from kmodmon.types.units import Instant

MAX_REPORTS = 64  # of one look; a directory full of dumps is not a reason to flood the history


def previous_boot_reports(
    told: tuple[ReportedFingerprint, ...], dumps: Iterable[Dump], at: Instant
) -> tuple[Event, ...]:
    """Give an event for each report that was not told yet, those that ended in a panic first.

    Beyond MAX_REPORTS they are not told; the last event says how many there were.
    """
    found = [(report, dump) for dump in dumps for report in explain_log(dump.text)]
    # Of one oops there may be a dump of its own, one of the panic it ended in, and the console's text.
    found.sort(key=lambda one: (not one[0].panic, one[1].kind == "console"))
    chosen: list[PreviousBootReported] = []
    unreported = 0
    for report, dump in found:
        key = ReportedFingerprint(fingerprint=report.fingerprint, printk_usec=report.printk_usec, panic=report.panic)
        if is_reported(told, key):
            continue
        if len(chosen) < MAX_REPORTS:
            chosen.append(_details(report, dump))
        else:
            unreported += 1
        told = (*told, key)
    if unreported:
        last = chosen[-1]
        chosen[-1] = replace(last, unreported=unreported)
    return tuple(_event(details, at) for details in chosen)


def _details(report: KernelReport, dump: Dump) -> PreviousBootReported:
    return PreviousBootReported(
        report=report,
        dump=f"{dump.kind}-{dump.backend}",
        dump_reason=dump.reason,
        dump_realtime=dump.time_usec,
        dump_parts_missing=dump.missing,
        kernel_only=dump.kind != "console",
    )


def _event(details: PreviousBootReported, at: Instant) -> Event:
    report = details.report
    return Event(details=details, at=at, severity=report.severity, module=report.module, evidence=report.evidence)
