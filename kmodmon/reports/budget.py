"""How many reports become events: each once a minute, and so many of each share in ten minutes; the rest is counted.

Whoever can forge reports, or provoke real ones, can make any number of different ones. So what is believed does not
share with what is not, or real reports could be silenced by others:

- CONFIRMED: the kernel's own numbers confirm them.
- NAMED: nothing can be told of them, and they name a module. An unconfirmed report has no part in this share, because
  the module it names is the choice of whoever forged it.
- OTHER: all others.

A repeat is a report with the fingerprint and the module of one that was told within the same minute, and with the same
answer: a report that is confirmed is no repeat of one that is not, which may be a forgery of it. The fingerprint alone
is made of functions, whose names another module may have, or a forgery.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.report import KernelReport

REPEAT_USEC = 60_000_000
PERIOD_USEC = 600_000_000


class Share(enum.Enum):
    """What a report draws on; the value: reports that are told in PERIOD_USEC."""

    CONFIRMED = 4096
    NAMED = 1024
    OTHER = 256


class Admission(enum.Enum):
    """What becomes of a report."""

    REPORTED = enum.auto()
    REPEATED = enum.auto()
    SUPPRESSED = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBudget:
    """What was told lately, by any clock; in memory only."""

    minute_usec: int = 0  # since when `fingerprints` were told
    fingerprints: frozenset[tuple[str, str | None, bool]] = frozenset()  # with module, and whether it was unconfirmed
    period_usec: int = 0  # since when `reported` counts
    reported: Mapping[Share, int] = field(default_factory=lambda: MappingProxyType({}))


NOTHING_REPORTED = ReportBudget()


def share_of(report: KernelReport) -> Share:
    """The share that a report draws on."""
    match report.confirmed:
        case True:
            return Share.CONFIRMED
        case None if report.module is not None:
            return Share.NAMED
        case _:
            return Share.OTHER


def same_report(report: KernelReport, other: KernelReport) -> bool:
    """Whether both are reports of the same bug."""
    return (report.fingerprint, report.module) == (other.fingerprint, other.module)


def admit(budget: ReportBudget, report: KernelReport, now_usec: int) -> tuple[ReportBudget, Admission]:
    """Decide whether a report is told."""
    if now_usec - budget.minute_usec >= REPEAT_USEC:
        budget = replace(budget, minute_usec=now_usec, fingerprints=frozenset())
    if now_usec - budget.period_usec >= PERIOD_USEC:
        budget = replace(budget, period_usec=now_usec, reported=MappingProxyType({}))
    key, share = (report.fingerprint, report.module, report.unconfirmed), share_of(report)
    if key in budget.fingerprints:
        return budget, Admission.REPEATED
    count = budget.reported.get(share, 0)
    if count >= share.value:
        return budget, Admission.SUPPRESSED
    after = MappingProxyType({**budget.reported, share: count + 1})
    return replace(budget, fingerprints=budget.fingerprints | {key}, reported=after), Admission.REPORTED
