"""Entry points of the module lifecycle: one function for each signal. Pure.

Each takes the inventory and the lifecycle as they are, and returns both as they are after the signal, with the events
that it causes. What did not change stays the same object: readers compare with `is`. `decision` says what a signal
means. The same functions serve a restart: an adopted trace buffer and the first reading of the list are compared with
the checkpoint, and what was loaded or unloaded in between is reported with `while_down`.
"""

from dataclasses import replace
from typing import TypeAlias

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.source import TraceEventsLost
from kmodmon.lifecycle.autoload import answered, attempted, requested, with_requester
from kmodmon.lifecycle.inventory import Inventory, other_modules
from kmodmon.lifecycle.pending import Lifecycle, LifecycleContext
from kmodmon.lifecycle.signals import ModulesRead, TraceEntry, TraceKind, TraceRead, UeventsRead
from kmodmon.lifecycle.tracker import ModuleTracker
from kmodmon.types.units import Instant

LifecycleResult: TypeAlias = tuple[Inventory, Lifecycle, tuple[Event, ...]]


def modules_read(
    inventory: Inventory, lifecycle: Lifecycle, read: ModulesRead, context: LifecycleContext
) -> LifecycleResult:
    """Process one consistent reading of /proc/modules."""
    tracker = ModuleTracker(inventory, lifecycle, context)
    records = tracker.records
    before, now = inventory.modules, read.modules
    unsettled = records.pending_loads.keys() | records.recent_unloads.keys()
    # Most readings have no other object than the one before: then only what is open is processed.
    changed = () if before is now else other_modules(now, before)
    for name in dict.fromkeys((*changed, *records.undecided)):
        if name in now:
            tracker.listed(name, now[name])
    if not (unsettled <= now.keys() and records.loaded.keys() <= now.keys()):
        for name in (records.loaded.keys() | unsettled) - now.keys():
            tracker.not_listed(name)
    same = before is now and inventory.support is True and inventory.skipped == read.skipped
    records.lifecycle = replace(lifecycle, listed_at=context.at)
    return records.result(inventory if same else replace(inventory, support=True, modules=now, skipped=read.skipped))


def trace_read(
    inventory: Inventory, lifecycle: Lifecycle, read: TraceRead, lost: int, context: LifecycleContext
) -> LifecycleResult:
    """Process what was read from the trace. `lost`: events that the kernel overwrote before it."""
    tracker = ModuleTracker(inventory, lifecycle, context)
    records = tracker.records
    if lost:
        tracker.trace_lost()
        records.events.append(_lost_event(lost, context.at))
        records.lifecycle = replace(records.lifecycle, trace_since=context.at)
    for entry in read.entries:
        if not read.adopted or entry.monotonic_usec > lifecycle.trace_usec:
            _trace_entry(tracker, entry)
    if lost:
        tracker.mark_trace_lost()
    read_at = context.at.back_to(read.at_usec) if read.at_usec else context.at
    if read.began:
        records.lifecycle = replace(records.lifecycle, trace_since=read_at, trace_intact=None)
    elif read.intact:
        records.lifecycle = replace(records.lifecycle, trace_intact=read_at)
    return records.result(inventory)


def _trace_entry(tracker: ModuleTracker, entry: TraceEntry) -> None:
    records = tracker.records
    match entry.kind:
        case TraceKind.REQUEST:
            records.lifecycle, event = requested(records.lifecycle, entry, records.at)
            records.events.append(event)
        case TraceKind.EXEC:
            records.lifecycle = attempted(records.lifecycle, entry)
        case TraceKind.LOAD:
            records.lifecycle = answered(records.lifecycle, entry)
            tracker.module_load(with_requester(records.lifecycle, entry))
        case TraceKind.INIT:
            tracker.initcall_finish(entry)
        case TraceKind.FREE:
            tracker.module_free(entry)


def uevents_read(
    inventory: Inventory, lifecycle: Lifecycle, read: UeventsRead, context: LifecycleContext
) -> LifecycleResult:
    """Process uevents; a synthetic one, which somebody wrote into a `uevent` file, says nothing about a module."""
    lifecycle = replace(lifecycle, uevents=True) if read.began else lifecycle
    tracker = ModuleTracker(inventory, lifecycle, context)
    for event in read.events:
        if not event.synthetic:
            tracker.uevent(event)
    return tracker.records.result(inventory)


def signal_lost(inventory: Inventory, lifecycle: Lifecycle, source: str, context: LifecycleContext) -> LifecycleResult:
    """A source cannot be read any more; without the trace, the list decides what waits for it."""
    if source == "uevent":
        return inventory, replace(lifecycle, uevents=False), ()
    tracker = ModuleTracker(inventory, lifecycle, context)
    tracker.trace_lost()
    tracker.mark_trace_lost()
    return tracker.records.result(inventory)


def settled(inventory: Inventory, lifecycle: Lifecycle, context: LifecycleContext) -> LifecycleResult:
    """Time has passed: decide what has waited long enough."""
    if not lifecycle.waits:
        return inventory, lifecycle, ()
    tracker = ModuleTracker(inventory, lifecycle, context)
    tracker.time_passed()
    return tracker.records.result(inventory)


def _lost_event(count: int, at: Instant) -> Event:
    why = "trace events were overwritten before they were read"
    return Event(details=TraceEventsLost(source="trace", why=why, lost=count), at=at, severity=Severity.WARNING)
