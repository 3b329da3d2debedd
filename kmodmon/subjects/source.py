"""The status of each source: whether the kernel offers its interface, whether it can be read, and what was lost."""

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
    """The result of the last reading of a source; the values are public."""

    NOT_READ = "not_read"
    UP = "up"
    ABSENT = "absent"  # the kernel does not offer the interface here
    SWITCHED_OFF = "switched_off"  # by a setting
    FAILED = "failed"  # the interface exists and could not be read
    HUNG = "hung"  # the interface exists, and reading it has not ended within its deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """One source, as the metrics `kmodmon_source_*` and `kmodmon doctor` show it."""

    name: SourceName
    status: SourceStatus = SourceStatus.NOT_READ
    why: str = NOT_READ_YET  # why it is not up; empty while it is
    remediable: bool = True  # False: switched off by a setting, or not part of a recorded host
    last_read: Instant | None = None  # the last successful reading; None: there was none in this run
    lost: int = 0  # records, datagrams or trace events that the kernel dropped before they were read, in this run
    unreadable: int = 0  # parts of the interface that the last reading could not read, such as a module parameter

    @property
    def up(self) -> bool:
        """Whether the last reading succeeded."""
        return self.status is SourceStatus.UP

    @property
    def present(self) -> bool:
        """Whether the interface is there."""
        return self.status in (SourceStatus.UP, SourceStatus.FAILED, SourceStatus.HUNG)

    @property
    def hung(self) -> bool:
        """Whether a reading has begun that does not end; the facts are those of the reading before."""
        return self.status is SourceStatus.HUNG


ReadOutcome: TypeAlias = Read[object] | Absent | Failed


def source_read(
    source: SourceState, outcome: ReadOutcome, at: Instant, *, lost: int = 0, unreadable: int = 0
) -> tuple[SourceState, tuple[Event, ...]]:
    """Fold one reading into the status of its source; only a change of the status is an event."""
    after = replace(source, lost=source.lost + lost, unreadable=unreadable, remediable=True)
    match outcome:
        case Read():
            after = replace(after, status=SourceStatus.UP, why="", last_read=at)
        case Absent(why=why, reason=reason):
            off = reason is AbsentReason.SWITCHED_OFF
            status = SourceStatus.SWITCHED_OFF if off else SourceStatus.ABSENT
            after = replace(after, status=status, why=why, remediable=reason is AbsentReason.NOT_OFFERED)
        case Failed(why=why, hung=hung):
            after = replace(after, status=SourceStatus.HUNG if hung else SourceStatus.FAILED, why=why)
    return after, _transition(source, after, at)


def _transition(before: SourceState, after: SourceState, at: Instant) -> tuple[Event, ...]:
    was_read = before.last_read is not None
    failed = before.status in (SourceStatus.FAILED, SourceStatus.HUNG)  # which was an event
    if after.status is SourceStatus.SWITCHED_OFF:
        return ()
    if before.up and not after.up:
        return (Event(details=SourceLost(source=after.name, why=after.why), at=at, severity=Severity.ERROR),)
    if (was_read or failed) and after.up and not before.up:
        return (Event(details=SourceRecovered(source=after.name, why=before.why), at=at, severity=Severity.NOTICE),)
    if not was_read and after.present and not after.up and before.why != after.why:
        # The interface exists and was never readable in this run.
        return (Event(details=SourceLost(source=after.name, why=after.why), at=at, severity=Severity.WARNING),)
    return ()


def source_summaries(
    sources: Mapping[SourceName, SourceState],
) -> tuple[tuple[SourceName, SourceStatus, str, int], ...]:
    """The status of each source without times and counts, which change with every reading."""
    return tuple((source.name, source.status, source.why, source.unreadable) for source in sources.values())


def sources_to_json(sources: Mapping[SourceName, SourceState]) -> JsonObject:
    """Write the checkpoint: commands read it while the daemon runs."""
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
