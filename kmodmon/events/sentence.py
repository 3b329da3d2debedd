"""Events as sentences: one line for people in the journal, on a terminal and on the status page.

The sentence of an event kind is a template. ``{name}`` is replaced by the module, the actor, the first evidence or a
field of the event; ``{name|text}`` by the text when that value is missing. A part in brackets is left out when a value
in it is missing. A field with the value true is replaced by an empty text, so it can be the condition of a bracket.
"""

import re
from collections.abc import Mapping

from kmodmon.events.event import Actor, Event
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.types.text import bounded
from kmodmon.types.units import JsonObject, JsonValue

LONGEST_VALUE = 200
LONGEST_SENTENCE = 600

_PART = re.compile(r"\[([^\]]*)\]|([^\[]+)")
_PLACE = re.compile(r"\{(\w+)(?:\|([^}]*))?\}")


class _Missing(Exception):  # not an error: the bracket is left out
    """A value of a template is missing."""


def sentence_of(event: Event) -> str:
    """Give one sentence without a final stop; bounded, and as safe as the texts in the event."""
    fields = event.fields
    parts: list[str] = []
    for optional, plain in _PART.findall(EVENT_KINDS[event.type].sentence):
        try:
            parts.append(_PLACE.sub(lambda place: _value(event, fields, place[1], place[2]), optional or plain))
        except _Missing:
            parts.append("" if optional else _PLACE.sub("?", plain))
    return bounded("".join(parts), LONGEST_SENTENCE)


def actor_words(actor: Actor) -> str:
    """Give an actor in a few words: `modprobe[411] (uid 0) for mount[400]`."""
    who = f"{actor.name}[{actor.process.pid}]"
    if actor.uid is not None:
        who += f" (uid {actor.uid})"
    return who if actor.requester is None else f"{who} for {actor_words(actor.requester)}"


def _value(event: Event, fields: JsonObject, name: str, instead: str | None) -> str:
    match name:
        case "module":
            text = event.module
        case "actor":
            text = None if event.actor is None else actor_words(event.actor)
        case "evidence":
            text = event.evidence[0] if event.evidence else None
        case _:
            text = _text(fields.get(name))
    if text is not None and (text or fields.get(name) is True):
        return bounded(text, LONGEST_VALUE)
    if instead is None:
        raise _Missing
    return instead


def _text(value: JsonValue) -> str | None:
    match value:
        case None | False:
            return None
        case True:
            return ""
        case str():
            return value
        case int() | float():
            return str(value)
        case Mapping():
            return ", ".join(f"{name} {_text(item) or 'no'}" for name, item in value.items())
        case _:
            return ", ".join(_text(item) or "no" for item in value)
