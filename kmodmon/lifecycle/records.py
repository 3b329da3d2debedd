"""What is recorded of modules while a signal is processed: each change, and the event that reports it.

`tracker` calls for the changes. One object serves one call of `reconcile`.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.event import Actor, Event
from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.coverage import SignalCoverage
from kmodmon.lifecycle.inventory import UNKNOWN_BUILD, Build, Inventory, Loaded, Module, build_of
from kmodmon.lifecycle.module_events import (
    INIT_FAILED,
    changed_event,
    contradiction_event,
    is_other_build,
    load_failed_event,
    loaded_event,
    transient_event,
    unloaded_event,
)
from kmodmon.lifecycle.pending import (
    CONTRADICTIONS,
    MAX_BUILDS,
    MAX_OPEN,
    REMADE,
    Discrepancy,
    Lifecycle,
    LifecycleContext,
    ModuleRecord,
    PendingLoad,
    RecentUnload,
)
from kmodmon.lifecycle.signals import TraceEntry
from kmodmon.types.mapping import mutable_copy
from kmodmon.types.units import Instant

LIST = "/proc/modules"
REMOVE_UEVENT = "remove uevent"


class ModuleRecords:
    """Modules that are loaded, pending, in discrepancy or just unloaded, and the events of this call."""

    def __init__(self, inventory: Inventory, lifecycle: Lifecycle, context: LifecycleContext) -> None:
        self.lifecycle = lifecycle  # what the signals cover; the changes below are put into it by `result`
        self.context = context
        self.at = context.at
        self.events: list[Event] = []
        self.loaded = mutable_copy(inventory.loaded)
        self.pending_loads = mutable_copy(lifecycle.pending_loads)
        self.discrepancies = mutable_copy(lifecycle.discrepancies)
        self.recent_unloads = mutable_copy(lifecycle.recent_unloads)
        self.refusals = lifecycle.refusals
        self.trace_usec = lifecycle.trace_usec
        self._builds: dict[str, Build] = {}  # of the modules unloaded in this call

    def result(self, inventory: Inventory) -> tuple[Inventory, Lifecycle, tuple[Event, ...]]:
        """What is recorded now, in `inventory` and the lifecycle. Unchanged parts stay the same objects."""
        lifecycle = self.lifecycle
        if self.loaded != inventory.loaded:
            inventory = replace(inventory, loaded=MappingProxyType(self.loaded))
        before = (lifecycle.pending_loads, lifecycle.discrepancies, lifecycle.recent_unloads)
        after = (self.pending_loads, self.discrepancies, self.recent_unloads)
        is_same = self.refusals is lifecycle.refusals and self.trace_usec == lifecycle.trace_usec
        if after != before or not is_same:
            lifecycle = replace(
                lifecycle,
                pending_loads=MappingProxyType(self.pending_loads),
                discrepancies=MappingProxyType(self.discrepancies),
                recent_unloads=MappingProxyType(self.recent_unloads),
                refusals=self.refusals,
                trace_usec=self.trace_usec,
            )
        new_builds = {name: build for name, build in self._builds.items() if lifecycle.builds.get(name) != build}
        if new_builds:
            lifecycle = replace(lifecycle, builds=_merged_builds(lifecycle.builds, new_builds))
        return inventory, lifecycle, tuple(self.events)

    @property
    def undecided(self) -> tuple[str, ...]:
        """Names of modules about which something is open."""
        return tuple(dict.fromkeys((*self.pending_loads, *self.recent_unloads, *self.discrepancies)))

    @property
    def coverage(self) -> SignalCoverage:
        """What the signals cover now."""
        return SignalCoverage(self.lifecycle, self.context)

    def record_of(self, name: str) -> ModuleRecord:
        """Everything recorded of one name."""
        return ModuleRecord(
            pending=self.pending_loads.get(name),
            loaded=self.loaded.get(name),
            discrepancy=self.discrepancies.get(name),
            recent_unload=self.recent_unloads.get(name),
        )

    def add(self, name: str, load: PendingLoad) -> None:
        """Record a pending load, or what is new of it; a new one beyond MAX_OPEN is not tracked."""
        if name in self.pending_loads or len(self.pending_loads) < MAX_OPEN:
            self.pending_loads[name] = load

    def disagree(self, name: str, kind: str) -> None:
        """Record a discrepancy that other signals may still explain."""
        listed_at = self.lifecycle.listed_at
        self.discrepancies[name] = Discrepancy(
            kind=kind, since=self.at, present_at=listed_at, while_down=listed_at is None
        )

    def report_discrepancy(self, name: str, discrepancy: Discrepancy, listed: Module | None) -> None:
        """Report a discrepancy as a contradiction. Another sysfs directory is accepted then; others stay recorded."""
        self.contradict(name, discrepancy.kind)
        if discrepancy.kind == REMADE and listed is not None:
            del self.discrepancies[name]
            self.loaded[name] = replace(self.loaded[name], build=build_of(listed))
        else:
            self.discrepancies[name] = replace(discrepancy, reported=True)

    def contradict(self, name: str, kind: str, *evidence: str) -> None:
        """Report that signals contradict each other."""
        self.events.append(contradiction_event(name, kind, self.at, (CONTRADICTIONS[kind], *evidence)))

    def report_changed(self, name: str, module: Module) -> None:
        """Report that a loaded module is listed with another taint or build."""
        before, evidence = self.loaded[name].build, (LIST, "/sys/module")
        self.events.append(changed_event(name, before, build_of(module), self.at, evidence, loaded=True))

    def report_loaded(self, name: str, load: PendingLoad) -> None:
        """Record a pending load as loaded, and report it unless it was there before the first reading."""
        self.pending_loads.pop(name, None)
        loaded = self._loaded_of(load)
        self.loaded[name] = loaded
        if load.before_start:
            return
        entry = load.module_load
        at = load.add_uevent_at or load.since if entry is None else self.coverage.time_of(entry)
        evidence = (
            *((trace_evidence(entry),) if entry is not None else ()),
            *(("add uevent",) if load.add_uevent_at is not None else ()),
            *((LIST,) if load.last_listed is not None else ()),
        )
        self.events.append(loaded_event(name, loaded, at, load.last_listed, evidence))
        before = self._builds.get(name) or self.lifecycle.builds.get(name)
        if before is not None and is_other_build(before, loaded.build):
            self.events.append(changed_event(name, before, loaded.build, at, evidence, loaded=False))

    def _loaded_of(self, load: PendingLoad) -> Loaded:
        entry, module = load.module_load, load.last_listed
        read_at = None if load.while_down or load.before_start else load.since
        signals = (("list", module), ("uevent", load.add_uevent_at), ("trace", entry))
        taint_only = UNKNOWN_BUILD if entry is None else Build(taint=entry.taint)
        return Loaded(
            before_start=load.before_start,
            while_down=load.while_down if entry is None else self.coverage.is_before_start(entry),
            at=load.add_uevent_at or read_at if entry is None else self.coverage.time_of(entry),
            actor=None if entry is None else entry.actor,
            init_usec=load.init_usec,
            signals=tuple(name for name, signal in signals if signal is not None),
            build=taint_only if module is None else build_of(module),
            coming=module is not None and module.state is ModuleState.COMING,
        )

    def report_unloaded(
        self, name: str, at: Instant, *evidence: str, actor: Actor | None = None, while_down: bool = False
    ) -> None:
        """Report an unload; as transient too, if no reading of the list ever showed the module."""
        loaded = self.loaded.pop(name)
        self.discrepancies.pop(name, None)
        self._builds[name] = replace(loaded.build, instance=None)
        self.events.append(unloaded_event(name, loaded, at, actor, evidence, while_down=while_down))
        if "list" not in loaded.signals and not loaded.before_start:
            self.events.append(transient_event(name, loaded, at, actor, evidence))

    def report_removed(self, name: str, evidence: str) -> None:
        """Report an unload at the remove uevent that is recorded as a discrepancy."""
        self.report_unloaded(name, self.discrepancies[name].since, REMOVE_UEVENT, evidence)

    def report_freed(self, name: str, entry: TraceEntry) -> None:
        """Report an unload at its module_free."""
        coverage = self.coverage
        at, while_down = coverage.time_of(entry), coverage.is_before_start(entry)
        self.report_unloaded(name, at, trace_evidence(entry), actor=entry.actor, while_down=while_down)
        self.recent_unloads[name] = RecentUnload(since=self.at)

    def report_reloaded(self, name: str, module: Module, at: Instant, *, while_down: bool) -> None:
        """Report an unload and a load between two readings; `module`: as listed now."""
        evidence = (LIST, "its directory in /sys/module is another one")
        self.report_unloaded(name, at, *evidence, while_down=while_down)
        self.report_loaded(name, PendingLoad(since=at, last_listed=module, while_down=while_down))

    def report_failed(
        self,
        name: str,
        load: PendingLoad,
        reason: str,
        entry: TraceEntry | None = None,
        *,
        free_expected: bool = False,
        loaded: Loaded | None = None,
    ) -> None:
        """Report a failed load; `loaded`: how it was reported as loaded before, if it was."""
        self.pending_loads.pop(name, None)
        self.discrepancies.pop(name, None)
        self.recent_unloads[name] = RecentUnload(since=self.at, free_expected=free_expected)
        begin = LIST if load.module_load is None else trace_evidence(load.module_load)
        evidence = (begin,) if entry is None else (begin, trace_evidence(entry))
        loaded = loaded or self._loaded_of(load)
        self.events.append(load_failed_event(name, loaded, load.since, reason, load.init_ret, evidence))

    def report_failed_late(self, name: str, entry: TraceEntry) -> None:
        """Report a failed load that was reported as loaded before, because its init ran for so long."""
        loaded = self.loaded.pop(name)
        load = PendingLoad(since=loaded.at or self.at)
        self.report_failed(name, load, INIT_FAILED, entry, loaded=loaded)

    def report_unseen(self, name: str, entry: TraceEntry, refusals: list[TraceEntry]) -> None:
        """Report a module_free whose load was before the trace began, or was lost.

        `refusals`: failed inits of the same task whose load was lost too.
        """
        self.recent_unloads[name] = RecentUnload(since=self.at)
        loaded = Loaded(before_start=False, signals=("trace",), actor=entry.actor)
        at, evidence = self.coverage.time_of(entry), (trace_evidence(entry), "its load was not seen")
        if refusals:
            self.refusals = tuple(refusal for refusal in self.refusals if refusal.tid != entry.tid)
            self.events.append(load_failed_event(name, loaded, at, INIT_FAILED, refusals[-1].ret, evidence))
        else:
            self.events.append(unloaded_event(name, loaded, at, entry.actor, evidence))


def trace_evidence(entry: TraceEntry) -> str:
    """The evidence text of a trace event."""
    actor = "" if entry.actor is None else f" by {entry.actor.name}[{entry.actor.process.pid}]"
    return f"{entry.kind.value} traced at {entry.monotonic_usec / 1e6:.6f}{actor}"


def _merged_builds(before: Mapping[str, Build], new: Mapping[str, Build]) -> Mapping[str, Build]:
    """The builds last unloaded; the oldest are dropped."""
    merged = {name: build for name, build in before.items() if name not in new} | dict(new)
    for name in tuple(merged)[: max(0, len(merged) - MAX_BUILDS)]:
        del merged[name]
    return MappingProxyType(merged)
