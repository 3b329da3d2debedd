"""The working copy of what is told and what is open about modules, and the events that one observation makes.

`settling` decides, `lives` hears the witnesses. Nothing outside one call of `lifecycle` ever sees a copy.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.event import Actor, Event
from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.inventory import UNKNOWN_BUILD, Build, Inventory, Loaded, Module, build_of
from kmodmon.lifecycle.module_events import (
    changed_event,
    contradiction_event,
    is_other_build,
    load_failed_event,
    loaded_event,
    transient_event,
    unloaded_event,
)
from kmodmon.lifecycle.pending import (
    LEFT,
    LOADED_TWICE,
    MARGIN_USEC,
    MAX_BUILDS,
    MAX_OPEN,
    MOVED,
    NEVER_LISTED,
    NEVER_TRACED,
    READ_USEC,
    REMADE,
    REMOVED,
    Discrepancy,
    Lifecycle,
    LifecycleContext,
    PendingLoad,
    RecentUnload,
)
from kmodmon.lifecycle.signals import TraceEntry
from kmodmon.types.units import Instant

LIST = "/proc/modules"
_WORDS = {
    LEFT: "/proc/modules no longer has it, and the trace, which was on all the time, saw no module_free",
    REMADE: "its directory in /sys/module is another one, and the trace saw it neither freed nor loaded",
    REMOVED: "a remove uevent came, and the trace saw no module_free",
    MOVED: "a move uevent took its directory out of /sys/module",
    NEVER_LISTED: "/proc/modules does not have it, and the trace saw no module_free",
    NEVER_TRACED: "/proc/modules has it, and the trace, which was on all the time, did not see it come",
    LOADED_TWICE: "the trace saw it loaded a second time without a module_free in between",
}


class Books:
    """Every module that is told as loaded, what is open about others, and what the witnesses are worth."""

    def __init__(self, inventory: Inventory, life: Lifecycle, scene: LifecycleContext) -> None:
        self.life = life
        self.scene = scene
        self.at = scene.at
        self.modules = inventory.modules  # as listed last
        self.loaded = dict(inventory.loaded)
        self.comings = dict(life.comings)
        self.doubts = dict(life.doubts)
        self.over = dict(life.over)
        self.builds: dict[str, Build] = {}
        self.refusals = life.refusals
        self.told_usec = 0  # the last trace event of a load or unload
        self.events: list[Event] = []

    def close(self, inventory: Inventory) -> tuple[Inventory, Lifecycle, tuple[Event, ...]]:
        """The books as they are now. Parts that did not change stay the same objects: readers compare with `is`."""
        life = self.life
        if self.loaded != inventory.loaded:
            inventory = replace(inventory, loaded=MappingProxyType(self.loaded))
        if (
            self.comings != life.comings
            or self.doubts != life.doubts
            or self.over != life.over
            or self.refusals is not life.refusals
            or self.told_usec > life.trace_usec
        ):
            life = replace(
                life,
                comings=MappingProxyType(self.comings),
                doubts=MappingProxyType(self.doubts),
                over=MappingProxyType(self.over),
                refusals=self.refusals,
                trace_usec=max(self.told_usec, life.trace_usec),
            )
        fresh = {name: build for name, build in self.builds.items() if life.builds.get(name) != build}
        if fresh:
            life = replace(life, builds=bounded_builds(life.builds, fresh))
        return inventory, life, tuple(self.events)

    # What is told

    def begin(self, name: str) -> None:
        """Tell of a load."""
        coming = self.comings.pop(name)
        module, load = coming.module or coming.last, coming.load
        how = self._how(coming, module)
        self.loaded[name] = how
        if coming.before_start:
            return
        at = coming.added or coming.since if load is None else self._moment(load)
        evidence = (
            *(words("module_load", load) if load is not None else ()),
            *(("add uevent",) if coming.added is not None else ()),
            *((LIST,) if module is not None else ()),
        )
        self.events.append(loaded_event(name, how, at, module, evidence))
        was = self.builds.get(name) or self.life.builds.get(name)
        if was is not None and is_other_build(was, how.build):
            self.events.append(changed_event(name, was, how.build, at, evidence, loaded=False))

    def _how(self, coming: PendingLoad, module: Module | None) -> Loaded:
        load = coming.load
        seen = (("list", module), ("uevent", coming.added), ("trace", load))
        at = coming.added or (None if coming.while_down or coming.before_start else coming.since)
        return Loaded(
            before_start=coming.before_start,
            while_down=coming.while_down if load is None else self._was_down(load),
            at=at if load is None else self._moment(load),
            actor=None if load is None else load.actor,
            init_usec=coming.init_usec,
            signals=tuple(name for name, what in seen if what is not None),
            build=self._build(module, load),
            coming=module is not None and module.state is ModuleState.COMING,
        )

    def _build(self, module: Module | None, load: TraceEntry | None) -> Build:
        if module is not None:
            return build_of(module)
        return UNKNOWN_BUILD if load is None else Build(taint=load.taint)

    def end(
        self, name: str, at: Instant, actor: Actor | None, evidence: tuple[str, ...], *, while_down: bool = False
    ) -> None:
        """Tell of an unload, and of a whole life that no look at the list saw."""
        how = self.loaded.pop(name)
        self.doubts.pop(name, None)
        self.builds[name] = replace(how.build, instance=None)
        self.events.append(unloaded_event(name, how, at, actor, evidence, while_down=while_down))
        if "list" not in how.signals and not how.before_start:
            self.events.append(transient_event(name, how, at, actor, evidence))

    def fail(
        self,
        name: str,
        reason: str,
        entry: TraceEntry | None,
        *,
        unfreed: bool = False,
        how: Loaded | None = None,
    ) -> None:
        """Tell of a load that came to nothing; `how`: as it was told, if its init ran for so long that it was."""
        coming = self.comings.pop(name)
        self.doubts.pop(name, None)
        self.over[name] = RecentUnload(since=self.at, unfreed=unfreed)
        how = how or self._how(coming, coming.last)
        evidence = words("module_load", coming.load) if coming.load is not None else (LIST,)
        if entry is not None:
            evidence += words(entry.kind.value, entry)
        self.events.append(
            load_failed_event(name, how, coming.since, reason, coming.ret, evidence),
        )

    def contradict(self, name: str, kind: str, evidence: tuple[str, ...]) -> None:
        """Tell that the witnesses do not agree."""
        self.events.append(contradiction_event(name, kind, self.at, (_WORDS[kind], *evidence)))

    def _doubt(self, name: str, kind: str) -> None:
        first = self.life.listed_at is None
        self.doubts[name] = Discrepancy(kind=kind, since=self.at, present_at=self.life.listed_at, while_down=first)

    def open(self, name: str, coming: PendingLoad) -> None:
        if len(self.comings) < MAX_OPEN:
            self.comings[name] = coming

    # What the witnesses are worth

    @property
    def _patient(self) -> bool:
        """Whether the trace may still speak."""
        return self.life.trace_since is not None or self.scene.trace_expected

    def _is_whole_since(self, moment: Instant) -> bool:
        since = self.life.trace_since
        return since is not None and moment.monotonic_usec > since.monotonic_usec + MARGIN_USEC

    def _was_watched(self, told: Loaded, doubt: Discrepancy) -> bool:
        """Whether the trace would have told of an end that came after the module was last known to be there."""
        since = self.life.trace_since
        if since is None or since.monotonic_usec > doubt.since.monotonic_usec:
            return False
        if "trace" in told.signals and told.at is not None and told.at.monotonic_usec > since.monotonic_usec:
            return True
        return doubt.present_at is not None and self._is_whole_since(doubt.present_at)

    def _is_confirmed(self, moment: Instant) -> bool:
        intact = self.life.trace_intact
        return intact is not None and intact.monotonic_usec > moment.monotonic_usec + READ_USEC

    def _listed_since(self, moment: Instant) -> bool:
        listed = self.life.listed_at
        return listed is not None and listed.monotonic_usec > moment.monotonic_usec + MARGIN_USEC

    def _age(self, since: Instant) -> int:
        return self.at.monotonic_usec - since.monotonic_usec

    def _waited(self, since: Instant) -> int:
        # A trace that is read late has not told yet what is long over.
        heard = self.at if self.life.trace_since is None else self.life.trace_intact
        return 0 if heard is None else heard.monotonic_usec - since.monotonic_usec

    def _moment(self, entry: TraceEntry) -> Instant:
        return self.at.back_to(entry.monotonic_usec)

    def _was_down(self, entry: TraceEntry) -> bool:
        return entry.monotonic_usec < self.scene.started.monotonic_usec


def bounded_builds(before: Mapping[str, Build], fresh: Mapping[str, Build]) -> Mapping[str, Build]:
    """The builds last told, the oldest forgotten first."""
    merged = {name: build for name, build in before.items() if name not in fresh} | dict(fresh)
    for name in tuple(merged)[: max(0, len(merged) - MAX_BUILDS)]:
        del merged[name]
    return MappingProxyType(merged)


def words(event: str, entry: TraceEntry) -> tuple[str, ...]:
    """The evidence that a trace event gives."""
    who = "" if entry.actor is None else f" by {entry.actor.name}[{entry.actor.process.pid}]"
    return (f"{event} traced at {entry.monotonic_usec / 1e6:.6f}{who}",)
