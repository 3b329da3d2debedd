"""Events that wait for the disk: bounded, in order, the grave ones kept longest.

What was submitted together is written together or later, never earlier: a checkpoint says "everything up to here has
been seen", so it must not reach the disk before the events that it speaks of. Therefore batches are made of whole
submissions, and the checkpoints of a batch are the newest among them.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kmodmon.events.event import Actor, Event, Process, Severity
from kmodmon.types.units import JsonObject, JsonValue

URGENT = frozenset({Severity.CRITICAL, Severity.ERROR})
_RANK = {severity: rank for rank, severity in enumerate(reversed(Severity))}  # the graver, the higher
_OBJECT_WEIGHT = 120  # bytes of a small Python object; an estimate is all that a bound needs


@dataclass(slots=True)
class EventBatch:
    """What will be one transaction."""

    events: list[Event] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)  # of the events
    checkpoints: dict[str, JsonObject] = field(default_factory=dict)


class EventQueue:
    """A queue of batches; not safe for threads by itself. `front` is being written until `done` or `failed`."""

    def __init__(self, *, events: int, weight: int, batch: int) -> None:
        self._limit_events = events
        self._limit_weight = weight
        self._batch = batch
        self._batches: deque[EventBatch] = deque()
        self._weight = 0
        self._writing = False
        self._of: Counter[Severity] = Counter()

    def __len__(self) -> int:
        return self._of.total()

    @property
    def empty(self) -> bool:
        """Nothing waits, no checkpoint either."""
        return not self._batches

    @property
    def urgent(self) -> bool:
        """A grave event waits, or a full batch: no reason to wait for more."""
        return any(self._of[severity] for severity in URGENT) or len(self) >= self._batch

    def put(self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject]) -> tuple[Event, ...]:
        """Take a submission; gives the events that had to be lost for it, or of it."""
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
                self._of[event.severity] += 1
                self._weight += size
            else:
                lost.append(event)
        batch.checkpoints.update(checkpoints)
        return tuple(lost)

    def front(self) -> EventBatch:
        """The oldest batch, to be written; it stays here and does not change until it is `done` or `failed`."""
        self._writing = True
        return self._batches[0]

    def done(self) -> None:
        """The front is written."""
        batch = self._batches.popleft()
        self._of.subtract(event.severity for event in batch.events)
        self._weight -= sum(batch.weights)
        self._writing = False

    def failed(self) -> None:
        """The front could not be written; it will be tried again."""
        self._writing = False

    def drop(self, index: int | None, section: str | None) -> tuple[Event, ...]:
        """Remove from the front what can never be written; gives the event."""
        self._writing = False
        if section is not None:
            self._batches[0].checkpoints.pop(section, None)
        if index is None:
            return ()
        return (self._remove(self._batches[0], index),)

    def clear(self) -> tuple[Event, ...]:
        """Give up everything; gives the events."""
        lost = tuple(event for batch in self._batches for event in batch.events)
        self._batches.clear()
        self._of.clear()
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
        """Give up less grave events, the oldest of the least grave first."""
        while not self._fits(size):
            victim = self._least_important(_RANK[severity])
            if victim is None:
                return
            yield victim

    def _least_important(self, rank: int) -> Event | None:
        for severity in sorted(self._of, key=_RANK.__getitem__):
            if _RANK[severity] >= rank:
                return None
            if self._of[severity] and (found := self._take_out(severity)) is not None:
                return found
        return None

    def _take_out(self, severity: Severity) -> Event | None:
        for place, batch in enumerate(self._batches):
            if place == 0 and self._writing:
                continue
            for index, event in enumerate(batch.events):
                if event.severity is severity:
                    return self._remove(batch, index)
        return None

    def _remove(self, batch: EventBatch, index: int) -> Event:
        event = batch.events.pop(index)
        self._of[event.severity] -= 1
        self._weight -= batch.weights.pop(index)
        return event


def weight(event: Event) -> int:
    """About how many bytes of memory an event holds."""
    return (
        5 * _OBJECT_WEIGHT
        + sum(_OBJECT_WEIGHT + len(line) for line in event.evidence)
        + _weigh_json(event.fields)
        + (0 if event.actor is None else _weigh_actor(event.actor))
    )


def _weigh_actor(actor: Actor) -> int:
    own = 3 * _OBJECT_WEIGHT + sum(map(_weigh_process, (actor.process, *actor.parents)))
    return own + (0 if actor.requester is None else _weigh_actor(actor.requester))


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
