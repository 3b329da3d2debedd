"""What is known about each source: is its interface there, does it answer, what did it lose."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from kmodmon.events.event import Event, EventType, Severity
from kmodmon.types.codec import members_from_json, to_json
from kmodmon.types.outcome import SWITCHED_OFF, Absent, Failed, Read
from kmodmon.types.units import Instant, JsonObject

NOT_READ_YET = "not read yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """One source, as `kmodmon_source_*` and `doctor` show it."""

    name: str
    present: bool = False
    up: bool = False
    why: str = NOT_READ_YET
    last_read: Instant | None = None  # last success
    lost: int = 0  # records, datagrams or trace events that the kernel dropped before we read them
    unreadable: int = 0  # things inside the interface that could not be read (a parameter, an attribute)


ReadOutcome: TypeAlias = Read[object] | Absent | Failed


def source_read(
    source: SourceState, outcome: ReadOutcome, at: Instant, *, lost: int = 0, unreadable: int = 0
) -> tuple[SourceState, tuple[Event, ...]]:
    """Fold one reading into what is known of its source; only transitions make an event."""
    lost += source.lost
    match outcome:
        case Read():
            after = replace(source, present=True, up=True, why="", last_read=at, lost=lost, unreadable=unreadable)
        case Absent(why):
            after = replace(source, present=False, up=False, why=why, lost=lost, unreadable=unreadable)
        case Failed(why):
            after = replace(source, present=True, up=False, why=why, lost=lost, unreadable=unreadable)
    return after, _transition(source, after, at)


def _transition(before: SourceState, after: SourceState, at: Instant) -> tuple[Event, ...]:
    known = before.last_read is not None
    failed = before.present and not before.up  # and that was told
    if after.why.startswith(SWITCHED_OFF):
        return ()  # as the operator wants it
    if before.up and not after.up:
        kind, severity = EventType.SOURCE_LOST, Severity.ERROR
    elif (known or failed) and after.up and not before.up:
        kind, severity = EventType.SOURCE_RECOVERED, Severity.NOTICE
    elif not known and after.present and not after.up and before.why != after.why:
        kind, severity = EventType.SOURCE_LOST, Severity.WARNING  # there, but it never could be read
    else:
        return ()
    why = after.why or before.why  # of one that works again: why it did not
    return (Event(type=kind, at=at, severity=severity, fields={"source": after.name, "why": why}),)


def source_summaries(sources: Mapping[str, SourceState]) -> tuple[tuple[str, bool, bool, str, int], ...]:
    """How each source is, without the times and counts that change with every look."""
    return tuple((one.name, one.present, one.up, one.why, one.unreadable) for one in sources.values())


def sources_to_json(sources: Mapping[str, SourceState]) -> JsonObject:
    """Give the state of the sources, for commands that run beside the daemon."""
    return {name: to_json(source, without=("name", "last_read", "lost")) for name, source in sources.items()}


def sources_from_json(document: JsonObject) -> Mapping[str, SourceState]:
    """Undo :func:`sources_to_json`; entries of another shape are dropped."""
    return members_from_json(SourceState, document, name_field="name")
