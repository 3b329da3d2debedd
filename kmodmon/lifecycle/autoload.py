"""Who asked for a module: the kernel loads on request, and modprobe then acts for somebody else.

The trace tells of the request (module_request, in the task that asked and usually waits) and of the load, in a modprobe
that the kernel started for it. Requests can be made by any user at any rate, and for names that nobody has: each name
is told once in a while, and no more than MOST_TOLD of them in that time, or anybody could drive what matters out of the
history. What is not told is counted, and the next one that is tells how many there were.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.event import Event
from kmodmon.events.kinds.module import ModuleLoadFailed, ModuleRequested
from kmodmon.lifecycle.pending import MAX_ATTEMPTS, MAX_REQUESTS, REQUEST_USEC, Lifecycle, RequestCount
from kmodmon.lifecycle.signals import TraceEntry
from kmodmon.types.units import Instant

TELL_AGAIN_USEC = 600_000_000
MAX_ASKED = 256
MOST_TOLD = 100
_UNTOLD = "\0"  # in place of the names that were not told; no name has it, for names are safe text
ATTEMPT_USEC = 30_000_000  # a tool that was started longer ago is not the one the log speaks of
ALONE_USEC = 2_000_000  # the only tool started this shortly before is meant, even if it does not name the module
CLOCK_USEC = 1_000_000  # the log's clock is not the trace's
_SUFFIX = re.compile(r"\.ko(?:\.(?:gz|xz|zst))?$")


def requested(life: Lifecycle, entry: TraceEntry, now: Instant) -> tuple[Lifecycle, tuple[Event, ...]]:
    """Remember a request; it is an event, unless the same name was told of lately."""
    life = replace(life, requests=(*life.requests, entry)[-MAX_REQUESTS:])
    at = now.back_to(entry.monotonic_usec)
    before = life.asked.get(entry.module)
    if before is not None and at.monotonic_usec - before.told.monotonic_usec < TELL_AGAIN_USEC:
        return _asked(life, entry.module, replace(before, repeats=before.repeats + 1)), ()
    untold = life.asked.get(_UNTOLD, RequestCount(told=at))
    if _told_lately(life, at) >= MOST_TOLD:
        return _asked(life, _UNTOLD, replace(untold, repeats=untold.repeats + 1)), ()
    event = Event(
        details=ModuleRequested(
            name=entry.module,
            repeats=0 if before is None else before.repeats,
            unreported=untold.repeats,
        ),
        at=at,
        actor=entry.actor,
        evidence=(f"module_request traced at {entry.monotonic_usec / 1e6:.6f}",),
    )
    life = replace(life, asked=MappingProxyType({name: one for name, one in life.asked.items() if name != _UNTOLD}))
    return _asked(life, entry.module, RequestCount(told=at)), (event,)


def _told_lately(life: Lifecycle, at: Instant) -> int:
    horizon = at.monotonic_usec - TELL_AGAIN_USEC
    return sum(one.told.monotonic_usec > horizon for name, one in life.asked.items() if name != _UNTOLD)


def _asked(life: Lifecycle, name: str, asked: RequestCount) -> Lifecycle:
    known = {key: value for key, value in life.asked.items() if key != name}
    if len(known) >= MAX_ASKED:
        del known[next(iter(known))]
    return replace(life, asked=MappingProxyType({**known, name: asked}))


def attempted(life: Lifecycle, entry: TraceEntry) -> Lifecycle:
    """Remember that somebody started a tool of kmod's: what it tries may be refused without a trace event."""
    return replace(life, attempts=(*life.attempts, entry)[-MAX_ATTEMPTS:])


def with_requester(life: Lifecycle, load: TraceEntry) -> TraceEntry:
    """The load with the task that asked for it, where the kernel's own modprobe did it for somebody."""
    actor = load.actor
    if actor is None or actor.process.comm != "modprobe":
        return load
    recent = [
        entry for entry in life.requests if 0 <= load.monotonic_usec - entry.monotonic_usec <= REQUEST_USEC
    ]  # fmt: skip
    if load.asked_for is not None:
        recent = [entry for entry in recent if entry.module == load.asked_for]
    elif not actor.exited or len({entry.module for entry in recent}) != 1:
        return load  # somebody's own modprobe, or it cannot be told which request it served
    if not recent:
        return load
    return replace(load, actor=replace(actor, requester=recent[-1].actor))


def attribute(life: Lifecycle, events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The events, with the actor of each load failure that only the log told of, as far as the trace knows it."""
    if not life.attempts or not any(_wants_actor(event) for event in events):
        return events
    return tuple(_attributed(life, event) if _wants_actor(event) else event for event in events)


def _wants_actor(event: Event) -> bool:
    return isinstance(event.details, ModuleLoadFailed) and event.actor is None


def _attributed(life: Lifecycle, event: Event) -> Event:
    recent = [entry for entry in life.attempts if -CLOCK_USEC <= _age(entry, event) <= ATTEMPT_USEC]
    named = [entry for entry in recent if event.module is not None and event.module in _named(entry)]
    alone = [entry for entry in recent if _age(entry, event) <= ALONE_USEC]
    found = named[-1] if named else alone[0] if len(alone) == 1 else None
    if found is None or found.actor is None:
        return event
    how = "it was told to load it" if named else "the only tool started in the two seconds before"
    return replace(event, actor=found.actor, evidence=(*event.evidence, f"exec traced, {how}"))


def _age(entry: TraceEntry, event: Event) -> int:
    return event.at.monotonic_usec - entry.monotonic_usec


def _named(entry: TraceEntry) -> Iterator[str]:
    arguments = None if entry.actor is None else entry.actor.process.cmdline
    for argument in (arguments or ())[1:]:
        yield _SUFFIX.sub("", argument.rpartition("/")[2]).replace("-", "_")
