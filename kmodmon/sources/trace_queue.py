"""What one thread read of the trace, and another has yet to look up."""

import queue
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kmodmon.kernel.trace import TraceChunk
from kmodmon.sources.source import Reading
from kmodmon.types.units import Usec

if TYPE_CHECKING:
    from kmodmon.sources.actor import ProcSnapshot


@dataclass(frozen=True, slots=True)
class TraceBatch:
    """What one turn of reading gave, and what was seen of the tasks at once, by thread id."""

    chunk: TraceChunk
    glances: "Mapping[int, ProcSnapshot]"
    adopted: bool
    dated: bool
    at_usec: Usec


@dataclass(frozen=True, slots=True)
class IntegrityCheck:
    """At this moment all that was in the pipe had been read."""

    at_usec: Usec


Item: TypeAlias = TraceBatch | IntegrityCheck | Reading | None


class TraceQueue(queue.Queue[Item]):
    """A queue that is full when the batches in it have so many events: a turn of reading may give one, or thousands."""

    def _init(self, maxsize: int) -> None:  # the library's name
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
    return max(1, len(item.chunk.events)) if isinstance(item, TraceBatch) else 1
