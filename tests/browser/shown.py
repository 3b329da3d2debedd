"""A host for the site that is made of a state and events: what the page shows, without a daemon behind it."""

from collections.abc import Iterable, Sequence

from kmodmon.events.event import Event, StoredEvent
from kmodmon.events.query import EventQuery
from kmodmon.metrics import METRICS
from kmodmon.metrics.exposition import Exposition
from kmodmon.state.state import State
from kmodmon.store.memory import MemoryHistory
from kmodmon.web.message import Route
from kmodmon.web.site import Site


class ShownHost:
    """What the daemon is to the site. `state` may be replaced while a server runs."""

    def __init__(self, state: State, events: Iterable[Event] = ()) -> None:
        self.state = state
        self.ready = self.cycling = True
        self.history = MemoryHistory(state.boot_id)
        self.history.append(tuple(events))

    async def refresh(self) -> None:
        """Nothing is read: the test says what there is."""

    async def events(self, query: EventQuery) -> Sequence[StoredEvent]:
        """Events of the history."""
        return tuple(self.history.events(query))

    def routes(self) -> tuple[Route, ...]:
        """The site of this host."""
        return Site(self, Exposition(METRICS)).routes()
