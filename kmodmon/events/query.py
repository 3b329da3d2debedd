"""A query of the history, used by the API, the status page and the CLI."""

from dataclasses import dataclass

from kmodmon.events.event import EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Conditions, which must all hold. Events are ordered by id, which does not depend on the wall clock."""

    since_usec: int | None = None  # CLOCK_REALTIME in microseconds, inclusive; None: from the beginning
    until_usec: int | None = None  # CLOCK_REALTIME in microseconds, exclusive; None: to the end
    types: tuple[EventType, ...] = ()  # empty: all
    module: str | None = None  # None: all, and events about no module
    after_id: int = 0  # exclusive
    limit: int | None = None  # largest number of events; None: no limit
    newest_first: bool = False
    seconds: float | None = None  # a query that takes longer is given up; None: it may take as long as it takes


EVERYTHING = EventQuery()
