"""The queue between the thread that reads the trace and the one that looks up."""

import queue

import pytest

from kmodmon.kernel.trace import TraceEvent
from kmodmon.lifecycle.signals import TraceEntry, TraceKind, TraceRead
from kmodmon.sources.trace_queue import IntegrityCheck, Item, TraceBatch, TracedEvent, TraceQueue, TraceReading
from kmodmon.types.units import Usec


def batch(events: int) -> TraceBatch:
    traced = (TracedEvent(TraceEvent(event="module_free", tid=344, trace_nsec=at), None) for at in range(events))
    return TraceBatch(events=tuple(traced), adopted=False, dated=True, at_usec=Usec(0))


def test_backlog_when_turns_gave_an_event_each_then_so_many_turns_wait() -> None:
    backlog = TraceQueue(8)
    for _ in range(8):
        backlog.put_nowait(batch(1))
    with pytest.raises(queue.Full):
        backlog.put_nowait(batch(1))


def test_backlog_when_one_turn_gave_many_events_then_it_is_full() -> None:
    backlog = TraceQueue(8)
    backlog.put_nowait(batch(30))
    with pytest.raises(queue.Full):
        backlog.put_nowait(None)
    backlog.get_nowait()
    backlog.put_nowait(batch(0))
    assert backlog.qsize() == 1


def test_backlog_when_taken_from_then_in_order_and_it_is_empty() -> None:
    backlog = TraceQueue(8)
    items: list[Item] = [batch(3), IntegrityCheck(Usec(5)), None]
    for item in items:
        backlog.put_nowait(item)
    assert [backlog.get_nowait() for _ in items] == items and backlog.empty()
    with pytest.raises(queue.Empty):
        backlog.get_nowait()


def reading(*kinds: TraceKind, lost: int = 0) -> TraceReading:
    entries = tuple(TraceEntry(kind=kind, monotonic_usec=Usec(1), tid=5) for kind in kinds)
    return TraceReading(TraceRead(entries=entries), lost=lost)


@pytest.mark.parametrize(
    ("kinds", "quiet"),
    [
        ((TraceKind.EXEC, TraceKind.REQUEST), True),
        ((TraceKind.REQUEST, TraceKind.LOAD), False),
        ((TraceKind.FREE,), False),
        ((TraceKind.INIT,), False),
        ((), False),
    ],
)
def test_reading_when_users_can_cause_all_of_it_then_no_other_source_is_read(
    kinds: tuple[TraceKind, ...], quiet: bool
) -> None:
    assert reading(*kinds).reading().quiet is quiet
    assert not reading(*kinds, lost=1).reading().quiet


def test_reading_when_merged_with_a_load_then_others_are_read() -> None:
    merged = reading(TraceKind.REQUEST).merged(reading(TraceKind.LOAD))
    assert merged is not None and not merged.reading().quiet
