"""Event kinds. Each is one class with its public type, MESSAGE_ID, sentence, explanation and the fields of its JSON.

A kind is declared in the file of its theme. The themes are listed here, and no other list of kinds exists. A subclass
of a kind's class is another shape of `fields` of the same kind.
"""

from collections.abc import Mapping
from types import MappingProxyType

from kmodmon.events.event import EventDetails, EventKind, EventType
from kmodmon.events.kinds import daemon, log, module, policy, posture, source, taint

THEMES = (module, taint, posture, log, source, policy, daemon)

EVENT_KINDS: Mapping[EventType, EventKind] = MappingProxyType(
    {
        details.kind.type: details.kind
        for theme in THEMES
        for details in vars(theme).values()
        if isinstance(details, type) and issubclass(details, EventDetails) and "kind" in vars(details)
    }
)
"""Every kind by its public type, in the order of their declarations."""


def event_type(name: str) -> EventType:
    """The event type of this name; raises ValueError when there is none."""
    if name not in EVENT_KINDS:
        raise ValueError(f"there is no event type {name}")
    return EventType(name)
