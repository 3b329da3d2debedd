"""Event kinds of the sources and the history."""

from typing import ClassVar

from kmodmon.events.event import EventDetails, EventKind, EventType


class SourceLost(EventDetails):
    """A source failed, or it lost data."""

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


class TraceEventsLost(SourceLost):
    """The kernel overwrote trace events before they were read."""

    lost: int


class HistoryReplaced(SourceLost):
    """The history was not usable and was moved away, or its file was deleted; a new one was created."""

    moved_to: str | None  # path; None: the file was deleted
    events: int | None  # number of its events; None: not known


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
    why: str  # why it could not be read before


class HistoryRecovered(SourceRecovered):
    """The history can be written again."""

    lost: int  # events that were not stored in the meantime
    seconds: int  # how long it could not be written
