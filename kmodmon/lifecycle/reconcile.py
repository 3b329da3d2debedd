"""The lives of modules, told once each, from three witnesses: the list, uevents, and the trace of the loader.

- The *trace* is exact: with it a load is told at the kernel's own time, with its task, even if the module was gone
  before any look at the list. A load whose init fails is traced as well, and is told as a failure, not as a load.
- The *list* says what is there now, and gives size, srcversion and state. Without a trace it decides alone.
- A *uevent* is a hint that has the list read. Only a life that was added and removed before the list could show it is
  told by uevents alone.

What one witness says waits for the others for as long as they may still speak (SETTLE), and no longer: `comings` are
modules that came and are not told yet, `doubts` told modules about which witnesses disagree, `over` names that ended
and that the list may show a moment longer. Where the trace was whole all the time (nothing lost, found intact after
the fact) a disagreement is a contradiction, and an event; where it was not, the list is believed.

The same functions serve a restart: what an adopted trace buffer and the list say is compared with what was told by the
run before, and what came or went in between is told as such (`while_down`).
"""

from dataclasses import replace
from typing import TypeAlias

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.source import TraceEventsLost
from kmodmon.lifecycle.autoload import attempted, requested, with_requester
from kmodmon.lifecycle.inventory import Inventory, other_modules
from kmodmon.lifecycle.pending import Lifecycle, LifecycleContext
from kmodmon.lifecycle.signals import ModulesRead, TraceEntry, TraceKind, TraceRead, UeventsRead
from kmodmon.lifecycle.tracker import Lives
from kmodmon.types.units import Instant

Told: TypeAlias = tuple[Inventory, Lifecycle, tuple[Event, ...]]


def modules_read(inventory: Inventory, life: Lifecycle, read: ModulesRead, scene: LifecycleContext) -> Told:
    """Fold one consistent reading of the module list."""
    lives = Lives(inventory, life, scene)
    before, now = inventory.modules, read.modules
    open_names = lives.comings.keys() | lives.over.keys()
    # Most looks find nothing that is another object than before: then only what is open is to be looked at.
    changed = () if before is now else other_modules(now, before)
    for name in dict.fromkeys((*changed, *lives.comings, *lives.over, *lives.doubts)):
        if name in now:
            lives.listed(name, now[name])
    if not (open_names <= now.keys() and lives.loaded.keys() <= now.keys()):
        for name in (lives.loaded.keys() | open_names) - now.keys():
            lives.unlisted(name)
    same = before is now and inventory.support is True and inventory.skipped == read.skipped
    lives.life = replace(life, listed_at=scene.at)
    return lives.close(inventory if same else replace(inventory, support=True, modules=now, skipped=read.skipped))


def trace_read(inventory: Inventory, life: Lifecycle, heard: TraceRead, lost: int, scene: LifecycleContext) -> Told:
    """Fold what was read of the trace. `lost`: events that the kernel dropped before it."""
    lives = Lives(inventory, life, scene)
    if lost:
        lives.trace_lost()
        lives.events.append(_lost(lost, scene.at))
        lives.life = replace(lives.life, trace_since=scene.at)
    for entry in heard.entries:
        if not heard.adopted or entry.monotonic_usec > life.trace_usec:
            _entry(lives, entry)
    if lost:
        lives.blind()
    read_at = scene.at.back_to(heard.at_usec) if heard.at_usec else scene.at
    if heard.began:
        lives.life = replace(lives.life, trace_since=read_at, trace_intact=None, tells_init=heard.tells_init)
    elif heard.intact:
        lives.life = replace(lives.life, trace_intact=read_at)
    return lives.close(inventory)


def _entry(lives: Lives, entry: TraceEntry) -> None:
    match entry.kind:
        case TraceKind.REQUEST:
            lives.life, events = requested(lives.life, entry, lives.at)
            lives.events += events
        case TraceKind.EXEC:
            lives.life = attempted(lives.life, entry)
        case TraceKind.LOAD:
            lives.traced_load(with_requester(lives.life, entry))
        case TraceKind.INIT:
            lives.traced_init(entry)
        case TraceKind.FREE:
            lives.traced_free(entry)


def uevents_read(inventory: Inventory, life: Lifecycle, heard: UeventsRead, scene: LifecycleContext) -> Told:
    """Fold uevents; what somebody wrote into a `uevent` file tells of no module."""
    lives = Lives(inventory, replace(life, uevents=True) if heard.began else life, scene)
    for event in heard.events:
        if not event.synthetic:
            lives.heard(event)
    return lives.close(inventory)


def signal_lost(inventory: Inventory, life: Lifecycle, source: str, scene: LifecycleContext) -> Told:
    """A witness cannot be heard any more; what waited for the trace is decided by the list."""
    if source == "uevent":
        return inventory, replace(life, uevents=False), ()
    lives = Lives(inventory, life, scene)
    lives.trace_lost()
    lives.blind()
    return lives.close(inventory)


def settled(inventory: Inventory, life: Lifecycle, scene: LifecycleContext) -> Told:
    """Time has passed."""
    if not life.waits:
        return inventory, life, ()
    lives = Lives(inventory, life, scene)
    lives.settle()
    return lives.close(inventory)


def _lost(count: int, at: Instant) -> Event:
    why = "trace events were overwritten before they were read"
    return Event(details=TraceEventsLost(source="trace", why=why, lost=count), at=at, severity=Severity.WARNING)
