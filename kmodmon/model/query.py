"""A question to the history, as the API, the status page and the CLI put it."""

from dataclasses import dataclass

from kmodmon.model.event import EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events; every part that is None, empty or 0 allows all. Times in microseconds since the epoch."""

    since_usec: int | None = None
    until_usec: int | None = None
    types: tuple[EventType, ...] = ()
    module: str | None = None
    after_id: int | None = None
    limit: int = 1000
    newest_first: bool = False
