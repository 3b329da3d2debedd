"""How far each signal covers the past: at each limit, and a microsecond beyond it."""

import pytest

from kmodmon.lifecycle.coverage import SignalCoverage
from kmodmon.lifecycle.inventory import Loaded
from kmodmon.lifecycle.pending import LEFT, Discrepancy, Lifecycle, LifecycleContext
from kmodmon.lifecycle.signals import TraceEntry, TraceKind
from kmodmon.types.units import Instant, Usec

START, MOMENT, NOW = 50_000_000, 80_000_000, 100_000_000
MARGIN, READ = 1_000_000, 40_000


def instant(usec: int) -> Instant:
    """A moment of a host whose clock of the time of day is 7 seconds ahead of its uptime."""
    return Instant(realtime_usec=Usec(usec + 7_000_000), monotonic_usec=Usec(usec))


def coverage(
    trace_since: int | None = None, intact: int | None = None, listed: int | None = None, *, expected: bool = False
) -> SignalCoverage:
    since, intact_at, listed_at = (None if each is None else instant(each) for each in (trace_since, intact, listed))
    lifecycle = Lifecycle(trace_since=since, trace_intact=intact_at, listed_at=listed_at)
    context = LifecycleContext(at=instant(NOW), started=instant(START), resumed=False, trace_expected=expected)
    return SignalCoverage(lifecycle, context)


def entry(usec: int) -> TraceEntry:
    return TraceEntry(kind=TraceKind.LOAD, monotonic_usec=Usec(usec), tid=7, module="m")


@pytest.mark.parametrize(
    ("covered", "is_first", "is_read", "may_report"),
    [
        (coverage(), True, False, False),
        (coverage(listed=MOMENT), False, False, False),
        (coverage(trace_since=MOMENT), True, True, True),
        (coverage(expected=True), True, False, True),
    ],
)
def test_coverage_when_nothing_or_something_was_read_then_it_is_known(
    covered: SignalCoverage, is_first: bool, is_read: bool, may_report: bool
) -> None:
    assert (covered.is_first_reading, covered.is_trace_read, covered.may_trace_report) == (
        is_first,
        is_read,
        may_report,
    )


@pytest.mark.parametrize(
    ("trace_since", "is_complete"),
    [(None, False), (MOMENT, False), (MOMENT - MARGIN, False), (MOMENT - MARGIN - 1, True)],
)
def test_trace_when_it_began_a_margin_before_a_moment_then_it_is_complete_since(
    trace_since: int | None, is_complete: bool
) -> None:
    assert coverage(trace_since).is_trace_complete_since(instant(MOMENT)) is is_complete


@pytest.mark.parametrize(
    ("intact", "is_confirmed"),
    [(None, False), (MOMENT, False), (MOMENT + READ, False), (MOMENT + READ + 1, True)],
)
def test_trace_when_found_intact_clearly_after_a_moment_then_it_is_confirmed_past_it(
    intact: int | None, is_confirmed: bool
) -> None:
    assert coverage(START, intact).is_trace_confirmed_past(instant(MOMENT)) is is_confirmed


@pytest.mark.parametrize(
    ("listed", "is_read_since"),
    [(None, False), (MOMENT, False), (MOMENT + MARGIN, False), (MOMENT + MARGIN + 1, True)],
)
def test_list_when_read_a_margin_after_a_moment_then_it_is_read_since(listed: int | None, is_read_since: bool) -> None:
    assert coverage(listed=listed).is_list_read_since(instant(MOMENT)) is is_read_since


@pytest.mark.parametrize(
    ("trace_since", "signals", "loaded_at", "present_at", "is_traced"),
    [
        (None, "trace", MOMENT, MOMENT, False),
        (MOMENT, "trace", MOMENT + 1, None, True),  # the trace began before the load
        (MOMENT, "trace", MOMENT, None, False),
        (MOMENT, "trace", None, None, False),
        (MOMENT, "list", MOMENT + 1, None, False),
        (MOMENT, "list", None, MOMENT + MARGIN, False),
        (MOMENT, "list", None, MOMENT + MARGIN + 1, True),  # the trace is complete since it was last listed
        (MOMENT, "trace", MOMENT, MOMENT + MARGIN + 1, True),
        (NOW - 1, "trace", NOW, None, True),  # of the discrepancy's own moment
        (NOW, "trace", NOW + 1, None, True),
        (NOW + 1, "trace", NOW + 2, None, False),
    ],
)
def test_unload_when_the_trace_covers_all_since_the_module_was_loaded_then_it_would_be_traced(
    trace_since: int | None, signals: str, loaded_at: int | None, present_at: int | None, is_traced: bool
) -> None:
    at, present = (None if each is None else instant(each) for each in (loaded_at, present_at))
    loaded = Loaded(before_start=False, at=at, signals=(signals,))
    discrepancy = Discrepancy(kind=LEFT, since=instant(NOW), present_at=present)
    assert coverage(trace_since).is_end_traced(loaded, discrepancy) is is_traced


@pytest.mark.parametrize(
    ("covered", "usec"),
    [
        (coverage(), NOW - MOMENT),  # without a trace: until now
        (coverage(expected=True), NOW - MOMENT),
        (coverage(trace_since=START), 0),  # with a trace: as far as it is read to its end
        (coverage(trace_since=START, intact=MOMENT + 5), 5),
    ],
)
def test_init_when_it_runs_then_its_time_is_counted_as_far_as_the_trace_is_read(
    covered: SignalCoverage, usec: int
) -> None:
    assert covered.init_time(instant(MOMENT)) == usec
    assert covered.age(instant(MOMENT)) == NOW - MOMENT


def test_trace_event_when_dated_then_on_both_clocks_and_before_or_after_the_start() -> None:
    assert coverage().time_of(entry(MOMENT)) == instant(MOMENT)
    before = [coverage().is_before_start(entry(usec)) for usec in (START - 1, START, START + 1)]
    assert before == [True, False, False]
