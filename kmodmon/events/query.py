"""A question to the history, as the API, the status page and the CLI put it."""

from dataclasses import dataclass

from kmodmon.events.event import EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events; every condition narrows. Order is that of recording (ids), whatever the wall clock did."""

    since_usec: int | None = None  # CLOCK_REALTIME, this moment or later
    until_usec: int | None = None  # before this moment
    types: tuple[EventType, ...] = ()  # none: all
    module: str | None = None
    after_id: int = 0
    limit: int | None = None
    newest_first: bool = False


EVERYTHING = EventQuery()
