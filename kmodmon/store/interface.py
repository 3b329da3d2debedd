"""What is asked of a history, whichever it is."""

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
    """How much is kept; None: no limit."""

    age_usec: int | None = None
    size_bytes: int | None = None


class Pruned(enum.Enum):
    """What one bounded step of retention came to."""

    DONE = "nothing is left to remove"
    MORE = "there is more to remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The size of a history."""

    events: int
    bytes: int  # on disk; 0 in memory
    oldest_usec: int | None  # CLOCK_REALTIME of the oldest event; None: no event


class HistoryReader(Protocol):
    """What readers of a history may do; everything raises StoreError and nothing else."""

    @property
    def note(self) -> str:
        """What a reader should be told about how this history is read; empty: nothing."""
        ...

    @property
    def live(self) -> bool:
        """Whether what is written from now on will show; if not, it has to be opened anew for that."""
        ...

    @property
    def unreadable(self) -> int:
        """How many rows were passed over because this version cannot read them."""
        ...

    def events(self, query: EventQuery = EVERYTHING) -> Iterator[StoredEvent]:
        """Give the events asked for, reading a page at a time."""
        ...

    def verify(self) -> Iterator[Problem]:
        """Check the whole chain; gives what is wrong as it is found."""
        ...

    def last(self, boot_id: str | None = None) -> StoredEvent | None:
        """The newest event (of one boot); None: there is none, or it cannot be read."""
        ...

    def newest_link(self) -> Link | None:
        """The head of the chain; None: it is missing."""
        ...

    def load_checkpoints(self, boot_id: str | None) -> Mapping[str, JsonObject]:
        """What was last remembered during that boot (None: during any), by section."""
        ...

    def changed(self) -> int:
        """A number that differs after somebody else wrote; for following without reading."""
        ...

    def summary(self) -> Summary:
        """The size of the history."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class HistoryStore(HistoryReader, Protocol):
    """A history that may also be written, by one thread at a time."""

    @property
    def fresh(self) -> bool:
        """It was made by this opening: it holds nothing of before."""
        ...

    def append(
        self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject] | None = None
    ) -> tuple[StoredEvent, ...]:
        """Number, chain and keep the events, and the checkpoints with them: all or nothing."""
        ...

    def prune(self, retention: RetentionLimits, now: Usec | None) -> Pruned:
        """Remove a bounded number of the oldest events; `now` None: the wall clock is not to be trusted, no ageing."""
        ...
