"""The queue of events that wait for the disk: bounded, in order, severe events dropped last.

A checkpoint says "everything up to here was read", so it must not reach the disk before the events of the same
submission. Therefore a batch consists of whole submissions, and has the newest checkpoint of each section.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kmodmon.events.event import Actor, Event, Process, Severity
from kmodmon.types.units import JsonObject, JsonValue

URGENT = frozenset({Severity.CRITICAL, Severity.ERROR})
_RANK = {severity: rank for rank, severity in enumerate(reversed(Severity))}  # the more severe, the higher
_OBJECT_WEIGHT = 120  # bytes of a small Python object; an estimate is enough for a bound


@dataclass(slots=True)
class EventBatch:
    """The events and checkpoints of one transaction."""

    events: list[Event] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)  # of the events, in bytes of memory
    checkpoints: dict[str, JsonObject] = field(default_factory=dict)  # by section


class EventQueue:
    """A queue of batches, to be used under a lock. The batch of `front` is in use until `done` or `failed`."""

    def __init__(self, *, events: int, weight: int, batch: int) -> None:
        self._limit_events = events
        self._limit_weight = weight
        self._batch = batch
        self._batches: deque[EventBatch] = deque()
        self._weight = 0
        self._writing = False
        self._counts: Counter[Severity] = Counter()

    def __len__(self) -> int:
        return self._counts.total()

    @property
    def empty(self) -> bool:
        """Whether neither an event nor a checkpoint waits."""
        return not self._batches

    @property
    def urgent(self) -> bool:
        """Whether to write without waiting for more: an error or critical event waits, or a full batch."""
        return any(self._counts[severity] for severity in URGENT) or len(self) >= self._batch

    def put(self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject]) -> tuple[Event, ...]:
        """Add a submission; gives the events that were dropped for lack of room, of the queue or of the submission."""
        if not events and not checkpoints:
            return ()
        batch = self._open_batch()
        lost: list[Event] = []
        for event in events:
            size = weight(event)
            lost += self._make_room(event.severity, size)
            if self._fits(size):
                batch.events.append(event)
                batch.weights.append(size)
                self._counts[event.severity] += 1
                self._weight += size
            else:
                lost.append(event)
        batch.checkpoints.update(checkpoints)
        return tuple(lost)

    def front(self) -> EventBatch:
        """The oldest batch, to be written; it stays in the queue, unchanged, until `done` or `failed`."""
        self._writing = True
        return self._batches[0]

    def done(self) -> None:
        """Remove the front: it is written."""
        batch = self._batches.popleft()
        self._counts.subtract(event.severity for event in batch.events)
        self._weight -= sum(batch.weights)
        self._writing = False

    def failed(self) -> None:
        """Keep the front for another try: it could not be written."""
        self._writing = False

    def drop(self, index: int | None, section: str | None) -> tuple[Event, ...]:
        """Remove from the front an event (by index) or checkpoint (by section) that cannot be stored; gives the event.

        None: there is none to remove.
        """
        self._writing = False
        if section is not None:
            self._batches[0].checkpoints.pop(section, None)
        if index is None:
            return ()
        return (self._remove(self._batches[0], index),)

    def clear(self) -> tuple[Event, ...]:
        """Empty the queue; gives the events that were in it."""
        lost = tuple(event for batch in self._batches for event in batch.events)
        self._batches.clear()
        self._counts.clear()
        self._weight = 0
        self._writing = False
        return lost

    def _open_batch(self) -> EventBatch:
        being_written = self._writing and len(self._batches) == 1
        if not self._batches or being_written or len(self._batches[-1].events) >= self._batch:
            self._batches.append(EventBatch())
        return self._batches[-1]

    def _fits(self, size: int) -> bool:
        return len(self) < self._limit_events and self._weight + size <= self._limit_weight

    def _make_room(self, severity: Severity, size: int) -> Iterable[Event]:
        # Drops less severe events, the oldest of the least severe first.
        while not self._fits(size):
            dropped = self._drop_below(_RANK[severity])
            if dropped is None:
                return
            yield dropped

    def _drop_below(self, rank: int) -> Event | None:
        for severity in sorted(self._counts, key=_RANK.__getitem__):
            if _RANK[severity] >= rank:
                return None
            if self._counts[severity] and (oldest := self._drop_oldest(severity)) is not None:
                return oldest
        return None

    def _drop_oldest(self, severity: Severity) -> Event | None:
        for position, batch in enumerate(self._batches):
            if position == 0 and self._writing:
                continue
            for index, event in enumerate(batch.events):
                if event.severity is severity:
                    return self._remove(batch, index)
        return None

    def _remove(self, batch: EventBatch, index: int) -> Event:
        event = batch.events.pop(index)
        self._counts[event.severity] -= 1
        self._weight -= batch.weights.pop(index)
        return event


def weight(event: Event) -> int:
    """Estimate how many bytes of memory an event takes."""
    return (
        5 * _OBJECT_WEIGHT
        + sum(_OBJECT_WEIGHT + len(line) for line in event.evidence)
        + _weigh_json(event.fields)
        + (0 if event.actor is None else _weigh_actor(event.actor))
    )


def _weigh_actor(actor: Actor) -> int:
    processes = sum(map(_weigh_process, (actor.process, *actor.parents)))
    return 3 * _OBJECT_WEIGHT + processes + (0 if actor.requester is None else _weigh_actor(actor.requester))


def _weigh_process(process: Process) -> int:
    return 4 * _OBJECT_WEIGHT + sum(_OBJECT_WEIGHT + len(word) for word in process.cmdline or ())


def _weigh_json(value: JsonValue) -> int:
    match value:
        case str():
            return _OBJECT_WEIGHT + len(value)
        case Mapping():
            return _OBJECT_WEIGHT + sum(_weigh_json(name) + _weigh_json(item) for name, item in value.items())
        case list() | tuple():
            return _OBJECT_WEIGHT + sum(map(_weigh_json, value))
        case _:
            return 32
