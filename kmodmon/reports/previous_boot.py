"""Reports of earlier boots, from the dumps that pstore kept: each is reported once.

The same report may be in a dump, in the console log beside it (Documentation/admin-guide/ramoops.rst), and in the
history, where it was stored while the machine was still up. A console log does not mark which lines user space wrote:
the field `kernel_only` of the event is false then.
"""

from collections.abc import Iterable

from kmodmon.events.event import Event
from kmodmon.events.kinds.log import PreviousBootReported
from kmodmon.events.report import KernelReport
from kmodmon.kernel.pstore import Dump
from kmodmon.reports.saved_log import explain_log
from kmodmon.subjects.reported import ReportedFingerprint, is_reported
from kmodmon.types.units import Instant

MAX_REPORTS = 64  # of one call: a directory full of dumps must not flood the history


def previous_boot_reports(
    reported: tuple[ReportedFingerprint, ...], dumps: Iterable[Dump], at: Instant
) -> tuple[Event, ...]:
    """Return an event for each report that is not in `reported`, those that ended in a panic first.

    At most MAX_REPORTS; the field `untold` of the last event is the number of those left out.
    """
    reports = [(report, dump) for dump in dumps for report in explain_log(dump.text)]
    # One oops may be in a dump of its own, in the dump of the panic that followed, and in the console log.
    reports.sort(key=lambda item: (not item[0].panic, item[1].kind == "console"))
    chosen: list[tuple[KernelReport, Dump]] = []
    omitted = 0
    for report, dump in reports:
        key = ReportedFingerprint(fingerprint=report.fingerprint, printk_usec=report.printk_usec, panic=report.panic)
        if is_reported(reported, key):
            continue
        if len(chosen) < MAX_REPORTS:
            chosen.append((report, dump))
        else:
            omitted += 1
        reported = (*reported, key)
    last = len(chosen) - 1
    return tuple(
        _event(report, dump, omitted if number == last else 0, at) for number, (report, dump) in enumerate(chosen)
    )


def _event(report: KernelReport, dump: Dump, unreported: int, at: Instant) -> Event:
    details = PreviousBootReported(
        report=report,
        dump=f"{dump.kind}-{dump.backend}",
        dump_reason=dump.reason,
        dump_realtime=dump.time_usec,
        dump_parts_missing=dump.missing,
        kernel_only=dump.kind != "console",
        unreported=unreported,
    )
    return Event(details=details, at=at, severity=report.severity, module=report.module, evidence=report.evidence)
