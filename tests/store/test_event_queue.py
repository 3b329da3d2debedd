from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.event import Event, Severity, recorded_event
from kmodmon.store.event_queue import EventQueue, weight
from kmodmon.types.units import JsonObject
from tests.store.making import event, typical


def backlog(events: int = 100, weight: int = 1 << 20, batch: int = 10) -> EventQueue:
    return EventQueue(events=events, weight=weight, batch=batch)


def number(given: Event) -> int:
    number = given.fields["number"]
    assert isinstance(number, int)
    return number


def drained(queue: EventQueue) -> list[tuple[list[int], JsonObject]]:
    """Write everything; gives each batch's events and checkpoints."""
    batches: list[tuple[list[int], JsonObject]] = []
    while not queue.empty:
        batch = queue.front()
        batches.append(([number(each) for each in batch.events], dict(batch.checkpoints)))
        queue.done()
    return batches


def test_submissions_are_written_whole_and_with_their_checkpoints() -> None:
    queue = backlog(batch=3)
    queue.put([event(1), event(2)], {"cursor": {"seq": 2}})
    queue.put([event(3), event(4)], {"cursor": {"seq": 4}})
    queue.put([event(5)], {"cursor": {"seq": 5}})
    assert drained(queue) == [([1, 2, 3, 4], {"cursor": {"seq": 4}}), ([5], {"cursor": {"seq": 5}})]


@given(st.lists(st.integers(0, 7), max_size=30), st.integers(1, 9))
def test_no_checkpoint_is_written_before_the_events_it_speaks_of(sizes: list[int], batch: int) -> None:
    queue = backlog(events=1000, batch=batch)
    last = 0
    for size in sizes:
        queue.put([event(last + each + 1) for each in range(size)], {"cursor": {"seq": last + size}})
        last += size
    written = 0
    for events, checkpoints in drained(queue):
        assert events == list(range(written + 1, written + len(events) + 1))
        written += len(events)
        assert checkpoints == {"cursor": {"seq": written}}
    assert written == last


def test_what_is_being_written_does_not_change() -> None:
    queue = backlog()
    queue.put([event(1)], {"cursor": {"seq": 1}})
    front = queue.front()
    queue.put([event(2)], {"cursor": {"seq": 2}})
    assert ([number(each) for each in front.events], front.checkpoints) == ([1], {"cursor": {"seq": 1}})
    queue.failed()
    assert drained(queue) == [([1], {"cursor": {"seq": 1}}), ([2], {"cursor": {"seq": 2}})]


def test_full_backlog_loses_the_newcomer_among_equals() -> None:
    queue = backlog(events=3)
    assert queue.put([event(n) for n in (1, 2, 3)], {}) == ()
    assert [number(lost) for lost in queue.put([event(4)], {"cursor": {"seq": 4}})] == [4]
    assert drained(queue) == [([1, 2, 3], {"cursor": {"seq": 4}})]


def test_grave_event_replaces_the_oldest_of_the_least_grave() -> None:
    queue = backlog(events=3)
    queue.put([event(1, severity=Severity.WARNING), event(2), event(3)], {})
    lost = queue.put([event(4, severity=Severity.CRITICAL), event(5, severity=Severity.ERROR)], {})
    assert [number(each) for each in lost] == [2, 3]
    lost = queue.put([event(6, severity=Severity.CRITICAL), event(7, severity=Severity.NOTICE)], {})
    assert [number(each) for each in lost] == [1, 7]
    assert drained(queue) == [([4, 5, 6], {})]


def test_event_that_is_being_written_is_never_given_up() -> None:
    queue = backlog(events=2)
    queue.put([event(1), event(2)], {})
    queue.front()
    lost = queue.put([event(3, severity=Severity.CRITICAL)], {})
    assert [number(each) for each in lost] == [3]
    queue.failed()
    lost = queue.put([event(4, severity=Severity.CRITICAL)], {})
    assert [number(each) for each in lost] == [1]


def test_backlog_is_bounded_by_weight_too() -> None:
    heavy = recorded_event(type=event(1).type, at=event(1).at, evidence=("x" * 10_000,), fields={"number": 1})
    queue = backlog(weight=10 * weight(heavy))
    lost = queue.put([heavy] * 25, {})
    assert (len(queue), len(lost)) == (10, 15)


SEVERITIES = st.lists(st.sampled_from(Severity), max_size=40)


@given(st.lists(SEVERITIES, max_size=6), st.integers(1, 20))
def test_nothing_is_both_kept_and_lost_and_the_gravest_are_kept(given: list[list[Severity]], room: int) -> None:
    queue = backlog(events=room, batch=7)
    severities: dict[int, Severity] = {}
    lost: list[int] = []
    for submission in given:
        events = []
        for severity in submission:
            severities[len(severities) + 1] = severity
            events.append(event(len(severities), severity=severity))
        lost += [number(each) for each in queue.put(events, {})]
    assert len(queue) <= room
    kept = [place for events_of_batch, _ in drained(queue) for place in events_of_batch]
    assert kept == sorted(kept)
    assert sorted([*kept, *lost]) == sorted(severities)
    if lost:
        ranks = list(Severity)
        worst_kept = max(ranks.index(severities[place]) for place in kept)
        assert all(ranks.index(severities[place]) >= worst_kept for place in lost)
    assert len(queue) == 0 and queue.put([typical(1)], {}) == ()


@pytest.mark.parametrize(
    ("severities", "urgent"),
    [([], False), ([Severity.WARNING], False), ([Severity.INFO] * 10, True), ([Severity.ERROR], True),
     ([Severity.CRITICAL], True)],
)  # fmt: skip
def test_grave_events_and_full_batches_are_urgent(severities: Sequence[Severity], urgent: bool) -> None:
    queue = backlog(batch=10)
    queue.put([event(n, severity=severity) for n, severity in enumerate(severities)], {"c": {}})
    assert queue.urgent is urgent
    drained(queue)
    assert not queue.urgent


def test_refused_things_are_taken_out_of_the_front() -> None:
    queue = backlog()
    queue.put([event(1), event(2)], {"good": {}, "bad": {}})
    queue.front()
    assert [number(each) for each in queue.drop(1, None)] == [2]
    assert queue.drop(None, "bad") == ()
    assert drained(queue) == [([1], {"good": {}})]


def test_cleared_backlog_gives_all_that_is_lost() -> None:
    queue = backlog(batch=1)
    queue.put([event(1)], {})
    queue.put([event(2)], {})
    assert [number(each) for each in queue.clear()] == [1, 2]
    assert queue.empty and len(queue) == 0
