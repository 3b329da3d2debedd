"""The interface that the histories on disk and in memory have in common."""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kmodmon.events.event import Event, StoredEvent
from kmodmon.events.query import EVERYTHING, EventQuery
from kmodmon.store.chain import Link, Problem
from kmodmon.types.units import JsonObject, Usec


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionLimits:
    """How much is kept; None: no limit. The newest event is always kept."""

    age_usec: int | None = None  # by CLOCK_REALTIME
    size_bytes: int | None = None  # of used pages in the database file


class Pruned(enum.Enum):
    """The result of one bounded step of retention."""

    DONE = "nothing is left to remove"
    MORE = "there is more to remove"


class SealCause(enum.StrEnum):
    """Why the history was sealed (seal.py)."""

    START = "start"
    INTERVAL = "interval"
    RETENTION = "retention"  # in the transaction that removed events
    STOP = "stop"  # the daemon came to a clean end


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The size of a history."""

    events: int
    bytes: int  # on disk; 0 in memory
    thinned: int = 0  # provokable events that were removed although older events are still there


class HistoryReader(Protocol):
    """A history open for reading; every method raises StoreError and nothing else."""

    @property
    def note(self) -> str:
        """What the user should know about this history, as a sentence; empty: nothing."""
        ...

    @property
    def live(self) -> bool:
        """Whether later commits of the writer are visible; False: only after opening it again."""
        ...

    @property
    def unreadable(self) -> int:
        """How many rows were skipped because this version cannot read them."""
        ...

    def events(self, query: EventQuery = EVERYTHING) -> Iterator[StoredEvent]:
        """Give the events that match, in the order of the query, reading a page of rows at a time."""
        ...

    def verify(self) -> Iterator[Problem]:
        """Check the whole chain; gives the problems while it reads."""
        ...

    def newest_link(self) -> Link | None:
        """Id and hash of the newest event; None: the file has no head."""
        ...

    def load_checkpoints(self, boot_id: str | None) -> Mapping[str, JsonObject]:
        """The newest checkpoints of a boot (`boot_id` None: of any boot), by section."""
        ...

    def changed(self) -> int:
        """A number that changes when another connection has written; cheaper than a query."""
        ...

    def summary(self) -> Summary:
        """How many events there are, and how much space they take."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class HistoryStore(HistoryReader, Protocol):
    """A history open for writing, by one thread at a time."""

    @property
    def fresh(self) -> bool:
        """Whether it was created by this opening, so that it holds no earlier event."""
        ...

    def append(
        self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject] | None = None
    ) -> tuple[StoredEvent, ...]:
        """Number, link and store events and checkpoints in one transaction; gives the events as stored."""
        ...

    def seal(self, cause: SealCause, now: Usec) -> bool:
        """Seal what is there and forget the key; `now` is CLOCK_REALTIME. False: sealing was not set up.

        A step of `prune` seals by itself.
        """
        ...

    def prune(self, retention: RetentionLimits, now: Usec | None) -> Pruned:
        """Remove a bounded number of events: provokable ones over their share of the space, else the oldest.

        `now` is CLOCK_REALTIME; None: the wall clock is not trusted, and no event is removed for its age.
        """
        ...
