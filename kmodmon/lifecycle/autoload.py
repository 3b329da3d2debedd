"""Attributes loads to the tasks that requested them: the kernel loads on request, and runs modprobe on their behalf.

The trace has the request (module_request, in the task that requests and usually waits) and the load, in a modprobe that
the kernel started for it. Any user can cause requests at any rate, and for names that no module has: the events have a
budget (`kmodmon.events.budget`).
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from kmodmon.events.event import Event
from kmodmon.events.kinds.module import ModuleLoadFailed, ModuleRequested
from kmodmon.lifecycle.pending import MAX_ATTEMPTS, MAX_REQUESTS, REQUEST_USEC, Lifecycle
from kmodmon.lifecycle.signals import TraceEntry
from kmodmon.types.units import Instant

ATTEMPT_USEC = 30_000_000  # a tool that was started longer before a log record did not cause it
ALONE_USEC = (
    2_000_000  # a tool started this shortly before is the cause if no other was, even without the module's name
)
CLOCK_USEC = 1_000_000  # how much the clocks of the log and the trace may differ
_SUFFIX = re.compile(r"\.ko(?:\.(?:gz|xz|zst))?$")


def requested(lifecycle: Lifecycle, entry: TraceEntry, now: Instant) -> tuple[Lifecycle, Event]:
    """Record a request, and give its event."""
    event = Event(
        details=ModuleRequested(name=entry.module),
        at=now.back_to(entry.monotonic_usec),
        actor=entry.actor,
        evidence=(f"module_request traced at {entry.monotonic_usec / 1e6:.6f}",),
    )
    return replace(lifecycle, requests=(*lifecycle.requests, entry)[-MAX_REQUESTS:]), event


def attempted(lifecycle: Lifecycle, entry: TraceEntry) -> Lifecycle:
    """Record the start of a kmod tool: the kernel may refuse what it loads without a module_load event."""
    return replace(lifecycle, attempts=(*lifecycle.attempts, entry)[-MAX_ATTEMPTS:])


def with_requester(lifecycle: Lifecycle, load: TraceEntry) -> TraceEntry:
    """Add the requesting task to a load, where the kernel's own modprobe did it for another task."""
    actor = load.actor
    if actor is None or actor.process.comm != "modprobe":
        return load
    recent = [
        entry for entry in lifecycle.requests if 0 <= load.monotonic_usec - entry.monotonic_usec <= REQUEST_USEC
    ]  # fmt: skip
    if load.requested_name is not None:
        recent = [entry for entry in recent if entry.module == load.requested_name]
    else:
        recent = _not_served_by_others(lifecycle, recent, load)
        if not actor.exited or len({entry.module for entry in recent}) != 1:
            return load  # a modprobe that a user started, or one that could have served several requests
    if not recent:
        return load
    return replace(load, actor=replace(actor, requester=recent[-1].actor))


def _not_served_by_others(lifecycle: Lifecycle, requests: list[TraceEntry], load: TraceEntry) -> list[TraceEntry]:
    """The requests that came before the tool behind a load was started, each without one that another tool served."""
    started = [entry.monotonic_usec for entry in lifecycle.attempts if entry.tid == load.tid]
    left = [entry for entry in requests if not started or entry.monotonic_usec <= started[-1]]
    for other in lifecycle.attempts:
        if other.tid != load.tid and other.requested_name is not None:
            for request in left:
                if request.module == other.requested_name and request.monotonic_usec <= other.monotonic_usec:
                    left.remove(request)
                    break
    return left


def answered(lifecycle: Lifecycle, load: TraceEntry) -> Lifecycle:
    """Record that the tool behind a load was not refused; the same object when none was started."""
    if all(entry.tid != load.tid or entry.answered for entry in lifecycle.attempts):
        return lifecycle
    entries = (replace(entry, answered=True) if entry.tid == load.tid else entry for entry in lifecycle.attempts)
    return replace(lifecycle, attempts=tuple(entries))


def attribute(lifecycle: Lifecycle, events: tuple[Event, ...]) -> tuple[Lifecycle, tuple[Event, ...]]:
    """Add the actor to load failures that only the log reported, where the trace has the start of the tool."""
    if not lifecycle.attempts or not any(_wants_actor(event) for event in events):
        return lifecycle, events
    attributed: list[Event] = []
    for event in events:
        lifecycle, after = _attributed(lifecycle, event) if _wants_actor(event) else (lifecycle, event)
        attributed.append(after)
    return lifecycle, tuple(attributed)


def attribute_late(
    lifecycle: Lifecycle, events: tuple[Event, ...]
) -> tuple[Lifecycle, tuple[tuple[Event, Event], ...]]:
    """Find load failures among these that a tool caused whose start was read after them: each without and with it.

    The start of a tool waits a tenth of a second for what the tool causes, and the log is read at once.
    """
    names = {name for entry in lifecycle.attempts for name in _module_names(entry)}
    unnamed = [event for event in events if event.module is None][-MAX_ATTEMPTS:]
    pairs: list[tuple[Event, Event]] = []
    for before in (*(event for event in events if event.module in names), *unnamed):
        if _wants_actor(before):
            lifecycle, after = _attributed(lifecycle, before)
            if after is not before:
                pairs.append((before, after))
    return lifecycle, tuple(pairs)


def _wants_actor(event: Event) -> bool:
    return isinstance(event.details, ModuleLoadFailed) and event.actor is None


def _attributed(lifecycle: Lifecycle, event: Event) -> tuple[Lifecycle, Event]:
    # A tool that has its answer does not get another: the next one may have been started, and not be read yet.
    recent = [entry for entry in lifecycle.attempts if -CLOCK_USEC <= _age(entry, event) <= ATTEMPT_USEC]
    naming = [entry for entry in recent if event.module is not None and event.module in _module_names(entry)]
    started = [entry for entry in recent if _age(entry, event) <= ALONE_USEC]
    shortly_before = [entry for entry in started if not entry.answered]
    attempt: TraceEntry | None = None
    how = "it was told to load it"
    if naming:
        attempt = naming[-1]
    elif len(shortly_before) == 1:
        (attempt,) = shortly_before
        how = "the only tool started in the two seconds before"
        if len(started) > 1:
            how += " that the kernel had not answered yet"
    elif event.module is None and shortly_before and all(map(_is_roots, shortly_before)):
        attempt = min(shortly_before, key=lambda entry: abs(_age(entry, event)))
        how = f"of {len(shortly_before)} tools that root started in the two seconds before, the nearest"
    if attempt is None or attempt.actor is None:
        return lifecycle, event
    attempts = tuple(replace(entry, answered=True) if entry is attempt else entry for entry in lifecycle.attempts)
    event = replace(event, actor=attempt.actor, evidence=(*event.evidence, f"exec traced, {how}"))
    return replace(lifecycle, attempts=attempts), event


def _is_roots(entry: TraceEntry) -> bool:
    """Whether root started the tool: neither another user, nor the kernel for somebody's request."""
    actor = entry.actor
    return actor is not None and actor.uid == 0 and actor.requester is None and entry.requested_name is None


def _age(entry: TraceEntry, event: Event) -> int:
    return event.at.monotonic_usec - entry.monotonic_usec


def _module_names(entry: TraceEntry) -> Iterator[str]:
    arguments = None if entry.actor is None else entry.actor.process.cmdline
    for argument in (arguments or ())[1:]:
        yield _SUFFIX.sub("", argument.rpartition("/")[2]).replace("-", "_")
