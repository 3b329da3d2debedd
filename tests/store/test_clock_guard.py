"""When the wall clock may decide what is old: after it has gone on for an hour without a step, and not before."""

import pytest

from kmodmon.store.clock_guard import STEP_USEC, WAIT_USEC, WallClockGuard
from tests.fake_clock import FakeClock

HOUR = WAIT_USEC / 1e6


def test_wall_clock_when_the_history_begins_then_it_is_trusted_after_an_hour() -> None:
    clock = FakeClock()
    guard = WallClockGuard(last=clock.now())
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(HOUR - 1)
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(1)
    assert guard.trusted_realtime(clock.now()) == clock.realtime_usec


@pytest.mark.parametrize("step", [STEP_USEC + 1, -STEP_USEC - 1])
def test_wall_clock_when_it_steps_either_way_then_it_is_not_trusted_for_an_hour(step: int) -> None:
    clock = FakeClock()
    guard = WallClockGuard(last=clock.now())
    clock.advance(2 * HOUR)
    assert guard.trusted_realtime(clock.now()) is not None
    clock.realtime_usec += step
    clock.advance(1)
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(HOUR - 1)
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(1)
    assert guard.trusted_realtime(clock.now()) is not None


def test_wall_clock_when_it_is_slewed_then_it_stays_trusted() -> None:
    clock = FakeClock()
    guard = WallClockGuard(last=clock.now())
    clock.advance(HOUR)
    for _ in range(3):
        clock.realtime_usec += STEP_USEC
        clock.advance(60)
        assert guard.trusted_realtime(clock.now()) == clock.realtime_usec


def test_wall_clock_when_at_the_limits_then_a_step_is_over_five_minutes_and_the_wait_one_hour() -> None:
    clock = FakeClock()
    guard = WallClockGuard(last=clock.now())
    clock.advance(3_599.999_999)
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(0.000_001)
    assert guard.trusted_realtime(clock.now()) == clock.realtime_usec
    clock.realtime_usec += 300_000_000
    assert guard.trusted_realtime(clock.now()) == clock.realtime_usec
    clock.realtime_usec -= 300_000_001
    assert guard.trusted_realtime(clock.now()) is None
