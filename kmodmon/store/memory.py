"""A history in memory: the newest events, numbered and linked as on disk, until the process ends."""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from kmodmon.events.codec import ShapeError
from kmodmon.events.event import Event, StoredEvent
from kmodmon.events.query import EVERYTHING, EventQuery
from kmodmon.store.chain import GENESIS, Link, Problem, Removed, Verifier
from kmodmon.store.error import Refused
from kmodmon.store.interface import Pruned, RetentionLimits, SealCause, Summary
from kmodmon.store.row import HistoryRow, chained, read_back, stored
from kmodmon.types.units import JsonObject, Usec


class MemoryHistory:
    """A ring of `capacity` events behind a lock: one thread writes while others read.

    The oldest event is dropped whatever its kind, so none counts as provokable.
    """

    unreadable = 0
    fresh = False
    live = True

    def __init__(self, boot_id: str, capacity: int = 2000) -> None:
        self.boot_id = boot_id
        self.note = f"no history is kept on disk: these are at most the newest {capacity} events since kmodmon started"
        self._rows: deque[HistoryRow] = deque(maxlen=max(1, capacity))
        self._anchor = GENESIS
        self._head = GENESIS
        self._checkpoints: dict[str, JsonObject] = {}
        self._lock = threading.Lock()

    def append(
        self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject] | None = None
    ) -> tuple[StoredEvent, ...]:
        """Number and link the events and drop the oldest beyond the capacity; raises Refused, and then stored none."""
        rows: list[HistoryRow] = []
        head = self._head
        for index, event in enumerate(events):
            try:
                row = chained(event, head.id + 1, self.boot_id, head.hash)._replace(provokable=False)
            except ShapeError as error:
                raise Refused(None, str(error), index=index) from None
            rows.append(row)
            head = Link(row.id, row.hash)
        with self._lock:
            for row in rows:
                if len(self._rows) == self._rows.maxlen:
                    self._anchor = Link(self._rows[0].id, self._rows[0].hash)
                self._rows.append(row)
            self._head = head
            self._checkpoints.update(checkpoints or {})
        return tuple(stored(row, event) for row, event in zip(rows, events, strict=True))

    def load_checkpoints(self, boot_id: str | None) -> Mapping[str, JsonObject]:
        """The checkpoints of this process; those of other boots are not kept."""
        return dict(self._checkpoints) if boot_id in (None, self.boot_id) else {}

    def seal(self, cause: SealCause, now: Usec) -> bool:
        """Do nothing: the events end with the process."""
        return False

    def prune(self, retention: RetentionLimits, now: Usec | None) -> Pruned:
        """Do nothing: the capacity bounds the ring."""
        return Pruned.DONE

    def events(self, query: EventQuery = EVERYTHING) -> Iterator[StoredEvent]:
        """Give the events that match, as they are at the time of the call."""
        with self._lock:
            rows = [row for row in self._rows if _matches(query, row)]
        if query.newest_first:
            rows.reverse()
        return (read_back(row) for row in rows[: query.limit])

    def newest_link(self) -> Link | None:
        """Id and hash of the newest event."""
        return self._head

    def changed(self) -> int:
        """The id of the newest event."""
        return self._head.id

    def summary(self) -> Summary:
        """How many events there are; `bytes` is 0."""
        with self._lock:
            return Summary(events=len(self._rows), bytes=0)

    def verify(self) -> Iterator[Problem]:
        """Check the chain as on disk."""
        with self._lock:
            rows, head = list(self._rows), self._head
            verifier = Verifier(Removed(anchor=self._anchor, kept_hash=self._anchor.hash))
        for row in rows:
            yield from verifier.row(row)
        yield from verifier.end(head)

    def close(self) -> None:
        """Do nothing: no file is open."""


def _matches(query: EventQuery, row: HistoryRow) -> bool:
    return (
        row.id > query.after_id
        and (query.since_usec is None or row.realtime_usec >= query.since_usec)
        and (query.until_usec is None or row.realtime_usec < query.until_usec)
        and (not query.types or row.type in query.types)
        and query.module in (None, row.module)
    )
