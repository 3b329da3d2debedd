"""What is known about each source: is its interface there, does it answer, what did it lose."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.source import SourceLost, SourceRecovered
from kmodmon.types.outcome import SWITCHED_OFF, Absent, Failed, Read
from kmodmon.types.units import Instant, JsonObject, JsonValue

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
        return (Event(details=SourceLost(source=after.name, why=after.why), at=at, severity=Severity.ERROR),)
    if (known or failed) and after.up and not before.up:
        return (Event(details=SourceRecovered(source=after.name, why=before.why), at=at, severity=Severity.NOTICE),)
    if not known and after.present and not after.up and before.why != after.why:
        # It is there, but it never could be read.
        return (Event(details=SourceLost(source=after.name, why=after.why), at=at, severity=Severity.WARNING),)
    return ()


def source_summaries(sources: Mapping[str, SourceState]) -> tuple[tuple[str, bool, bool, str, int], ...]:
    """How each source is, without the times and counts that change with every look."""
    return tuple((one.name, one.present, one.up, one.why, one.unreadable) for one in sources.values())


def sources_to_json(sources: Mapping[str, SourceState]) -> JsonObject:
    """How the sources are, for commands that look while the daemon is at work."""
    return {
        name: {"present": present, "up": up, "why": why, "unreadable": unreadable}
        for name, present, up, why, unreadable in source_summaries(sources)
    }


def sources_from_json(document: JsonObject) -> Mapping[str, SourceState]:
    """Undo :func:`sources_to_json`; entries of another shape are dropped."""
    found = {name: known for name, entry in document.items() if (known := _known(name, entry)) is not None}
    return MappingProxyType(found)


def _known(name: str, entry: JsonValue) -> SourceState | None:
    match entry:
        case {"present": bool(present), "up": bool(up), "why": str(why), "unreadable": int(unreadable)}:
            return SourceState(name=name, present=present, up=up, why=why, unreadable=unreadable)
        case _:
            return None
