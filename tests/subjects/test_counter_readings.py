"""Readings of the kernel's counters: what moved since a moment."""

from collections.abc import Iterable

import pytest

from kmodmon.subjects.counter_readings import (
    KEPT_USEC,
    MAX_SPANS,
    TAINTED,
    UNREAD_COUNTERS,
    CounterReadings,
    with_reading,
)
from kmodmon.types.units import Instant, Usec


def at(seconds: float) -> Instant:
    usec = Usec(round(seconds * 1e6))
    return Instant(realtime_usec=usec, monotonic_usec=usec)


def readings(name: str, *rows: tuple[float, int]) -> CounterReadings:
    after = UNREAD_COUNTERS
    for seconds, value in rows:
        after = with_reading(after, {name: value}, at(seconds))
    return after


def usec(seconds: float) -> int:
    return round(seconds * 1e6)


@pytest.mark.parametrize(
    ("rows", "since", "rose"),
    [
        (((10, 0), (20, 0)), 15, False),
        (((10, 0), (20, 1)), 15, True),
        (((10, 0), (20, 1)), 20, False),
        (((10, 0), (20, 1), (30, 1)), 25, False),
        (((10, 3),), 5, True),  # printed before the first reading: 0 at boot
        (((10, 0),), 5, False),
        (((10, 9), (20, 0), (30, 1)), 15, True),  # set back to 0 by root, then counted
        (((10, 9), (20, 0), (30, 0)), 15, False),
    ],
)
def test_counter_when_read_before_and_after_a_moment_then_it_is_known_whether_it_rose(
    rows: Iterable[tuple[float, int]], since: float, rose: bool
) -> None:
    assert readings("oops_count", *rows).rose("oops_count", usec(since)) is rose


def test_taint_when_a_bit_is_new_then_it_was_gained_and_no_other() -> None:
    seen = readings(TAINTED, (10, 1 << 12), (20, 1 << 12 | 1 << 9))
    assert seen.gained(1 << 9, usec(15)) and not seen.gained(1 << 12, usec(15))
    assert seen.gained(1 << 12, usec(5)), "before the first reading no bit was set"
    assert seen.before(TAINTED, usec(15)) == 1 << 12 and seen.before(TAINTED, usec(5)) == 0


def test_number_when_it_was_never_read_then_it_did_not_move() -> None:
    assert not UNREAD_COUNTERS.has("oops_count")
    assert not UNREAD_COUNTERS.rose("oops_count", 0) and not UNREAD_COUNTERS.gained(-1, 0)


def test_readings_when_a_number_changes_for_ever_then_few_are_kept_and_no_rise_is_lost() -> None:
    fast = readings("warn_count", *((number / 100, number) for number in range(1000)))
    assert len(fast.spans["warn_count"]) <= MAX_SPANS
    assert fast.rose("warn_count", usec(0.5)) and not fast.rose("warn_count", usec(9.99))
    slow = readings("warn_count", *((number * KEPT_USEC / 1e6, number) for number in range(10)))
    assert len(slow.spans["warn_count"]) <= 3


def test_reading_when_it_gives_the_same_value_then_only_its_time_is_newer() -> None:
    seen = readings("warn_count", (1, 4), (2, 4), (3, 4))
    assert len(seen.spans["warn_count"]) == 1 and seen.read_usec("warn_count") == usec(3)
