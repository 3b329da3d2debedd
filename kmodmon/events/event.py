"""What happened: one JSON shape in the history, the API, `events --json` and the journal.

Inside the product an event carries typed details: one dataclass for each shape of `fields`, declared with its event
kind in `kmodmon/events/kinds/`. The JSON object `fields` is derived from them at the edge. An event that is read back
from the history carries that object as it was written (`RecordedDetails`).
"""

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, NewType

from kmodmon.types.codec import INLINE, to_json
from kmodmon.types.units import Instant, JsonObject, JsonValue

EventType = NewType("EventType", str)
"""The public name of an event kind, past tense. Each is declared with its kind; `kinds.EVENT_KINDS` has them all."""

NO_FIELDS: JsonObject = MappingProxyType({})


class Severity(enum.StrEnum):
    """How bad, in falling order; `critical`: the kernel or its memory can no longer be trusted."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"
    INFO = "info"

    @property
    def priority(self) -> int:
        """The syslog level that journald shows it at."""
        return {"critical": 2, "error": 3, "warning": 4, "notice": 5, "info": 6}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process as far as it could be read; None: it had exited or may not be read. All texts are safe texts."""

    pid: int
    comm: str | None = None
    exe: str | None = None
    cmdline: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it. `exited`: the process was gone before /proc/PID could be read; then only trace facts remain."""

    process: Process = field(metadata=INLINE)
    uid: int | None = None
    login_uid: int | None = None  # None: no login session (4294967295 in /proc/PID/loginuid), or unreadable
    parents: tuple[Process, ...] = ()
    unit: str | None = None
    cgroup: str | None = None
    container: str | None = None
    requester: "Actor | None" = None  # the process whose request made the kernel run modprobe
    exited: bool = False

    @property
    def name(self) -> str:
        """The short name for labels and one-line listings."""
        return self.process.comm or "exited"

    def to_json(self) -> JsonObject:
        """Give the public JSON; what could not be read is null."""
        return to_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """One kind of event: everything about it that is the same for each event of the kind.

    `sentence` is a template (see `kmodmon.events.sentence`). `title` and `advice` are what `journalctl -x` shows below
    an entry: what the event means, and what comes next; `@FIELD@` stands for a field of the journal entry.
    """

    type: EventType
    message_id: str  # 128 bits in hex, chosen at random (sd-id128(3)); never changes, rules and catalogs know it
    sentence: str
    title: str
    advice: str


class EventDetails:
    """Base of the typed details of an event; a subclass is a frozen dataclass, and its fields are the JSON `fields`.

    The JSON key of a field is its name, or what its metadata calls `key`. A field whose metadata says `optional` is
    left out of the JSON object while it has its default value; every other field is always there, null for None.
    """

    __slots__ = ()
    kind: ClassVar[EventKind]

    @property
    def type(self) -> EventType:
        """The public type."""
        return self.kind.type

    def fields(self) -> JsonObject:
        """The JSON object `fields` of the event."""
        document: dict[str, JsonValue] = {}
        for each in dataclasses.fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, each.name)
            if not (each.metadata.get("optional") and value == each.default):
                document[each.metadata.get("key", each.name)] = _json(value)
        return document


def _json(value: object) -> JsonValue:
    match value:
        case enum.StrEnum():
            return value.value
        case tuple():
            return [_json(item) for item in value]
        case None | bool() | int() | float() | str() | Mapping():
            return value
        case _:
            return str(value)  # a value with one text form, such as a Cause


OPTIONAL: Mapping[str, object] = MappingProxyType({"optional": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDetails(EventDetails):
    """The details of an event that comes from JSON: as they were recorded, by this version of kmodmon or another."""

    recorded_type: EventType
    recorded_fields: JsonObject = field(default_factory=lambda: NO_FIELDS)

    @property
    def type(self) -> EventType:
        """The public type."""
        return self.recorded_type

    def fields(self) -> JsonObject:
        """The JSON object `fields` as it was recorded."""
        return self.recorded_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, before the history numbered and chained it."""

    details: EventDetails
    at: Instant
    severity: Severity = Severity.INFO
    module: str | None = None  # None: it is about no module, or about one that is not known
    actor: Actor | None = None  # None: nobody was seen doing it
    evidence: tuple[str, ...] = ()  # safe texts

    @property
    def type(self) -> EventType:
        """The public type."""
        return self.details.type

    @property
    def fields(self) -> JsonObject:
        """The JSON object `fields`, made anew at each call."""
        return self.details.fields()

    def to_json(self) -> JsonObject:
        """The event without what only the history can add (id, boot_id, hashes)."""
        return {
            "realtime": self.at.realtime_usec,
            "monotonic": self.at.monotonic_usec,
            "type": self.type,
            "severity": self.severity.value,
            "module": self.module,
            "actor": None if self.actor is None else self.actor.to_json(),
            "evidence": list(self.evidence),
            "fields": dict(self.fields),
        }


def recorded_event(  # noqa: PLR0913  # as many as an event has fields
    type: EventType,
    at: Instant,
    *,
    severity: Severity = Severity.INFO,
    module: str | None = None,
    actor: Actor | None = None,
    evidence: tuple[str, ...] = (),
    fields: JsonObject = NO_FIELDS,
) -> Event:
    """An event as it was recorded."""
    details = RecordedDetails(recorded_type=type, recorded_fields=fields)
    return Event(details=details, at=at, severity=severity, module=module, actor=actor, evidence=evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event with its place in the history; `hash` covers everything else here, `prev_hash` the row before."""

    id: int
    boot_id: str
    event: Event
    prev_hash: str
    hash: str

    def to_json(self) -> JsonObject:
        """The one public JSON shape of an event."""
        return {
            "id": self.id,
            "boot_id": self.boot_id,
            **self.event.to_json(),
            "prev_hash": self.prev_hash,
            "hash": self.hash,
        }
