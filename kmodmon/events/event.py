"""The event, which has one JSON shape in the history, the API, `events --json` and the journal.

In the program an event has typed details: one class for each shape of `fields`, declared with its event kind in
`kmodmon/events/kinds/`. The JSON object `fields` is derived from them when the event is written. An event that is read
from the history has that object as it was written (`RecordedDetails`).
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, dataclass, field
from inspect import get_annotations
from types import EllipsisType, MappingProxyType
from typing import ClassVar, NamedTuple, Never, NewType, Self, TypeVar, cast, dataclass_transform, get_origin

from kmodmon.types.codec import INLINE, to_json
from kmodmon.types.units import Instant, JsonObject, JsonValue

T = TypeVar("T")

EventType = NewType("EventType", str)
"""The public name of an event kind, in the past tense; `kinds.EVENT_KINDS` has all of them."""

NO_FIELDS: JsonObject = MappingProxyType({})


class Severity(enum.StrEnum):
    """Severities, the worst first; `critical`: the kernel or its memory can no longer be trusted."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"
    INFO = "info"

    @property
    def priority(self) -> int:
        """The syslog level of the journal entry."""
        return {"critical": 2, "error": 3, "warning": 4, "notice": 5, "info": 6}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process; None: it had exited before it was read, or it may not be read. All texts are safe texts."""

    pid: int  # in the initial PID namespace
    comm: str | None = None
    exe: str | None = None
    cmdline: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The process that caused an event; None: not known."""

    process: Process = field(metadata=INLINE)
    uid: int | None = None
    login_uid: int | None = None  # None: also for no login session (4294967295 in /proc/PID/loginuid)
    parents: tuple[Process, ...] = ()  # the nearest first
    unit: str | None = None  # of systemd
    cgroup: str | None = None
    container: str | None = None  # its id
    requester: "Actor | None" = None  # the process whose request_module() made the kernel run modprobe
    exited: bool = False  # it exited before /proc/PID could be read, so only the facts of the trace are known

    @property
    def name(self) -> str:
        """The short name for labels and one-line listings."""
        return self.process.comm or "exited"

    def to_json(self) -> JsonObject:
        """Give the public JSON; what could not be read is null."""
        return to_json(self)


def one_share(event: "Event") -> str:
    """Let all events of a kind draw on one budget."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """What all events of one kind have in common.

    `journalctl -x` shows `title` and `advice` below an entry; `@FIELD@` in them is a field of the journal entry.
    """

    type: EventType
    message_id: str  # 128 random bits in hex (sd-id128(3)); never changes, because rules and catalogs refer to it
    sentence: str  # a template of `kmodmon.events.sentence`
    title: str  # what the event means
    advice: str  # what to do next
    provokable: bool = False  # a user without privilege can cause any number of them
    # The budget of a provokable kind (`kmodmon.events.budget`): events with the same name are repeats of each other.
    # None: what makes the events bounds them by itself.
    budget_name: "Callable[[Event], str] | None" = None
    budget_share: "Callable[[Event], str]" = one_share  # what a user can cause must not use up the share of others


_PLAIN = frozenset({str, int, bool, float, type(None)})  # JSON as they are


class DetailsField(NamedTuple):
    """What the JSON object of an event shows of one value in its details."""

    key: str | None = None  # in the JSON object; None: the name
    default: object = ...  # an ellipsis: the value must be given
    optional: bool = False  # left out of the JSON object while it has its default value


def member(*, default: T | EllipsisType = ..., key: str | None = None, optional: bool = False) -> T:
    """Declare a value of an event's details: its default, its key in JSON, and whether JSON leaves out the default."""
    return cast(T, DetailsField(key, default, optional))  # as field() of dataclasses, for the type checker


