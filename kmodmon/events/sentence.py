"""Events as sentences: one line for people, in the journal, on a terminal and on the status page.

A sentence is a template: ``{name}`` is the module, the actor, the first evidence or a field of the event,
``{name|text}`` says what stands there when it is missing, and what is in brackets vanishes when anything in it is
missing. A field that is true is an empty text, so it can be the condition of a bracket.
"""

import re
from collections.abc import Mapping

from kmodmon.events.event import Actor, Event, EventType
from kmodmon.types.text import bounded
from kmodmon.types.units import JsonValue

LONGEST_VALUE = 200
LONGEST_SENTENCE = 600

_WHILE_DOWN = "[ while kmodmon was not running{while_down}]"
_FROM_TO = "[ from {old}][ to {new}]"

SENTENCES: Mapping[EventType, str] = {
    EventType.MODULE_LOADED: "Module {module} was loaded[ by {actor}][, signature {signature}][, taints {taints}]"
    + _WHILE_DOWN,
    EventType.MODULE_UNLOADED: "Module {module} was unloaded[ by {actor}]" + _WHILE_DOWN,
    EventType.MODULE_TRANSIENT: "Module {module} was loaded and gone again before it could be read"
    "[, loaded by {actor}][, taints {taints}]",
    EventType.MODULE_LOAD_FAILED: "{module|A module} could not be loaded[: {reason}][ ({symbol})][, wanted by {actor}]",
    EventType.MODULE_CHANGED: "Module {module} is not the one it was[, srcversion {old_srcversion} became {srcversion}]"
    "[, taints {old_taints} became {taints}]",
    EventType.MODULE_HIDDEN: "Module {module} is loaded but hidden[ from {missing_from}][ ({evidence})]",
    EventType.MODULE_UNHIDDEN: "Module {module} is not hidden any more",
    EventType.MODULE_REQUESTED: "The kernel was made to ask for module {name|?}[ by {actor}]"
    "[, {untold} more before it]",
    EventType.WITNESS_CONTRADICTED: "What the kernel says of {module|its modules} is contradictory[: {evidence}]",
    EventType.TAINT_ADDED: "The kernel is now tainted by {flag|a flag}[ ({letter})][, cause {cause}][, by {actor}]",
    EventType.TAINT_CLEARED: "Taint flag {flag|of the kernel}[ ({letter})] is gone, which the kernel itself never does"
    "[: {old} became {new}]",
    EventType.LOCKDOWN_CHANGED: "Lockdown changed" + _FROM_TO,
    EventType.LOCKDOWN_DENIED: "Lockdown refused {what|something}[ to {comm}]",
    EventType.MODULES_DISABLED: "Disabling of module loading (modules_disabled) changed" + _FROM_TO,
    EventType.SIGNATURE_ENFORCEMENT_CHANGED: "Enforcement of module signatures changed"
    + _FROM_TO
    + "[: {explanation}]",
    EventType.POSTURE_CHANGED: "{setting|A setting} changed" + _FROM_TO + "[, {direction}]",
    EventType.PARAMETER_CHANGED: "Parameter {parameter|?}[ of module {module}] changed" + _FROM_TO,
    EventType.KERNEL_REPORT: "{title|The kernel reported a failure}[ in module {module}]",
    EventType.LOG_FORGED: "A process wrote into the kernel log what looks like {signature|a kernel report}"
    "[: {evidence}]",
    EventType.LOG_LOST: "{lost|Some} records of the kernel log were lost",
    EventType.SOURCE_LOST: "Source {source|?} fails[: {why}][, moved to {moved_to}]",
    EventType.SOURCE_RECOVERED: "Source {source|?} works again[ after: {why}][, lost meanwhile: {lost}]",
    EventType.POLICY_VIOLATED: "Policy is violated[, rule {rule}][ by module {module}][: {evidence}]",
    EventType.BASELINE_DRIFTED: "Not as in the baseline[: {kind}][ {name}][, module {module}][: {evidence}]",
    EventType.FILE_CHANGED: "{path|A file} changed[: {change}][, module {module}]",
    EventType.CONFIG_REFUSED: "New settings were refused, the earlier ones stay in force[: {evidence}]",
    EventType.STARTED: "kmodmon started",
    EventType.STOPPED: "kmodmon stopped",
}

_PART = re.compile(r"\[([^\]]*)\]|([^\[]+)")
_PLACE = re.compile(r"\{(\w+)(?:\|([^}]*))?\}")


class _Missing(Exception):  # not an error: a bracket that vanishes
    """Something in a bracket is not there."""


def sentence_of(event: Event) -> str:
    """Give one sentence without a final stop; bounded, and as safe as the texts in the event."""
    out: list[str] = []
    for optional, plain in _PART.findall(SENTENCES[event.type]):
        try:
            out.append(_PLACE.sub(lambda found: _value(event, found[1], found[2]), optional or plain))
        except _Missing:
            out.append("" if optional else _PLACE.sub("?", plain))
    return bounded("".join(out), LONGEST_SENTENCE)


def actor_words(actor: Actor) -> str:
    """Give an actor in a few words: `modprobe[411] (uid 0) for mount[400]`."""
    who = f"{actor.name}[{actor.process.pid}]"
    if actor.uid is not None:
        who += f" (uid {actor.uid})"
    return who if actor.requester is None else f"{who} for {actor_words(actor.requester)}"


def _value(event: Event, name: str, instead: str | None) -> str:
    match name:
        case "module":
            found = event.module
        case "actor":
            found = None if event.actor is None else actor_words(event.actor)
        case "evidence":
            found = event.evidence[0] if event.evidence else None
        case _:
            found = _text(event.fields.get(name))
    if found is not None and (found or event.fields.get(name) is True):
        return bounded(found, LONGEST_VALUE)
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
