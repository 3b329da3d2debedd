"""Reads an event from its public JSON object: the inverse of `Event.to_json`, which shows that no fact is lost."""

from dataclasses import dataclass

from kmodmon.events.codec import ShapeError, actor_from_json
from kmodmon.events.event import Event, Severity, recorded_event
from kmodmon.events.kinds import event_type
from kmodmon.types.codec import from_json
from kmodmon.types.units import Instant, JsonObject, Usec


@dataclass(frozen=True, slots=True, kw_only=True)
class _EventDocument:
    """The members of an event's JSON object beside `actor`."""

    realtime: Usec
    monotonic: Usec
    type: str
    severity: Severity
    module: str | None = None
    evidence: tuple[str, ...]
    fields: JsonObject


def event_from_json(document: JsonObject, path: str = "event") -> Event:
    """Undo `Event.to_json`; raises ShapeError. A type or severity this version does not know is such an error."""
    read = from_json(_EventDocument, document, path)
    try:
        kind = event_type(read.type)
    except ValueError:
        raise ShapeError(f"{path}.type", "a word that this version knows") from None
    return recorded_event(
        type=kind,
        at=Instant(realtime_usec=read.realtime, monotonic_usec=read.monotonic),
        severity=read.severity,
        module=read.module,
        actor=actor_from_json(document.get("actor"), f"{path}.actor"),
        evidence=read.evidence,
        fields=read.fields,
    )
