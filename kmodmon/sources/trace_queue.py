"""The queue between the thread that reads the trace and the thread that looks up its tasks."""

import queue
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from kmodmon.kernel.trace import TraceEvent
from kmodmon.lifecycle.signals import TraceKind, TraceRead
from kmodmon.sources.source import Reading
from kmodmon.types.outcome import Read
from kmodmon.types.units import Usec

if TYPE_CHECKING:
    from kmodmon.sources.actor import ProcSnapshot

_PROVOKABLE = frozenset({TraceKind.EXEC, TraceKind.REQUEST})


@dataclass(frozen=True, slots=True)
class TracedEvent:
    """An event with what was read of its task at once."""

    event: TraceEvent
    snapshot: "ProcSnapshot | None"  # None: the task had exited, or it was not looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceBatch:
    """The events of one turn of reading, in the order of time, with snapshots of their tasks."""

    events: tuple[TracedEvent, ...]
    lost: int = 0
    unreadable: int = 0  # pages
    adopted: bool  # an earlier run left the events in the buffer
    dated: bool  # the buffer's clock is CLOCK_MONOTONIC, so the events have usable times
    at_usec: Usec  # CLOCK_MONOTONIC after the snapshots


@dataclass(frozen=True, slots=True)
class IntegrityCheck:
    """Asks whether the events are still enabled. Everything traced before `at_usec` is in the queue before it."""

    at_usec: Usec


@dataclass(frozen=True, slots=True)
class TraceReading:
    """One reading of the trace, which may still be merged with the next one."""

    read: TraceRead
    lost: int = 0
    unreadable: int = 0
    quiet: bool = False

    def reading(self) -> Reading:
        """What is emitted. Execs and requests have changed no module yet, so nothing else is read because of them."""
        quiet = self.quiet or self.only_provokable
        return Reading(outcome=Read(self.read), lost=self.lost, unreadable=self.unreadable, quiet=quiet)

    @property
    def only_provokable(self) -> bool:
        """Whether it only has events that any user can cause; they are emitted with those that they cause."""
        entries = self.read.entries
        return bool(entries) and not self.lost and all(entry.kind in _PROVOKABLE for entry in entries)

    def merged(self, after: "TraceReading") -> "TraceReading | None":
        """Both as one, if both only bring entries."""
        if any(read.began or read.adopted or read.intact for read in (self.read, after.read)):
            return None
        both = replace(after.read, entries=self.read.entries + after.read.entries)
        return replace(after, read=both, lost=self.lost + after.lost, unreadable=self.unreadable + after.unreadable)


Item: TypeAlias = TraceBatch | IntegrityCheck | TraceReading | None


class TraceQueue(queue.Queue[Item]):
    """A queue limited by the number of events in it, not of batches: a batch may hold one event, or thousands."""

    def _init(self, maxsize: int) -> None:  # this and the three below override methods of queue.Queue
        self._items: deque[Item] = deque()
        self._weight = 0

    def _qsize(self) -> int:
        return self._weight

    def _put(self, item: Item) -> None:
        self._items.append(item)
        self._weight += _weight(item)

    def _get(self) -> Item:
        item = self._items.popleft()
        self._weight -= _weight(item)
        return item


def _weight(item: Item) -> int:
    return max(1, len(item.events)) if isinstance(item, TraceBatch) else 1
