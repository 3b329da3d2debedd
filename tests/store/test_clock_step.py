"""The wall clock steps while the history is written: by hours, in both directions, and across a boot."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kmodmon.__main__ import main
from kmodmon.events.event import Event
from kmodmon.events.query import EventQuery
from kmodmon.store.backend import DiskBackend
from kmodmon.store.clock_guard import STEP_USEC, WAIT_USEC, WallClockGuard
from kmodmon.store.interface import HistoryStore, RetentionLimits
from kmodmon.store.memory import MemoryHistory
from kmodmon.store.sqlite import SqliteHistory
from tests.fake_clock import FakeClock
from tests.store.making import BOOT, SECOND, START, event
from tests.store.watching import BRISK, Watched

NEXT_BOOT = "00000000-aaaa-4bbb-8ccc-dddddddddddd"
HOUR = 3600
DAY = 24 * HOUR
AGE = RetentionLimits(age_usec=DAY * SECOND)
STEPS = [5 * HOUR, -5 * HOUR, 400 * DAY, -400 * DAY]


class Boot:
    """A writer of one boot whose retention runs after each event, and whose events are dated by its clock."""

    def __init__(self, directory: Path, clock: FakeClock, boot_id: str = BOOT) -> None:
        self.clock = clock
        backend = DiskBackend(directory=directory, boot_id=boot_id, busy_seconds=0.01)
        self.watched = Watched(backend, replace(BRISK, retention=AGE, prune_after=1), clock)

    def write(self, count: int = 1) -> None:
        """Record events a second apart, each acknowledged before the next."""
        for _ in range(count):
            self.clock.advance(1)
            number = len(self.watched.stored) + 1
            self.watched.put(event(number, at=self.clock.realtime_usec))
            self.watched.acknowledged(number)

    def step(self, seconds: int) -> None:
        """Set the wall clock; CLOCK_MONOTONIC goes on as before."""
        self.clock.realtime_usec += seconds * SECOND

    def close(self) -> None:
        """Stop the writer; the retention that the last event caused has run then."""
        self.watched.close()


def clock_at(realtime_usec: int, monotonic_seconds: int = 100) -> FakeClock:
    return FakeClock(realtime_usec=realtime_usec, monotonic_usec=monotonic_seconds * SECOND)


def ids(directory: Path) -> list[int]:
    history = SqliteHistory(directory, BOOT)
    try:
        assert list(history.verify()) == []
        return [stored.id for stored in history.events()]
    finally:
        history.close()


# The guard.


def guarded(elapsed: float = 0.0) -> tuple[WallClockGuard, FakeClock]:
    """A guard that has watched a steady clock for so many seconds."""
    clock = clock_at(START)
    guard = WallClockGuard(clock.now())
    for _ in range(int(elapsed // 600)):
        clock.advance(600)
        guard.trusted_realtime(clock.now())
    return guard, clock


def test_guard_when_it_is_younger_than_an_hour_then_the_clock_is_not_trusted() -> None:
    guard, clock = guarded()
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(HOUR - 1)
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(1)
    assert guard.trusted_realtime(clock.now()) == START + HOUR * SECOND


@pytest.mark.parametrize("step", STEPS)
def test_guard_when_the_clock_steps_then_it_is_not_trusted_for_an_hour(step: int) -> None:
    guard, clock = guarded(2 * HOUR)
    assert guard.trusted_realtime(clock.now()) == clock.realtime_usec
    clock.realtime_usec += step * SECOND
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(HOUR - 1)
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(1)
    assert guard.trusted_realtime(clock.now()) == clock.realtime_usec


@pytest.mark.parametrize("sign", [1, -1])
def test_guard_when_the_clock_is_corrected_by_minutes_then_it_stays_trusted(sign: int) -> None:
    guard, clock = guarded(2 * HOUR)
    for _ in range(10):  # a clock that is slewed, or corrected again and again, is not one that was set wrong
        clock.advance(600)
        clock.realtime_usec += sign * STEP_USEC
        assert guard.trusted_realtime(clock.now()) == clock.realtime_usec
    clock.realtime_usec += sign * (STEP_USEC + 1)
    assert guard.trusted_realtime(clock.now()) is None


def test_guard_when_the_clock_steps_again_then_the_hour_begins_again() -> None:
    guard, clock = guarded(2 * HOUR)
    clock.realtime_usec += 5 * HOUR * SECOND
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(HOUR / 2)
    clock.realtime_usec -= 5 * HOUR * SECOND
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(HOUR - 1)
    assert guard.trusted_realtime(clock.now()) is None
    clock.advance(1)
    assert guard.trusted_realtime(clock.now()) == clock.realtime_usec


def test_guard_when_the_host_was_suspended_then_it_waits_an_hour_as_after_a_step() -> None:
    guard, clock = guarded(2 * HOUR)
    clock.realtime_usec += 8 * HOUR * SECOND  # CLOCK_MONOTONIC does not count the suspend
    assert guard.trusted_realtime(clock.now()) is None
    clock.monotonic_usec += WAIT_USEC
    clock.realtime_usec += WAIT_USEC
    assert guard.trusted_realtime(clock.now()) == clock.realtime_usec


# Writing and retention.


@pytest.mark.parametrize("step", STEPS)
def test_events_when_the_clock_steps_while_they_are_written_then_ids_and_order_stay(tmp_path: Path, step: int) -> None:
    clock = clock_at(START + 1000 * DAY * SECOND)
    boot = Boot(tmp_path, clock)
    boot.write(3)
    boot.step(step)
    boot.write(3)
    boot.step(-step)
    boot.write(3)
    boot.close()
    assert [stored.id for stored in boot.watched.stored] == list(range(1, 10))
    assert ids(tmp_path) == list(range(1, 10))
    history = SqliteHistory(tmp_path, BOOT)
    walls = [stored.event.at.realtime_usec for stored in history.events()]
    assert walls != sorted(walls)  # nothing was dated anew, and nothing sorted by its date
    assert [stored.id for stored in history.events(EventQuery(newest_first=True))] == list(range(9, 0, -1))
    assert [stored.event.fields["number"] for stored in history.events()] == list(range(1, 10))
    history.close()


@pytest.mark.parametrize("step", STEPS)
def test_events_when_the_next_boot_has_another_wall_clock_then_ids_and_order_go_on(tmp_path: Path, step: int) -> None:
    first = Boot(tmp_path, clock_at(START + 1000 * DAY * SECOND, monotonic_seconds=90_000))
    first.write(3)
    first.close()
    clock = clock_at(first.clock.realtime_usec + step * SECOND, monotonic_seconds=5)
    second = Boot(tmp_path, clock, NEXT_BOOT)
    second.write(3)
    second.close()
    assert ids(tmp_path) == [1, 2, 3, 4, 5, 6]  # and the young boot's clock judged nobody's age
    history = SqliteHistory(tmp_path, NEXT_BOOT)
    assert [stored.boot_id for stored in history.events()] == [BOOT] * 3 + [NEXT_BOOT] * 3
    history.close()


def test_retention_when_the_clock_steps_forward_then_nothing_is_removed_until_it_stayed_for_an_hour(
    tmp_path: Path,
) -> None:
    boot = Boot(tmp_path, clock_at(START))
    boot.write(4)
    boot.clock.advance(2 * HOUR)
    boot.write()  # the clock is trusted now, and all are younger than a day
    boot.step(400 * DAY)
    boot.write()
    boot.clock.advance(HOUR - 10)
    boot.write()
    boot.close()
    assert ids(tmp_path) == [1, 2, 3, 4, 5, 6, 7]


def test_retention_when_the_clock_steps_forward_and_stays_then_what_it_makes_old_is_removed(tmp_path: Path) -> None:
    boot = Boot(tmp_path, clock_at(START))
    boot.write(4)
    boot.step(400 * DAY)
    boot.write(2)
    boot.clock.advance(HOUR)
    boot.write()
    boot.close()
    assert ids(tmp_path) == [5, 6, 7]


def test_retention_when_the_clock_steps_forward_by_mistake_and_back_then_nothing_is_lost(tmp_path: Path) -> None:
    boot = Boot(tmp_path, clock_at(START))
    boot.write(4)
    boot.clock.advance(2 * HOUR)
    boot.step(400 * DAY)
    boot.write(2)
    boot.clock.advance(HOUR / 2)
    boot.step(-400 * DAY)
    boot.write(2)
    boot.clock.advance(2 * HOUR)
    boot.write()
    boot.close()
    assert ids(tmp_path) == list(range(1, 10))


@pytest.mark.parametrize("step", [-5 * HOUR, -400 * DAY])
def test_retention_when_the_clock_steps_back_then_the_events_before_the_step_are_not_kept_for_ever(
    tmp_path: Path, step: int
) -> None:
    boot = Boot(tmp_path, clock_at(START))
    boot.write(4)
    boot.clock.advance(2 * HOUR)
    boot.step(step)
    boot.write(2)
    within_the_hour = list(boot.watched.writer.reader().events())
    assert [stored.id for stored in within_the_hour] == [1, 2, 3, 4, 5, 6]
    boot.clock.advance(DAY + 6 * HOUR)
    boot.write(2)
    boot.close()
    assert ids(tmp_path) == [7, 8]


# Asking.


def across_steps() -> list[Event]:
    """Events whose dates rise, fall by five hours, rise by a year, fall to 1970, and are right again."""
    offsets = [
        0,
        600,
        1200,
        1200 - 5 * HOUR,
        1800 - 5 * HOUR,
        365 * DAY,
        365 * DAY + 600,
        -(START // SECOND),
        2400,
        3000,
    ]
    return [event(number, at=START + offset * SECOND) for number, offset in enumerate(offsets, 1)]


def on_disk(directory: Path) -> HistoryStore:
    return SqliteHistory(directory, BOOT)


def in_memory(directory: Path) -> HistoryStore:
    return MemoryHistory(BOOT)


@pytest.mark.parametrize("make", [on_disk, in_memory])
@pytest.mark.parametrize("module", [None, "e1000e"])
def test_query_when_dates_do_not_rise_with_ids_then_every_event_of_the_span_is_given_in_the_order_of_ids(
    tmp_path: Path, make: Callable[[Path], HistoryStore], module: str | None
) -> None:
    history = make(tmp_path)
    stored = history.append(across_steps())
    moments = sorted({entry.event.at.realtime_usec for entry in stored})
    for since in (None, *moments):
        for until in (None, *moments):
            expected = [
                entry.id
                for entry in stored
                if (since is None or entry.event.at.realtime_usec >= since)
                and (until is None or entry.event.at.realtime_usec < until)
            ]
            query = EventQuery(since_usec=since, until_usec=until, module=module)
            assert [entry.id for entry in history.events(query)] == expected
            newest = replace(query, newest_first=True, limit=2)
            assert [entry.id for entry in history.events(newest)] == expected[::-1][:2]
    history.close()


def shown(capsys: pytest.CaptureFixture[str], directory: Path, *words: str) -> list[str]:
    """The modules that `kmodmon events` shows, in its order."""
    assert main(["events", "--state-dir", str(directory), *words]) == 0
    return [line.split(" Module ")[1].split()[0] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("dates", "now", "expected"),
    [
        # The clock was five hours fast and was set back: what was recorded minutes ago is dated in the future.
        ([-90, -10, -300, -295], -290, {"30m": "abcd", "4h": "abcd", "1m": "ab"}),
        # It was five hours slow and was set forward: what was recorded minutes ago looks five hours old.
        ([-600, -305, -2, -1], 0, {"30m": "cd", "6h": "bcd", "11h": "abcd"}),
        # The host was rebooted without a working real-time clock, and the network set the time a little later.
        ([-600, -60, -(START // SECOND // 60), -5], 0, {"30m": "d", "2h": "bd", "11h": "abd", "@0": "abcd"}),
    ],
)
def test_events_since_when_the_clock_has_stepped_then_shows_what_is_dated_since_then_in_the_order_of_recording(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    dates: Sequence[int],
    now: int,
    expected: dict[str, str],
) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    history.append(
        [
            event(number, module=name, at=START + minutes * 60 * SECOND)
            for number, (name, minutes) in enumerate(zip("abcd", dates, strict=True), 1)
        ]
    )
    history.close()
    monkeypatch.setattr("kmodmon.cli.events.SystemClock", lambda: clock_at(START + now * 60 * SECOND))
    assert shown(capsys, tmp_path) == list("abcd")  # without a span all are shown, in the order of recording
    for span, names in expected.items():
        assert shown(capsys, tmp_path, "--since", span) == list(names), span
        assert shown(capsys, tmp_path, "--since", span, "--limit", "1") == list(names[-1:]), span
