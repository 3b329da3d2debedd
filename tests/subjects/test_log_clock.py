"""Three clocks, kept apart: what a record's stamp means in wall time, over drift, steps and suspend."""

from kmodmon.subjects.log_clock import MAX_OFFSETS, UNSET_CLOCK, clock_from_json, clock_to_json
from kmodmon.types.units import Instant, Usec

SECOND = 1_000_000
WALL = 1_700_000_000 * SECOND


def at(monotonic: float, distance: float = 0.0) -> Instant:
    return Instant(
        realtime_usec=Usec(WALL + int((monotonic + distance) * SECOND)), monotonic_usec=Usec(int(monotonic * SECOND))
    )


def test_moment_when_nothing_was_read_then_it_is_unknown() -> None:
    assert UNSET_CLOCK.moment(5) is None


def test_moment_when_the_clocks_agree_then_it_is_the_stamp() -> None:
    clock = UNSET_CLOCK.after_read(at(100), None)
    assert clock.moment(40 * SECOND) == at(40)


def test_moment_when_a_record_has_no_stamp_then_it_is_the_newest_look() -> None:
    assert UNSET_CLOCK.after_read(at(100), None).moment(None) == at(100)


def test_moment_when_printk_has_drifted_then_it_is_learnt_from_a_record_read_as_it_was_written() -> None:
    clock = UNSET_CLOCK.after_read(at(1000), 948 * SECOND)
    assert clock.moment(947 * SECOND) == at(999)
    # A restart reads old records; they are no measure, and the drift is remembered.
    later = clock_from_json(clock_to_json(clock)).after_read(at(2000), None)
    assert later.moment(948 * SECOND) == at(1000)


def test_moment_when_the_reader_was_late_then_the_clocks_have_not_drifted_by_that() -> None:
    clock = UNSET_CLOCK.after_read(at(900), None).after_read(at(1000), 990 * SECOND)
    late = clock.after_read(at(1010), 994 * SECOND)  # six seconds late
    assert late.moment(995 * SECOND) == at(1005.1)  # a hundredth of the ten seconds may be drift
    assert late.after_read(at(1020), 1011 * SECOND).moment(1000 * SECOND) == at(1009)  # less is the better measure


def test_moment_when_the_stamp_is_ahead_of_us_then_it_is_not_in_the_future() -> None:
    assert UNSET_CLOCK.after_read(at(100), None).moment(400 * SECOND) == at(100)


def test_moment_when_the_machine_was_suspended_in_between_then_old_records_keep_their_wall_time() -> None:
    # Eight hours of suspend after second 100: CLOCK_MONOTONIC stood still.
    clock = UNSET_CLOCK.after_read(at(90), None).after_read(at(100), None).after_read(at(101, distance=28_800), None)
    assert clock.moment(95 * SECOND) == at(95)
    assert clock.moment(101 * SECOND) == at(101, distance=28_800)


def test_moment_when_the_wall_clock_was_set_back_then_old_records_keep_their_wall_time() -> None:
    clock = UNSET_CLOCK.after_read(at(100), None).after_read(at(200, distance=-3600), None)
    assert (clock.moment(50 * SECOND), clock.moment(150 * SECOND)) == (at(50), at(150, distance=-3600))


def test_looked_when_the_wall_clock_is_only_steered_then_nothing_piles_up() -> None:
    clock = UNSET_CLOCK
    for second in range(1000):
        clock = clock.after_read(at(second, distance=second * 0.0005), None)
    assert len(clock.last_at_offset) == 1


def test_looked_when_the_wall_clock_steps_for_ever_then_what_is_kept_is_bounded() -> None:
    clock = UNSET_CLOCK
    for second in range(100):
        clock = clock.after_read(at(second, distance=second * 60), None)
    assert len(clock.last_at_offset) == MAX_OFFSETS


def test_looked_when_a_saved_machine_goes_on_then_what_was_after_it_is_forgotten() -> None:
    clock = UNSET_CLOCK.after_read(at(5000), None).after_read(at(100, distance=9000), None)
    assert clock.last_at_offset == (at(100, distance=9000),)
