"""What the recogniser understood, as events and as clues to taint bits; and what is told in sums.

Losses and forgeries may come in floods: the first is told at once, what follows as one event after a pause. What is not
told yet is the difference of two numbers of the account, so that a restart does not forget it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from kmodmon.events.cause import Cause
from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.log import KernelReported, LogForged, LogLost
from kmodmon.events.kinds.module import ModuleRefused
from kmodmon.events.kinds.posture import LockdownDenied
from kmodmon.events.report import KernelReport
from kmodmon.kernel.taint import parse_letters
from kmodmon.reports.recognizer import Forgery
from kmodmon.subjects.log import LogAccount
from kmodmon.subjects.log_clock import LogClock
from kmodmon.subjects.taint import Clue
from kmodmon.types.units import Instant

# What the loader says when it taints, and the letter it means (kernel/module/main.c).
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


def report_event(report: KernelReport, clock: LogClock, at: Instant) -> Event:
    """A report as event, dated by its first line."""
    return Event(
        details=KernelReported(report=report),
        at=clock.moment(report.printk_usec) or at,
        severity=report.severity,
        module=report.module,
        evidence=report.evidence,
    )


def failure_event(report: KernelReport, clock: LogClock, at: Instant) -> Event:
    """A module that the kernel refused; most refusals name none."""
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
    """Something other than a module that lockdown refused."""
    return Event(
        details=LockdownDenied(
            signature=report.signature, what=report.symbol, comm=report.comm, printk_usec=report.printk_usec
        ),
        at=clock.moment(report.printk_usec) or at,
        severity=Severity.WARNING,
        evidence=report.evidence,
    )


def taint_line_clue(saying: KernelReport, clock: LogClock, at: Instant) -> Clue | None:
    """What the loader said of a taint, as a clue to the bit; None for what sets no bit that is known."""
    bits = _TAINT_BITS.get(saying.signature)
    if bits is None:
        return None
    return Clue(
        at=clock.moment(saying.printk_usec) or at,
        bits=bits,
        cause=Cause.of_report(saying.signature) if saying.module is None else Cause.of_module(saying.module),
        module=saying.module,
        evidence=saying.evidence,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSummaries:
    """When losses and forgeries were last told (CLOCK_MONOTONIC, None: never), and an example of what is not told."""

    lost_reported: int | None = None
    forged_reported: int | None = None
    forgery: Forgery | None = None
    owed: bool = False


NOTHING_PENDING = PendingSummaries()


def emit_due(
    account: LogAccount, dues: PendingSummaries, at: Instant
) -> tuple[LogAccount, PendingSummaries, tuple[Event, ...]]:
    """Tell what was lost or forged and is not told yet, unless the pause still lasts."""
    events: list[Event] = []
    if account.lost > account.lost_reported and _is_time(dues.lost_reported, LOST_PAUSE_USEC, at):
        events.append(_lost(account, at))
        account = replace(account, lost_reported=account.lost)
        dues = replace(dues, lost_reported=at.monotonic_usec)
    if account.forged > account.forged_reported and _is_time(dues.forged_reported, FORGED_PAUSE_USEC, at):
        events.append(_forged(account, dues.forgery, at))
        account = replace(account, forged_reported=account.forged)
        dues = replace(dues, forged_reported=at.monotonic_usec, forgery=None)
    owed = not account.is_told
    return account, (dues if dues.owed == owed else replace(dues, owed=owed)), tuple(events)


def _is_time(told: int | None, pause: int, at: Instant) -> bool:
    return told is None or not 0 <= at.monotonic_usec - told < pause


def _lost(account: LogAccount, at: Instant) -> Event:
    return Event(
        details=LogLost(lost=account.lost - account.lost_reported, next_seq=account.next_seq, lost_in_all=account.lost),
        at=at,
        severity=Severity.WARNING,
        evidence=("gap in the sequence numbers of /dev/kmsg",),
    )


def _forged(account: LogAccount, example: Forgery | None, at: Instant) -> Event:
    return Event(
        details=LogForged(
            count=account.forged - account.forged_reported,
            signature=None if example is None else example.signature,
            facility=None if example is None else example.facility,
            seq=None if example is None else example.number,
        ),
        at=at,
        severity=Severity.WARNING,
        evidence=() if example is None else (example.text,),
    )