@dataclass_transform(eq_default=True, kw_only_default=True, frozen_default=True, field_specifiers=(member,))
class EventDetails:
    """Base of the typed details of an event; the annotated names of a subclass are the JSON `fields`, in their order.

    A subclass is declared and used like a frozen dataclass with `kw_only`. It is not one, because CPython compiles the
    methods of each dataclass when it is imported: 0.3 ms for each of forty, at each start of each command.

    The JSON object has a member for each annotated name, null for None; `member()` says what differs from that.
    """

    kind: ClassVar[EventKind]
    members: ClassVar[Mapping[str, DetailsField]] = MappingProxyType({})

    def __init_subclass__(cls) -> None:
        """Collect the annotated names; those of the class above come first."""
        own: dict[str, DetailsField] = {}
        for name, annotation in get_annotations(cls).items():
            origin: object = get_origin(annotation)
            if origin is not ClassVar:
                default = cls.__dict__.get(name, ...)
                own[name] = default if isinstance(default, DetailsField) else DetailsField(default=default)
        cls.members = MappingProxyType({**cls.members, **own})

    def __init__(self, **values: object) -> None:
        """Take all values by name; raises TypeError for one that is missing or not declared."""
        for name, declared in self.members.items():
            if name not in values:
                if declared.default is ...:
                    raise TypeError(f"{type(self).__name__} wants {name}")
                values[name] = declared.default
        if len(values) > len(self.members):
            raise TypeError(f"{type(self).__name__} has no {', '.join(values.keys() - self.members.keys())}")
        vars(self).update(values)

    def __setattr__(self, name: str, value: object) -> Never:
        """Details do not change: raises FrozenInstanceError."""
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> Never:
        """Details do not change: raises FrozenInstanceError."""
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        """Details of one class with equal values are equal."""
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        """Hash the values; raises TypeError when one cannot be hashed."""
        return hash((type(self), *(getattr(self, name) for name in self.members)))

    def __repr__(self) -> str:
        """Show the call that makes an equal object."""
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.members)})"

    @property
    def type(self) -> EventType:
        """The public type."""
        return self.kind.type

    @property
    def provokable(self) -> bool:
        """Whether a user without privilege can cause any number of such events."""
        return self.kind.provokable

    def after(self, repeats: int, unreported: int) -> Self:
        """These details of a kind with a budget, with how many events were left out since the last one was told."""
        return type(self)(**{**vars(self), "repeats": repeats, "unreported": unreported})

    def fields(self) -> JsonObject:
        """The JSON object `fields` of the event."""
        document: dict[str, JsonValue] = {}
        for name, declared in self.members.items():
            value = getattr(self, name)
            if not (declared.optional and value == declared.default):
                document[declared.key or name] = value if value.__class__ in _PLAIN else _json(value)
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


class RecordedDetails(EventDetails):
    """The details of an event that is read from JSON, as this version of kmodmon or another one wrote them."""

    recorded_type: EventType
    recorded_fields: JsonObject = NO_FIELDS

    @property
    def type(self) -> EventType:
        """The public type."""
        return self.recorded_type

    def fields(self) -> JsonObject:
        """The JSON object `fields` as it was recorded."""
        return self.recorded_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event, without what the history adds (`StoredEvent`)."""

    details: EventDetails
    at: Instant  # when it happened, as far as that is known, else when it was noticed
    severity: Severity = Severity.INFO
    module: str | None = None  # None: it is about no module, or the module is not known
    actor: Actor | None = None  # None: not known
    evidence: tuple[str, ...] = ()  # safe texts

    @property
    def type(self) -> EventType:
        """The public type."""
        return self.details.type

    @property
    def fields(self) -> JsonObject:
        """The JSON object `fields`, a new one at each call."""
        return self.details.fields()

    def to_json(self) -> JsonObject:
        """The JSON object without the members that the history adds (id, boot_id, hashes)."""
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
    """Make an event from recorded values; the type need not be one of this version."""
    details = RecordedDetails(recorded_type=type, recorded_fields=fields)
    return Event(details=details, at=at, severity=severity, module=module, actor=actor, evidence=evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event in the history."""

    id: int
    boot_id: str
    event: Event
    prev_hash: str  # `hash` of the event before it
    hash: str  # of all other members, `prev_hash` included

    def to_json(self) -> JsonObject:
        """The public JSON object of an event."""
        return {
            "id": self.id,
            "boot_id": self.boot_id,
            **self.event.to_json(),
            "prev_hash": self.prev_hash,
            "hash": self.hash,
        }
