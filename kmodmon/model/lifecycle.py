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
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.model.autoload import attempted, requested, with_requester
from kmodmon.model.event import Event, EventType, Severity
from kmodmon.model.inventory import Inventory
from kmodmon.model.life import Lifecycle, Scene
from kmodmon.model.lives import Lives, bounded_builds
from kmodmon.model.observation import ModulesRead
from kmodmon.model.units import Instant
from kmodmon.model.witness import TraceEntry, TraceHeard, TraceKind, UeventsHeard

Told: TypeAlias = tuple[Inventory, Lifecycle, tuple[Event, ...]]


def modules_read(inventory: Inventory, life: Lifecycle, read: ModulesRead, scene: Scene) -> Told:
    """Fold one consistent reading of the module list."""
    lives = Lives(inventory, life, scene)
    before = inventory.modules
    open_names = lives.comings.keys() | lives.over.keys()
    for name, module in read.modules.items():
        if before.get(name) is not module or name in open_names or name in lives.doubts:
            lives.listed(name, module)
    for name in (lives.loaded.keys() | open_names) - read.modules.keys():
        lives.unlisted(name)
    told = replace(inventory, support=True, modules=read.modules, skipped=read.skipped)
    return _closed(lives, told, replace(life, listed_at=scene.at))


def trace_heard(inventory: Inventory, life: Lifecycle, heard: TraceHeard, lost: int, scene: Scene) -> Told:
    """Fold what was read of the trace. `lost`: events that the kernel dropped before it."""
    events: list[Event] = []
    if lost:
        events.append(_lost(lost, scene.at))
        lives = Lives(inventory, replace(life, trace_since=None), scene)
        lives.trace_lost()
        inventory, life, more = _closed(lives, inventory, replace(life, trace_since=scene.at))
        events += more
    for entry in heard.entries:
        if heard.adopted and entry.monotonic_usec <= life.trace_usec:
            continue
        inventory, life, more = _entry(inventory, life, entry, scene)
        events += more
    if heard.began:
        life = replace(life, trace_since=scene.at, trace_intact=None, tells_init=heard.tells_init)
    elif heard.intact:
        life = replace(life, trace_intact=scene.at)
    return inventory, life, tuple(events)


def _entry(inventory: Inventory, life: Lifecycle, entry: TraceEntry, scene: Scene) -> Told:
    life = replace(life, trace_usec=max(life.trace_usec, entry.monotonic_usec))
    match entry.kind:
        case TraceKind.REQUEST:
            life, events = requested(life, entry, scene.at)
            return inventory, life, events
        case TraceKind.EXEC:
            return inventory, attempted(life, entry), ()
        case TraceKind.LOAD:
            lives = Lives(inventory, life, scene)
            lives.traced_load(with_requester(life, entry))
        case TraceKind.INIT:
            lives = Lives(inventory, life, scene)
            lives.traced_init(entry)
        case TraceKind.FREE:
            lives = Lives(inventory, life, scene)
            lives.traced_free(entry)
    return _closed(lives, inventory, life)


def uevents_heard(inventory: Inventory, life: Lifecycle, heard: UeventsHeard, scene: Scene) -> Told:
    """Fold uevents; what somebody wrote into a `uevent` file tells of no module."""
    if heard.began:
        life = replace(life, uevents=True)
    lives = Lives(inventory, life, scene)
    for event in heard.events:
        if not event.synthetic:
            lives.heard(event)
    return _closed(lives, inventory, life)


def witness_lost(inventory: Inventory, life: Lifecycle, source: str, scene: Scene) -> Told:
    """A witness cannot be heard any more; what waited for the trace is decided by the list."""
    if source == "uevent":
        return inventory, replace(life, uevents=False), ()
    life = replace(life, trace_since=None, trace_intact=None)
    lives = Lives(inventory, life, scene)
    lives.trace_lost()
    return _closed(lives, inventory, life)


def settled(inventory: Inventory, life: Lifecycle, scene: Scene) -> Told:
    """Time has passed."""
    if not life.waits:
        return inventory, life, ()
    lives = Lives(inventory, life, scene)
    lives.settle()
    return _closed(lives, inventory, life)


def _closed(lives: Lives, inventory: Inventory, life: Lifecycle) -> Told:
    # Parts that did not change stay the same objects: readers compare with `is`.
    if lives.loaded != inventory.loaded:
        inventory = replace(inventory, loaded=MappingProxyType(lives.loaded))
    changed = lives.comings != life.comings or lives.doubts != life.doubts or lives.over != life.over
    if changed or lives.builds or lives.refusals is not life.refusals:
        life = replace(
            life,
            comings=MappingProxyType(lives.comings),
            doubts=MappingProxyType(lives.doubts),
            over=MappingProxyType(lives.over),
            refusals=lives.refusals,
            builds=bounded_builds(life.builds, lives.builds),
        )
    return inventory, life, tuple(lives.events)


def _lost(count: int, at: Instant) -> Event:
    return Event(
        type=EventType.SOURCE_LOST,
        at=at,
        severity=Severity.WARNING,
        fields={"source": "trace", "why": "trace events were overwritten before they were read", "lost": count},
    )
