"""Events and taint clues from what the recognizer found, and summary events of losses and forgeries.

Lost records and user records that imitate kernel reports may come in floods. So each kind is reported at most once per
pause, with the number since its last report. A gap in the sequence numbers of /dev/kmsg means that the ring overwrote
records before they were read (Documentation/ABI/testing/dev-kmsg). What is not reported yet is the difference of two
counters of the account, which is in the checkpoint: a restart does not forget it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from kmodmon.events.cause import Cause
from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.log import KernelReported, LogForged, LogLost, ReportsSuppressed
from kmodmon.events.kinds.module import ModuleRefused
from kmodmon.events.kinds.posture import LockdownDenied
from kmodmon.events.report import KernelReport
from kmodmon.kernel.taint import parse_letters
from kmodmon.reports.recognizer import Forgery
from kmodmon.subjects.log import LogAccount
from kmodmon.subjects.log_clock import LogClock
from kmodmon.subjects.taint import Clue
from kmodmon.types.units import Instant

# Signature of a line that the loader prints when it taints the kernel: the letter (kernel/module/main.c).
TAINT_LINES: Mapping[str, str] = MappingProxyType(
    {
        "out_of_tree": "O",
        "verification_failed": "E",
        "proprietary": "P",
        "inherited_taint": "P",
        "staging": "C",
        "test_module": "N",
        "livepatch": "K",
        "forced_load": "F",
        "dangerous_option": "U",
    }
)
_TAINT_BITS: Mapping[str, int] = MappingProxyType(
    {name: parse_letters(letter).value for name, letter in TAINT_LINES.items()}
)
LOST_PAUSE_USEC = 10_000_000
FORGED_PAUSE_USEC = 60_000_000
SUPPRESSED_PAUSE_USEC = 60_000_000  # from the first report that an event is to name
MAX_SIGNATURES = 32  # that one event names; the others are one sum


def report_event(report: KernelReport, clock: LogClock, at: Instant) -> Event:
    """Return the event of a report, with the time of its first line."""
    return Event(
        details=KernelReported(report=report),
        at=clock.moment(report.printk_usec) or at,
        severity=report.severity,
        module=report.module,
        evidence=report.evidence,
    )


def failure_event(report: KernelReport, clock: LogClock, at: Instant) -> Event:
    """Return the event of a refused module; most refusals do not name the module."""
    reason = report.reason
    return Event(
        details=ModuleRefused(
            reason="unknown" if reason is None else reason.value,
            signature=report.signature,
            symbol=report.symbol,
            comm=report.comm,
            printk_usec=report.printk_usec,
        ),
        at=clock.moment(report.printk_usec) or at,
        severity=Severity.WARNING,
        module=report.module,
        evidence=report.evidence,
    )


def denial_event(report: KernelReport, clock: LogClock, at: Instant) -> Event:
    """Return the event of what lockdown refused, other than a module."""
    return Event(
        details=LockdownDenied(
            signature=report.signature, what=report.symbol, comm=report.comm, printk_usec=report.printk_usec
        ),
        at=clock.moment(report.printk_usec) or at,
        severity=Severity.WARNING,
        evidence=report.evidence,
    )


def taint_notice_clue(notice: KernelReport, clock: LogClock, at: Instant) -> Clue | None:
    """Return what the loader's line says about a taint bit; None when the line sets no bit of TAINT_LINES."""
    bits = _TAINT_BITS.get(notice.signature)
    if bits is None:
        return None
    return Clue(
        at=clock.moment(notice.printk_usec) or at,
        bits=bits,
        cause=Cause.of_report(notice.signature) if notice.module is None else Cause.of_module(notice.module),
        module=notice.module,
        evidence=notice.evidence,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSummaries:
    """When each kind of summary was last emitted, and what waits for the end of its pause."""

    lost_reported_usec: int | None = None  # CLOCK_MONOTONIC; None: not by this process
    forged_reported_usec: int | None = None  # CLOCK_MONOTONIC; None: not by this process
    forged_sample: Forgery | None = None  # the first forgery since the last summary; None: there was none
    suppressed_since_usec: int | None = None  # CLOCK_MONOTONIC; None: no suppressed report waits for an event
    pending: bool = False  # losses, forgeries or suppressed reports are not in a summary yet


NOTHING_PENDING = PendingSummaries()


def emit_due(
    account: LogAccount, summaries: PendingSummaries, at: Instant
) -> tuple[LogAccount, PendingSummaries, tuple[Event, ...]]:
    """Return the summaries whose pause is over, and account and summaries with their counts marked as reported."""
    events: list[Event] = []
    if account.lost > account.lost_reported and _is_due(summaries.lost_reported_usec, LOST_PAUSE_USEC, at):
        events.append(_lost(account, at))
        account = replace(account, lost_reported=account.lost)
        summaries = replace(summaries, lost_reported_usec=at.monotonic_usec)
    if account.forged > account.forged_reported and _is_due(summaries.forged_reported_usec, FORGED_PAUSE_USEC, at):
        events.append(_forged(account, summaries.forged_sample, at))
        account = replace(account, forged_reported=account.forged)
        summaries = replace(summaries, forged_reported_usec=at.monotonic_usec, forged_sample=None)
    account, summaries, suppressed = _suppressed(account, summaries, at)
    events += suppressed
    pending = not account.is_reported
    return account, (summaries if summaries.pending == pending else replace(summaries, pending=pending)), tuple(events)


def _suppressed(
    account: LogAccount, summaries: PendingSummaries, at: Instant
) -> tuple[LogAccount, PendingSummaries, tuple[Event, ...]]:
    since, counts = summaries.suppressed_since_usec, account.suppressed_unnamed
    if not counts:
        return account, summaries, ()
    if since is None:
        return account, replace(summaries, suppressed_since_usec=at.monotonic_usec), ()
    if not _is_due(since, SUPPRESSED_PAUSE_USEC, at):
        return account, summaries, ()
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    others = sum(count for _, count in ordered[MAX_SIGNATURES:])
    event = Event(
        details=ReportsSuppressed(
            count=sum(counts.values()), signatures=MappingProxyType(dict(ordered[:MAX_SIGNATURES])), others=others
        ),
        at=at,
        severity=Severity.WARNING,
    )
    account = replace(account, suppressed_unnamed=MappingProxyType({}))
    return account, replace(summaries, suppressed_since_usec=None), (event,)


def _is_due(reported_usec: int | None, pause_usec: int, at: Instant) -> bool:
    return reported_usec is None or not 0 <= at.monotonic_usec - reported_usec < pause_usec


def _lost(account: LogAccount, at: Instant) -> Event:
    return Event(
        details=LogLost(lost=account.lost - account.lost_reported, next_seq=account.next_seq, lost_in_all=account.lost),
        at=at,
        severity=Severity.WARNING,
        evidence=("gap in the sequence numbers of /dev/kmsg",),
    )


def _forged(account: LogAccount, sample: Forgery | None, at: Instant) -> Event:
    return Event(
        details=LogForged(
            count=account.forged - account.forged_reported,
            signature=None if sample is None else sample.signature,
            facility=None if sample is None else sample.facility,
            seq=None if sample is None else sample.number,
        ),
        at=at,
        severity=Severity.WARNING,
        evidence=() if sample is None else (sample.text,),
    )
