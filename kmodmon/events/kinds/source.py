"""Event kinds of the sources and the history."""

from dataclasses import dataclass
from typing import ClassVar

from kmodmon.events.event import EventDetails, EventKind, EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLost(EventDetails):
    """A source cannot be read any more, never could be, or lost data."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("SourceLost"),
        message_id="9926407385284d1988a0e3da575a0a0a",
        sentence="Source {source|?} fails[: {why}][, moved to {moved_to}]",
        title="kmodmon lost sight of something",
        advice="An interface that could be read cannot be read any more; what it would tell is not known "
        "meanwhile.\n"
        "`kmodmon doctor` says why and what to change.",
    )
    source: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEventsLost(SourceLost):
    """The kernel overwrote trace events before they were read."""

    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryReplaced(SourceLost):
    """A history that could not be used was moved away, or its file vanished; a new one was begun."""

    moved_to: str | None  # path; None: the file had vanished
    events: int | None  # how many it held; None: it could not tell


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecovered(EventDetails):
    """A source can be read again."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("SourceRecovered"),
        message_id="6c943a4546fd402780f4a8e5c537f06c",
        sentence="Source {source|?} works again[ after: {why}][, lost meanwhile: {lost}]",
        title="kmodmon sees again what it had lost sight of",
        advice="KMODMON_FIELDS says why it was lost, and what was lost meanwhile as far as that is known.",
    )
    source: str
    why: str  # why it could not


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRecovered(SourceRecovered):
    """The history can be written again."""

    lost: int  # events that were given up meanwhile
    seconds: int
