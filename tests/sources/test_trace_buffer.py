"""Pages of several CPUs, read in turns: which events are given in a turn, in which order, and which wait."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodmon.kernel.trace import TraceEvent
from kmodmon.sources.trace_buffer import TimeOrder, TraceBuffer, TraceTurn
from kmodmon.sources.trace_queue import TracedEvent
from kmodmon.sources.tracefs import Instance
from kmodmon.system.root import Root
from tests.fake_clock import FakeClock
from tests.sources.tracefs import Tracefs, free, load
from tests.trace_maker import Made, page

SECOND = 10**9
FULL = 70  # unloads that take more than half of a page


@pytest.fixture
def tracefs(tmp_path: Path) -> Iterator[Tracefs]:
    with Tracefs(tmp_path) as made:
        yield made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(monotonic_usec=100_000_000)


@pytest.fixture
def buffer(tracefs: Tracefs, clock: FakeClock) -> Iterator[TraceBuffer]:
    root = Root(tracefs=str(tracefs.place).encode())
    opened = TraceBuffer(Instance(root, str(tracefs.instance).encode(), 65536), clock)
    yield opened
    opened.close()


def seconds(turn: TraceTurn) -> list[int]:
    return [event.trace_nsec // SECOND for event in turn.events]


def full(second: int) -> list[Made]:
    return [free(second)] * FULL


def test_buffers_when_they_are_first_polled_then_each_event_wakes_already(
    tracefs: Tracefs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # epoll enters a queue of waiting tasks once: that for a part of the buffer, if the instance still waits for one.
    set_then = []

    def open_cpu(instance: Instance, cpu: bytes) -> int:
        set_then.append(tracefs.read("buffer_percent"))
        return opened(instance, cpu)

    opened = Instance.open_cpu
    monkeypatch.setattr(Instance, "open_cpu", open_cpu)
    root = Root(tracefs=str(tracefs.place).encode())
    TraceBuffer(Instance(root, str(tracefs.instance).encode(), 65536), FakeClock()).close()
    assert set_then == ["0", "0"]


def test_buffers_when_somebody_set_the_part_to_wait_for_then_it_is_set_again(
    tracefs: Tracefs, buffer: TraceBuffer
) -> None:
    (tracefs.instance / "buffer_percent").write_text("50\n")
    buffer.open_new_cpus()
    tracefs.write(load(5))
    assert tracefs.read("buffer_percent") == "0" and buffer.wait(0.0)


def test_read_when_nothing_is_there_then_nothing_is_unread(buffer: TraceBuffer) -> None:
    assert buffer.read() == TraceTurn() and not buffer.wait(0.0)


def test_read_when_a_page_is_not_full_then_more_of_that_cpu_may_follow(tracefs: Tracefs, buffer: TraceBuffer) -> None:
    tracefs.write(load(5))
    tracefs.write(load(6))
    tracefs.write(load(7), cpu=1)
    assert buffer.wait(0.0)
    turn = buffer.read()
    assert (seconds(turn), turn.complete_until) == ([5, 7], load(5)[0])
    assert (seconds(buffer.read()), buffer.read().complete_until) == ([6], math.inf)


def test_read_when_a_page_is_full_then_the_next_one_is_read_too(tracefs: Tracefs, buffer: TraceBuffer) -> None:
    tracefs.write(*full(5))
    tracefs.write(load(6))
    tracefs.write(load(7))
    assert seconds(buffer.read()) == [5] * FULL + [6]


def test_read_when_all_is_asked_for_then_all_up_to_now(tracefs: Tracefs, buffer: TraceBuffer, clock: FakeClock) -> None:
    for second in (5, 6, 7):
        tracefs.write(load(second), cpu=second % 2)
    turn = buffer.read(everything=True)
    assert (seconds(turn), turn.complete_until) == ([6, 5, 7], clock.monotonic_usec * 1000)


def test_read_when_one_cpu_floods_then_others_are_read_in_the_same_turn(tracefs: Tracefs, buffer: TraceBuffer) -> None:
    for _ in range(14):
        tracefs.write(*full(5))
    tracefs.write(load(6), cpu=1)
    turn = buffer.read()
    assert seconds(turn)[-1] == 6 and turn.pages == 15


def test_read_when_a_page_is_unreadable_then_nothing_newer_is_complete(tracefs: Tracefs, buffer: TraceBuffer) -> None:
    tracefs.write_page(b"\xff" * 4096)
    tracefs.write(load(7), cpu=1)
    turn = buffer.read()
    assert (seconds(turn), turn.unreadable, turn.complete_until) == ([7], 1, 0)


def test_wait_when_interrupted_then_at_once_and_for_good(tracefs: Tracefs, buffer: TraceBuffer) -> None:
    tracefs.write(load(5))
    buffer.interrupt()
    assert not buffer.wait(60.0) and buffer.interrupted
    buffer.pause(60.0)


def test_buffer_when_closed_then_every_file_of_it_is(tracefs: Tracefs, clock: FakeClock) -> None:
    root = Root(tracefs=str(tracefs.place).encode())
    before = len(os.listdir("/proc/self/fd"))
    opened = TraceBuffer(Instance(root, str(tracefs.instance).encode(), 65536), clock)
    assert len(os.listdir("/proc/self/fd")) == before + 2 + 3  # the CPUs; trace_pipe, epoll, eventfd
    opened.close()
    opened.close()
    (tracefs.instance / "per_cpu/cpu1/trace_pipe_raw").unlink()
    with pytest.raises(OSError, match="cpu1"):
        TraceBuffer(Instance(root, str(tracefs.instance).encode(), 65536), clock)
    assert len(os.listdir("/proc/self/fd")) == before


def test_buffer_when_a_page_is_of_another_size_now_then_unreadable(tracefs: Tracefs, buffer: TraceBuffer) -> None:
    tracefs.write_page(page(load(5))[:2048])
    assert (buffer.read().unreadable, buffer.read().pages) == (1, 0)


def traced(*times: int) -> list[TracedEvent]:
    return [TracedEvent(TraceEvent(event="module_free", tid=1, trace_nsec=at), None) for at in times]


def times(released: tuple[TracedEvent, ...]) -> list[int]:
    return [each.event.trace_nsec for each in released]


def test_order_when_a_cpu_was_read_before_another_then_its_older_event_of_the_next_turn_comes_first() -> None:
    order = TimeOrder()
    assert times(order.release(traced(5, 30, 10), until=20)) == [5, 10] and order.holds
    assert times(order.release(traced(25, 40), until=35)) == [25, 30]
    assert times(order.release(traced(), until=math.inf)) == [40] and not order.holds


def test_order_when_times_are_of_another_clock_then_not_more_than_some_are_held() -> None:
    order = TimeOrder()
    assert times(order.release(traced(*range(100, 4196)), until=20)) == []
    assert len(order.release(traced(99), until=20)) == 4097 and not order.holds


def test_order_when_times_are_the_same_then_as_they_were_read() -> None:
    events = traced(5, 5, 5)
    released = TimeOrder().release(events, until=5)
    assert all(one is other for one, other in zip(released, events, strict=True))
