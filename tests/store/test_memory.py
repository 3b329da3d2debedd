import pytest

from kmodmon.events.query import EventQuery
from kmodmon.store.error import Refused
from kmodmon.store.interface import Pruned, RetentionLimits
from kmodmon.store.memory import MemoryHistory
from tests.store.making import BOOT, event


def test_ring_keeps_the_newest_events_and_the_chain() -> None:
    memory = MemoryHistory(BOOT, 10)
    for number in range(1, 26):
        (stored,) = memory.append([event(number)])
        assert stored.id == number
    assert [stored.id for stored in memory.events()] == list(range(16, 26))
    assert list(memory.verify()) == []
    assert memory.summary().events == 10
    assert memory.changed() == 25


def test_batch_longer_than_the_ring_is_no_trouble() -> None:
    memory = MemoryHistory(BOOT, 3)
    memory.append([event(number) for number in range(1, 9)])
    assert [stored.id for stored in memory.events()] == [6, 7, 8]
    assert list(memory.verify()) == []


def test_checkpoints_are_of_this_boot_only() -> None:
    memory = MemoryHistory(BOOT, 3)
    memory.append([], {"cursor": {"seq": 1}})
    assert memory.load_checkpoints(BOOT) == {"cursor": {"seq": 1}}
    assert memory.load_checkpoints("another") == {}
    assert list(memory.events()) == []


def test_refused_event_leaves_nothing_of_its_batch_behind() -> None:
    memory = MemoryHistory(BOOT, 3)
    with pytest.raises(Refused):
        memory.append([event(1), event(2, module="\n")], {"cursor": {}})
    assert (memory.summary().events, memory.load_checkpoints(None)) == (0, {})
    assert memory.append([event(1)])[0].id == 1


def test_newest_event_comes_first_when_asked_for() -> None:
    memory = MemoryHistory(BOOT, 3)
    stored = memory.append([event(1), event(2)])
    assert list(memory.events(EventQuery(newest_first=True))) == [stored[1], stored[0]]


def test_memory_needs_no_retention() -> None:
    memory = MemoryHistory(BOOT, 3)
    memory.append([event(1)])
    assert memory.prune(RetentionLimits(age_usec=0, size_bytes=0), None) is Pruned.DONE
    assert memory.summary().events == 1
