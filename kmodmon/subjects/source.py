"""What is known about each source: is its interface there, does it answer, what did it lose."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.source import SourceLost, SourceRecovered
from kmodmon.types.outcome import Absent, AbsentReason, Failed, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Instant, JsonObject, JsonValue

NOT_READ_YET = "not read yet"


class SourceStatus(enum.StrEnum):
    """What the last reading of a source says of it."""

    NOT_READ = "not_read"
    UP = "up"
    ABSENT = "absent"  # the kernel does not offer the interface here
    SWITCHED_OFF = "switched_off"  # a setting asks for it
    FAILED = "failed"  # the interface is there, or ought to be, and could not be read


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """One source, as `kmodmon_source_*` and `doctor` show it."""

    name: SourceName
    status: SourceStatus = SourceStatus.NOT_READ
    why: str = NOT_READ_YET  # empty while it is up
    remediable: bool = True  # what is missing may be there once it is mounted or built in
    last_read: Instant | None = None  # last success
    lost: int = 0  # records, datagrams or trace events that the kernel dropped before we read them
    unreadable: int = 0  # things inside the interface that could not be read (a parameter, an attribute)

    @property
    def up(self) -> bool:
        """Whether the last reading succeeded."""
        return self.status is SourceStatus.UP

    @property
    def present(self) -> bool:
        """Whether the interface is there."""
        return self.status in (SourceStatus.UP, SourceStatus.FAILED)


ReadOutcome: TypeAlias = Read[object] | Absent | Failed


def source_read(
    source: SourceState, outcome: ReadOutcome, at: Instant, *, lost: int = 0, unreadable: int = 0
) -> tuple[SourceState, tuple[Event, ...]]:
    """Fold one reading into what is known of its source; only transitions make an event."""
    after = replace(source, lost=source.lost + lost, unreadable=unreadable, remediable=True)
    match outcome:
        case Read():
            after = replace(after, status=SourceStatus.UP, why="", last_read=at)
        case Absent(why=why, reason=reason):
            off = reason is AbsentReason.SWITCHED_OFF
            status = SourceStatus.SWITCHED_OFF if off else SourceStatus.ABSENT
            after = replace(after, status=status, why=why, remediable=reason is AbsentReason.NOT_OFFERED)
        case Failed(why=why):
            after = replace(after, status=SourceStatus.FAILED, why=why)
    return after, _transition(source, after, at)


def _transition(before: SourceState, after: SourceState, at: Instant) -> tuple[Event, ...]:
    was_read = before.last_read is not None
    failed = before.status is SourceStatus.FAILED  # and there is an event of that
    if after.status is SourceStatus.SWITCHED_OFF:
        return ()  # as the operator wants it
    if before.up and not after.up:
        return (Event(details=SourceLost(source=after.name, why=after.why), at=at, severity=Severity.ERROR),)
    if (was_read or failed) and after.up and not before.up:
        return (Event(details=SourceRecovered(source=after.name, why=before.why), at=at, severity=Severity.NOTICE),)
    if not was_read and after.present and not after.up and before.why != after.why:
        # It is there, but it never could be read.
        return (Event(details=SourceLost(source=after.name, why=after.why), at=at, severity=Severity.WARNING),)
    return ()


def source_summaries(
    sources: Mapping[SourceName, SourceState],
) -> tuple[tuple[SourceName, SourceStatus, str, int], ...]:
    """How each source is, without the times and counts that change with every reading."""
    return tuple((source.name, source.status, source.why, source.unreadable) for source in sources.values())


def sources_to_json(sources: Mapping[SourceName, SourceState]) -> JsonObject:
    """How the sources are, for commands that run while the daemon is at work."""
    return {
        name.value: {
            "present": source.present,
            "up": source.up,
            "status": source.status.value,
            "why": source.why,
            "unreadable": source.unreadable,
        }
        for name, source in sources.items()
    }


def sources_from_json(document: JsonObject) -> Mapping[SourceName, SourceState]:
    """Undo :func:`sources_to_json`; entries of another shape are dropped."""
    states = (_source_from_json(name, entry) for name, entry in document.items())
    return MappingProxyType({state.name: state for state in states if state is not None})


def _source_from_json(name: str, entry: JsonValue) -> SourceState | None:
    match entry:
        case {"status": str(status), "why": str(why), "unreadable": int(unreadable)}:
            try:
                return SourceState(name=SourceName(name), status=SourceStatus(status), why=why, unreadable=unreadable)
            except ValueError:
                return None  # a name or status of another version
        case _:
            return None
