"""Complete reports that wait until the kernel's own numbers confirm them, at most a few seconds.

Bounded: the same report within SETTLE_USEC is one entry, and there are at most MAX_HELD entries. A flood that brings
more is decided early: an entry whose numbers were read once since it was complete, and did not move, is unconfirmed; a
real report moves them at once. Only if none was read since, which wants MAX_HELD reports within the 50 ms between two
readings, is one given up: the oldest that names no module, else the oldest.
"""

from dataclasses import dataclass, replace

from kmodmon.events.report import KernelReport
from kmodmon.reports.budget import same_report
from kmodmon.reports.corroboration import SETTLE_USEC, Decided, judge, seen_once
from kmodmon.subjects.counter_readings import CounterReadings

MAX_HELD = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldReport:
    """One report and its repeats. All moments are on CLOCK_MONOTONIC."""

    report: KernelReport
    begun_usec: int  # when the first line of the first one was written
    first_usec: int  # when the first one was complete
    complete_usec: int  # when the last one was
    numbers: tuple[int, ...]  # sequence numbers of the first lines


@dataclass(frozen=True, slots=True)
class Verdict:
    """An entry that waits no longer. `answer` None: it was given up, undecided."""

    held: HeldReport
    answer: Decided | None


def hold(held: tuple[HeldReport, ...], report: KernelReport, begun_usec: int, now_usec: int) -> tuple[HeldReport, ...]:
    """Add a report that is complete now."""
    for index, entry in enumerate(held):
        if same_report(entry.report, report) and now_usec - entry.first_usec < SETTLE_USEC:
            joined = replace(entry, complete_usec=now_usec, numbers=(*entry.numbers, report.first_line))
            return (*held[:index], joined, *held[index + 1 :])
    entry = HeldReport(
        report=report, begun_usec=begun_usec, first_usec=now_usec, complete_usec=now_usec, numbers=(report.first_line,)
    )
    return (*held, entry)


def settle(
    held: tuple[HeldReport, ...], readings: CounterReadings, now_usec: int
) -> tuple[tuple[HeldReport, ...], tuple[Verdict, ...]]:
    """Return what goes on waiting, and what is decided by now."""
    waiting: list[HeldReport] = []
    verdicts: list[Verdict] = []
    for entry in held:
        answer = judge(
            entry.report,
            readings,
            begun_usec=entry.begun_usec,
            complete_usec=entry.complete_usec,
            now_usec=now_usec,
        )
        if answer is None:
            waiting.append(entry)
        else:
            verdicts.append(Verdict(entry, answer))
    return tuple(waiting), tuple(verdicts)


def make_room(
    held: tuple[HeldReport, ...], readings: CounterReadings
) -> tuple[tuple[HeldReport, ...], tuple[Verdict, ...]]:
    """Return at most MAX_HELD entries that go on waiting, and what is decided early for want of room."""
    if len(held) <= MAX_HELD:
        return held, ()
    verdicts: list[Verdict] = []
    unread: list[HeldReport] = []
    for entry in held:
        if seen_once(entry.report, readings, begun_usec=entry.begun_usec, complete_usec=entry.complete_usec):
            verdicts.append(Verdict(entry, Decided(confirmed=False)))
        else:
            unread.append(entry)
    order = sorted(range(len(unread)), key=lambda index: unread[index].report.module is not None)  # stable
    given_up = frozenset(order[: max(0, len(unread) - MAX_HELD)])
    verdicts += (Verdict(unread[index], None) for index in sorted(given_up))
    return tuple(entry for index, entry in enumerate(unread) if index not in given_up), tuple(verdicts)
