"""Takes in the signals about modules one by one: `decision` says what each means, and `records` reports it."""

from dataclasses import replace

from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.coverage import SignalCoverage
from kmodmon.lifecycle.decision import (
    Decision,
    decide_discrepancy,
    decide_initcall_finish,
    decide_listed,
    decide_module_free,
    decide_module_load,
    decide_not_listed,
    decide_pending,
    decide_pending_after_wait,
    decide_uevent,
)
from kmodmon.lifecycle.inventory import Inventory, Module, build_of
from kmodmon.lifecycle.module_events import INIT_FAILED, UNKNOWN_REASON
from kmodmon.lifecycle.pending import (
    LEFT,
    LOADED_TWICE,
    MAX_REFUSALS,
    MOVED,
    NEVER_LISTED,
    NEVER_TRACED,
    REMADE,
    REMOVED,
    SETTLE_USEC,
    Discrepancy,
    Lifecycle,
    LifecycleContext,
    PendingLoad,
    RecentUnload,
)
from kmodmon.lifecycle.records import LIST, REMOVE_UEVENT, ModuleRecords, trace_evidence
from kmodmon.lifecycle.signals import ModuleUevent, TraceEntry


class ModuleTracker:
    """Signals in, records and events out."""

    def __init__(self, inventory: Inventory, lifecycle: Lifecycle, context: LifecycleContext) -> None:
        self.records = ModuleRecords(inventory, lifecycle, context)
        self._modules = inventory.modules  # of the reading before this call
        self._context = context
        self._at = context.at

    @property
    def _coverage(self) -> SignalCoverage:
        return self.records.coverage

    # /proc/modules

    def listed(self, name: str, module: Module) -> None:
        """A reading shows a module that is new or changed, or about which something is open."""
        records, record = self.records, self.records.record_of(name)
        decision = decide_listed(record, module, self._coverage)
        if decision is Decision.IGNORE:
            return
        if record.pending is None:
            records.recent_unloads.pop(name, None)
        match decision:
            case Decision.PENDING:
                load = record.pending or self._first_listed(record.recent_unload)
                records.add(name, replace(load, listed=module, last_listed=module, last_listed_at=self._at))
                self._decide(name)
            case Decision.DISCREPANCY:
                records.disagree(name, REMADE)
            case Decision.RELOADED:
                records.report_reloaded(name, module, self._at, while_down=self._coverage.is_first_reading)
            case Decision.CHANGED:
                records.report_changed(name, module)
                self._listed_again(name, module)
            case Decision.RETURNED:
                del records.discrepancies[name]  # whether it was hidden is for `subjects.hidden`
                self._listed_again(name, module)
            case Decision.UPDATED:
                self._listed_again(name, module)

    def _first_listed(self, recent_unload: RecentUnload | None) -> PendingLoad:
        is_first = self._coverage.is_first_reading
        return PendingLoad(
            since=self._at,
            not_listed_at=self.records.lifecycle.listed_at if recent_unload is None else recent_unload.since,
            before_start=is_first and not self._context.resumed,
            while_down=is_first and self._context.resumed,
        )

    def _listed_again(self, name: str, module: Module) -> None:
        before = self.records.loaded[name]
        signals = before.signals if "list" in before.signals else ("list", *before.signals)
        is_coming = before.coming and module.state is ModuleState.COMING
        loaded = replace(before, build=build_of(module), signals=signals, coming=is_coming)
        if loaded != before:
            self.records.loaded[name] = loaded

    def not_listed(self, name: str) -> None:
        """A reading does not show a module that is loaded or pending."""
        records, record = self.records, self.records.record_of(name)
        match decide_not_listed(record, self._coverage):
            case Decision.PENDING if record.pending is not None:
                records.add(name, replace(record.pending, listed=None))
                self._decide(name)
            case Decision.DISCREPANCY:
                records.disagree(name, LEFT)
            case Decision.REMOVED:
                records.report_removed(name, LIST)
            case Decision.UNLOADED:
                records.report_unloaded(name, self._at, LIST, while_down=self._coverage.is_first_reading)

    # The trace

    def module_load(self, entry: TraceEntry) -> None:
        """A load was traced; its init is still to run."""
        records, name = self.records, entry.module
        records.trace_usec = max(records.trace_usec, entry.monotonic_usec)
        record = records.record_of(name)
        decision = decide_module_load(record, entry, self._coverage)
        if record.loaded is not None and decision is Decision.UPDATED:
            at, signals = self._coverage.time_of(entry), (*record.loaded.signals, "trace")
            records.loaded[name] = replace(record.loaded, at=at, actor=entry.actor, signals=signals)
        elif record.pending is not None and decision is Decision.PENDING:
            # The list may have shown a later load of that name: the next signal decides.
            records.add(name, replace(record.pending, module_load=entry, before_start=False))
        else:
            self._end_previous(name, record.pending, entry, decision)
            records.recent_unloads.pop(name, None)
            listed_at = records.lifecycle.listed_at
            records.add(name, PendingLoad(since=self._at, module_load=entry, not_listed_at=listed_at))

    def _end_previous(self, name: str, load: PendingLoad | None, entry: TraceEntry, decision: Decision) -> None:
        records = self.records
        if load is not None and decision is Decision.FAILED:
            records.report_failed(name, load, UNKNOWN_REASON, entry)
        if load is not None and decision is Decision.LOADED_AND_UNLOADED:
            records.report_loaded(name, load)
        if decision is Decision.CONTRADICTED:
            records.contradict(name, LOADED_TWICE, trace_evidence(entry))
        if name in records.loaded:
            evidence = (trace_evidence(entry), "its unload was not seen")
            records.report_unloaded(name, self._coverage.time_of(entry), *evidence)

    def initcall_finish(self, entry: TraceEntry) -> None:
        """The init of the module that this task loads has returned."""
        records, (name, load) = self.records, self._initialising(entry.tid)
        decision = decide_initcall_finish(load, entry)
        if decision is Decision.REMEMBERED:
            records.refusals = (*records.refusals, entry)[-MAX_REFUSALS:]
        if load is None or load.module_load is None:
            return
        init_usec = entry.monotonic_usec - load.module_load.monotonic_usec
        load = replace(load, init_ret=entry.ret, init_usec=init_usec)
        if decision is Decision.FAILED:
            records.report_failed(name, load, INIT_FAILED, entry, free_expected=True)
        else:
            records.add(name, load)
            self._decide(name)

    def _initialising(self, tid: int) -> tuple[str, PendingLoad | None]:
        for name, load in reversed(self.records.pending_loads.items()):
            if load.module_load is not None and load.module_load.tid == tid and load.init_ret is None:
                return name, load
        return "", None

    def module_free(self, entry: TraceEntry) -> None:
        """A module was freed, by an unload or after its init failed."""
        records, name = self.records, entry.module
        records.trace_usec = max(records.trace_usec, entry.monotonic_usec)
        record = records.record_of(name)
        refusals = [refusal for refusal in records.refusals if refusal.tid == entry.tid]
        match decide_module_free(record, entry, is_init_failed=bool(refusals)):
            case Decision.LOADED_AND_UNLOADED if record.pending is not None:
                records.report_loaded(name, record.pending)
                records.report_freed(name, entry)
            case Decision.FAILED if record.pending is not None:
                records.report_failed(name, record.pending, INIT_FAILED, entry)
            case Decision.FAILED_LATE:
                records.report_failed_late(name, entry)
            case Decision.UNLOADED:
                records.report_freed(name, entry)
            case Decision.UPDATED if record.recent_unload is not None:
                records.recent_unloads[name] = replace(record.recent_unload, free_expected=False)
            case Decision.FAILED_UNSEEN | Decision.UNLOADED_UNSEEN:
                records.report_unseen(name, entry, refusals)

    def trace_lost(self) -> None:
        """Trace events were lost, or the trace cannot be read any more: the list decides what waits for it."""
        records = self.records
        records.lifecycle = replace(records.lifecycle, trace_since=None, trace_intact=None)
        for name in tuple(records.pending_loads):
            self._decide(name)
        for name, discrepancy in tuple(records.discrepancies.items()):
            if not discrepancy.reported:
                self._decide_discrepancy(name, discrepancy)

    def mark_trace_lost(self) -> None:
        """Of what is pending now, the trace may have lost the end."""
        for name, load in self.records.pending_loads.items():
            self.records.pending_loads[name] = replace(load, trace_lost_after=True)

    # Uevents

    def uevent(self, event: ModuleUevent) -> None:
        """The kernel sent a uevent about a module."""
        name = self._name_of(event.module if event.moved_from is None or event.action != "move" else event.moved_from)
        records, record = self.records, self.records.record_of(name)
        match decide_uevent(record, event, self._coverage):
            case Decision.PENDING if event.action == "add":
                self._add_uevent(name, record.pending)
            case Decision.PENDING if record.pending is not None:
                records.add(name, replace(record.pending, remove_uevent_at=self._at))
            case Decision.LOADED_AND_REMOVED as decision if record.pending is not None:
                self._carry_out(name, replace(record.pending, remove_uevent_at=self._at), decision)
            case Decision.REMOVED:
                records.report_removed(name, "add uevent")
                records.add(name, PendingLoad(since=self._at, add_uevent_at=self._at))
            case Decision.DISCREPANCY:
                records.disagree(name, REMOVED)
            case Decision.CONTRADICTED:
                records.contradict(name, MOVED, f"moved to {event.module or 'elsewhere'}")
                records.discrepancies[name] = Discrepancy(kind=MOVED, since=self._at, reported=True)
            case Decision.RESOLVED:
                del records.discrepancies[name]

    def _add_uevent(self, name: str, load: PendingLoad | None) -> None:
        if load is None:
            self.records.recent_unloads.pop(name, None)
            load = PendingLoad(since=self._at, not_listed_at=self.records.lifecycle.listed_at)
        self.records.add(name, replace(load, add_uevent_at=load.add_uevent_at or self._at))

    def _name_of(self, directory: str) -> str:
        if "!" in directory:  # a kobject name has `!` for each `/` (lib/kobject.c)
            for name in (*self.records.pending_loads, *self.records.loaded):
                if name.replace("/", "!") == directory:
                    return name
        return directory

    # Time

    def time_passed(self) -> None:
        """Decide what has waited long enough."""
        records, coverage = self.records, self._coverage
        for name, load in tuple(records.pending_loads.items()):
            if coverage.age(load.since) >= SETTLE_USEC:
                self._carry_out(name, load, decide_pending_after_wait(load, coverage))
        for name, discrepancy in tuple(records.discrepancies.items()):
            if not discrepancy.reported and coverage.age(discrepancy.since) >= SETTLE_USEC:
                self._decide_discrepancy(name, discrepancy)
        for name, recent_unload in tuple(records.recent_unloads.items()):
            module = self._modules.get(name)
            is_listed = module is not None and module.state is not ModuleState.GOING  # the next reading says why
            if coverage.age(recent_unload.since) >= 2 * SETTLE_USEC and not is_listed:
                del records.recent_unloads[name]

    # What was decided

    def _decide(self, name: str) -> None:
        load = self.records.pending_loads.get(name)
        if load is not None:
            self._carry_out(name, load, decide_pending(load, self._coverage))

    def _carry_out(self, name: str, load: PendingLoad, decision: Decision) -> None:
        records = self.records
        match decision:
            case Decision.LOADED:
                records.report_loaded(name, load)
            case Decision.LOADED_NOT_TRACED:
                records.report_loaded(name, load)
                records.contradict(name, NEVER_TRACED)
            case Decision.LOADED_NOT_LISTED:
                records.report_loaded(name, load)
                records.disagree(name, NEVER_LISTED)
            case Decision.LOADED_AND_LEFT:
                records.report_loaded(name, load)
                records.report_unloaded(name, self._at, LIST)
            case Decision.LOADED_AND_REMOVED:
                records.report_loaded(name, load)
                records.report_unloaded(name, load.remove_uevent_at or self._at, REMOVE_UEVENT)
                records.recent_unloads[name] = RecentUnload(since=self._at)
            case Decision.FAILED:
                records.report_failed(name, load, UNKNOWN_REASON)
            case Decision.DROPPED:
                del records.pending_loads[name]
            case Decision.CONTRADICTED:
                del records.pending_loads[name]
                records.contradict(name, NEVER_LISTED, "an add uevent, and neither a remove uevent nor a listing")

    def _decide_discrepancy(self, name: str, discrepancy: Discrepancy) -> None:
        records, listed = self.records, self._modules.get(name)
        match decide_discrepancy(discrepancy, records.loaded.get(name), listed, self._coverage):
            case Decision.CONTRADICTED:
                records.report_discrepancy(name, discrepancy, listed)
            case Decision.RESOLVED:
                del records.discrepancies[name]
            case Decision.UNLOADED:
                records.report_unloaded(name, discrepancy.since, LIST, while_down=discrepancy.while_down)
            case Decision.RELOADED if listed is not None:
                records.report_reloaded(name, listed, discrepancy.since, while_down=discrepancy.while_down)
