"""What each decision changes and reports, by signals given to `reconcile` directly, also those no kernel would send."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from kmodmon.events.event import Actor, Event, EventType, Process
from kmodmon.events.kinds.module import (
    ModuleChanged,
    ModuleLoaded,
    ModuleLoadFailed,
    ModuleTransient,
    ModuleUnloaded,
    SignalsContradicted,
)
from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.inventory import EMPTY_INVENTORY, UNKNOWN_BUILD, Module, ModuleAttributes
from kmodmon.lifecycle.pending import MAX_OPEN, MOVED, NEVER_LISTED, NO_LIFECYCLE, REMADE, LifecycleContext
from kmodmon.lifecycle.reconcile import modules_read, settled, signal_lost, trace_read, uevents_read
from kmodmon.lifecycle.signals import ModulesRead, ModuleUevent, TraceEntry, TraceKind, TraceRead, UeventsRead
from kmodmon.types.units import Instant, Usec

LOADED, UNLOADED, FAILED = ModuleLoaded.kind.type, ModuleUnloaded.kind.type, ModuleLoadFailed.kind.type
TRANSIENT, CONTRADICTED = ModuleTransient.kind.type, SignalsContradicted.kind.type
LIVE, LOADING, UNLOADING = ModuleState.LIVE, ModuleState.COMING, ModuleState.GOING
START = 100.0  # seconds


def usec(seconds: float) -> Usec:
    return Usec(round(seconds * 1_000_000))


def module(name: str, state: ModuleState = LIVE, instance: int = 1) -> Module:
    return Module(name=name, size=1, state=state, attributes=ModuleAttributes(instance=instance))


class Tracked:
    """The inventory and the lifecycle, and the events of the newest signal."""

    def __init__(self, *, resumed: bool = False, trace_expected: bool = False) -> None:
        self.now = START
        self.resumed, self.trace_expected = resumed, trace_expected
        self.inventory, self.lifecycle = EMPTY_INVENTORY, NO_LIFECYCLE
        self.events: tuple[Event, ...] = ()

    @property
    def context(self) -> LifecycleContext:
        at, started = (Instant(realtime_usec=usec(each), monotonic_usec=usec(each)) for each in (self.now, START))
        return LifecycleContext(at=at, started=started, resumed=self.resumed, trace_expected=self.trace_expected)

    def read(self, *modules: Module, after: float = 1.0) -> list[EventType]:
        self.now += after
        read = ModulesRead(modules=MappingProxyType({each.name: each for each in modules}))
        self.inventory, self.lifecycle, self.events = modules_read(
            self.inventory, self.lifecycle, read, self.context
        )  # fmt: skip
        return self.types

    def trace(
        self, *entries: TraceEntry, began: bool = False, intact: bool = False, lost: int = 0, after: float = 0.1
    ) -> list[EventType]:
        self.now += after
        read = TraceRead(entries=entries, began=began, intact=intact)
        self.inventory, self.lifecycle, self.events = trace_read(
            self.inventory, self.lifecycle, read, lost, self.context
        )  # fmt: skip
        return self.types

    def uevents(self, *events: ModuleUevent, began: bool = False) -> list[EventType]:
        self.now += 0.1
        read = UeventsRead(events=events, began=began)
        self.inventory, self.lifecycle, self.events = uevents_read(self.inventory, self.lifecycle, read, self.context)
        return self.types

    def wait(self, seconds: float) -> list[EventType]:
        self.now += seconds
        self.inventory, self.lifecycle, self.events = settled(self.inventory, self.lifecycle, self.context)
        return self.types

    def lose_trace(self) -> list[EventType]:
        self.inventory, self.lifecycle, self.events = signal_lost(
            self.inventory, self.lifecycle, "trace", self.context
        )  # fmt: skip
        return self.types

    def entry(self, kind: TraceKind, name: str = "", *, tid: int = 7, ret: int | None = None) -> TraceEntry:
        actor = Actor(process=Process(pid=tid, comm="insmod"), uid=0)
        return TraceEntry(kind=kind, monotonic_usec=usec(self.now), tid=tid, module=name, ret=ret, actor=actor)

    def is_coming(self, name: str) -> bool:
        return self.inventory.loaded[name].coming

    @property
    def types(self) -> list[EventType]:
        return [event.type for event in self.events]


def traced(*modules: Module) -> Tracked:
    """A host whose trace has been complete for long, with `modules` listed."""
    host = Tracked()
    host.read(*modules)
    host.trace(began=True)
    host.read(*modules, after=5)
    return host


def listed(*modules: Module, uevents: bool = False) -> Tracked:
    """A host without a trace, with `modules` listed."""
    host = Tracked()
    if uevents:
        host.uevents(began=True)
    host.read(*modules)
    return host


def uevent(action: str, name: str, moved_from: str | None = None) -> ModuleUevent:
    return ModuleUevent(action=action, module=name, moved_from=moved_from)


# /proc/modules


@pytest.mark.parametrize("resumed", [True, False])
def test_listed_when_it_is_the_first_reading_after_a_restart_then_loaded_while_down(resumed: bool) -> None:
    host = Tracked(resumed=resumed)
    assert host.read(module("a")) == ([LOADED] if resumed else [])
    assert host.inventory.loaded["a"].while_down is resumed and host.inventory.loaded["a"].at is None
    assert host.read(module("a"), module("b")) == [LOADED]
    assert not host.inventory.loaded["b"].while_down and not host.inventory.loaded["b"].before_start


def test_listed_when_reported_with_its_init_running_then_no_longer_coming_once_live() -> None:
    host = listed()
    host.read(module("a", LOADING))
    assert host.read(module("a", LOADING), after=11) == [LOADED] and host.is_coming("a")
    for state, coming in ((LOADING, True), (LIVE, False), (LOADING, False)):
        host.read(module("a", state))
        assert host.is_coming("a") is coming


def test_listed_when_long_after_an_unload_then_a_new_load_and_the_unload_is_forgotten() -> None:
    host = traced(module("a"))
    host.trace(host.entry(TraceKind.FREE, "a"))
    host.read(module("a"), after=1)
    assert not host.lifecycle.pending_loads and "a" in host.lifecycle.recent_unloads
    host.read(module("a"), after=2)
    assert "a" in host.lifecycle.pending_loads and "a" not in host.lifecycle.recent_unloads


@pytest.mark.parametrize(("after", "shown", "kept"), [(3.9, None, True), (4.1, None, False), (9, LIVE, True)])
def test_unload_when_time_passes_then_it_is_forgotten_unless_listed(
    after: float, shown: ModuleState | None, kept: bool
) -> None:
    host = traced(module("a"))
    host.trace(host.entry(TraceKind.FREE, "a"))
    host.read(*(() if shown is None else (module("a", shown),)), after=0)
    host.wait(after)
    assert ("a" in host.lifecycle.recent_unloads) is kept


def test_not_listed_when_it_is_the_first_reading_then_unloaded_while_down_once_the_trace_is_lost() -> None:
    host = traced(module("a"))
    restarted = Tracked(resumed=True, trace_expected=True)
    restarted.inventory = host.inventory
    assert restarted.read() == []
    restarted.trace_expected = False
    assert restarted.lose_trace() == [UNLOADED] and restarted.events[0].fields["while_down"] is True
    assert host.read() == [] and host.lose_trace() == [UNLOADED]
    assert "while_down" not in host.events[0].fields


def test_remade_when_the_trace_is_lost_then_unloaded_and_loaded() -> None:
    host = traced(module("a"))
    assert host.read(module("a", instance=2)) == []
    assert host.lose_trace() == [UNLOADED, LOADED]
    assert host.inventory.loaded["a"].build.instance == 2


def test_remade_when_contradicted_then_the_new_directory_is_accepted() -> None:
    host = traced(module("a"))
    host.read(module("a", instance=2))
    host.trace(intact=True)
    assert host.wait(1.5) == []
    assert host.wait(1) == [CONTRADICTED] and host.events[0].fields["kind"] == REMADE
    assert host.inventory.loaded["a"].build.instance == 2 and not host.lifecycle.discrepancies


def test_remade_when_contradicted_and_not_listed_then_it_stays_a_contradiction() -> None:
    host = traced(module("a"))
    host.read(module("a", instance=2))
    host.inventory = replace(host.inventory, modules=MappingProxyType({}))
    host.trace(intact=True)
    assert host.wait(3) == [CONTRADICTED] and host.lifecycle.discrepancies["a"].reported
    assert host.wait(3) == []


def test_listed_when_its_taint_is_another_then_changed_while_loaded() -> None:
    host = listed(module("a"))
    assert host.read(replace(module("a"), taint="O")) == [ModuleChanged.kind.type]
    assert host.events[0].fields["while_loaded"] is True and host.events[0].fields["taint_bits"] == 1 << 12
    assert host.events[0].evidence == ("/proc/modules", "/sys/module")
    assert host.inventory.loaded["a"].build.taint == "O" and host.read(replace(module("a"), taint="O")) == []


@pytest.mark.parametrize(
    ("support", "skipped", "is_same"), [(True, 2, True), (True, 3, False), (None, 2, False), (False, 2, False)]
)
def test_list_when_it_is_the_same_object_then_the_inventory_is_too_unless_more_of_it_changed(
    support: bool | None, skipped: int, is_same: bool
) -> None:
    host = listed(module("a"))
    before = replace(host.inventory, support=support, skipped=2)
    read = ModulesRead(modules=before.modules, skipped=skipped)
    after, lifecycle, events = modules_read(before, host.lifecycle, read, host.context)
    assert (after is before) is is_same and after == replace(before, support=True, skipped=skipped)
    assert lifecycle.listed_at == host.context.at and events == ()


# The trace


def test_module_load_when_the_list_was_believed_before_then_the_load_gets_its_time_and_task() -> None:
    host = traced()
    late = host.entry(TraceKind.LOAD, "a")
    host.lose_trace()
    host.read(module("a"))
    before = host.inventory.loaded["a"]
    assert before.actor is None and before.signals == ("list",)
    assert host.trace(late) == []
    after = host.inventory.loaded["a"]
    assert (after.at, after.actor, after.signals) == (host.context.at.back_to(late.monotonic_usec), late.actor,
                                                      ("list", "trace"))  # fmt: skip
    assert not host.lifecycle.pending_loads


def test_module_load_when_it_is_older_than_this_process_then_loaded_while_down() -> None:
    host = traced()
    host.trace(host.entry(TraceKind.LOAD, "new"))
    host.now = START - 1
    old = host.entry(TraceKind.LOAD, "old", tid=8)
    host.now = START + 10
    host.trace(old)
    assert host.read(module("old"), module("new")) == [LOADED, LOADED]
    assert {event.module: event.fields.get("while_down") for event in host.events} == {"old": True, "new": None}


def test_load_when_signals_report_it_then_each_is_evidence() -> None:
    host = traced()
    host.trace(host.entry(TraceKind.LOAD, "a"))
    host.uevents(uevent("add", "a"))
    host.read(module("a"))
    assert host.events[0].evidence[1:] == ("add uevent", "/proc/modules")
    host.trace(host.entry(TraceKind.LOAD, "b"), host.entry(TraceKind.FREE, "b", tid=8))
    assert host.types == [LOADED, UNLOADED, TRANSIENT]
    assert host.events[0].evidence == (f"module_load traced at {host.now - 0.1:.6f} by insmod[7]",)


def test_module_free_when_its_load_was_before_the_first_reading_and_init_ran_on_then_failed_now() -> None:
    host = Tracked()
    host.read(module("a", LOADING))
    assert host.read(module("a", LOADING), after=11) == [] and host.is_coming("a")
    assert host.trace(host.entry(TraceKind.FREE, "a"), began=True) == [FAILED]
    assert host.events[0].at == host.context.at


@pytest.mark.parametrize("ret", [0, None])
def test_module_load_when_the_end_of_the_load_before_was_lost_then_that_is_reported_first(ret: int | None) -> None:
    host = traced()
    host.trace(host.entry(TraceKind.LOAD, "a"))
    if ret is not None:
        host.trace(host.entry(TraceKind.INIT, ret=ret))
    expected = [FAILED] if ret is None else [LOADED, UNLOADED, TRANSIENT]
    assert host.trace(host.entry(TraceKind.LOAD, "a", tid=8)) == expected
    assert host.lifecycle.pending_loads["a"].since == host.context.at and not host.lifecycle.recent_unloads


def test_initcall_finish_when_two_tasks_load_then_it_is_of_its_own_task() -> None:
    host = traced()
    host.trace(host.entry(TraceKind.LOAD, "a", tid=7), host.entry(TraceKind.LOAD, "b", tid=8))
    assert host.trace(host.entry(TraceKind.INIT, tid=7, ret=-5)) == [FAILED]
    assert host.events[0].module == "a" and host.events[0].fields["error"] == -5
    assert host.trace(host.entry(TraceKind.INIT, tid=8, ret=0), host.entry(TraceKind.INIT, tid=8, ret=-5)) == []
    assert host.lifecycle.pending_loads["b"].init_ret == 0


def test_module_free_when_an_init_failed_then_it_belongs_to_that_and_the_next_does_not() -> None:
    host = traced()
    host.trace(host.entry(TraceKind.LOAD, "a"), host.entry(TraceKind.INIT, ret=-5))
    assert host.trace(host.entry(TraceKind.FREE, "a")) == []
    assert host.trace(host.entry(TraceKind.FREE, "a")) == [UNLOADED]


def test_module_free_when_its_load_was_lost_then_a_failed_init_of_the_same_task_explains_it() -> None:
    host = traced()
    before = host.lifecycle
    assert host.trace(host.entry(TraceKind.INIT, tid=7, ret=-5)) == []
    assert len(host.lifecycle.refusals) == 1 and host.lifecycle.builds is before.builds
    assert host.trace(host.entry(TraceKind.FREE, "b", tid=8)) == [UNLOADED]
    assert host.trace(host.entry(TraceKind.FREE, "a", tid=7)) == [FAILED]
    assert not host.lifecycle.refusals


def test_result_when_nothing_changes_then_its_parts_are_the_same_objects() -> None:
    host = traced(module("a"))
    inventory, lifecycle = host.inventory, host.lifecycle
    host.trace(host.entry(TraceKind.INIT, ret=0))
    host.uevents(uevent("change", "a"))
    host.wait(5)
    assert host.inventory is inventory and host.lifecycle is lifecycle


def test_result_when_only_the_time_of_the_trace_changes_then_it_is_kept() -> None:
    host = traced(module("a"))
    host.read()
    late = host.entry(TraceKind.LOAD, "b")
    host.trace(late, host.entry(TraceKind.FREE, "b"))
    assert host.lifecycle.trace_usec == late.monotonic_usec


def test_module_load_when_the_module_was_listed_before_then_it_is_the_same_load() -> None:
    host = traced()
    load, init = host.entry(TraceKind.LOAD, "a"), host.entry(TraceKind.INIT, ret=0)
    assert host.read(module("a")) == []
    since = host.context.at
    assert host.trace(load) == [] and host.lifecycle.pending_loads["a"].since == since
    assert host.trace(init) == [LOADED]
    assert host.events[0].fields["state"] == "live" and host.events[0].fields["witnesses"] == ["list", "trace"]


def test_listed_when_only_the_trace_had_the_load_then_its_unload_is_not_transient() -> None:
    host = traced()
    host.trace(host.entry(TraceKind.LOAD, "a"), host.entry(TraceKind.INIT, ret=0))
    host.read(after=3)
    host.trace(intact=True)
    assert host.wait(1) == [LOADED]
    signals = [host.inventory.loaded["a"].signals]
    for _ in range(2):
        host.read(module("a"))
        signals.append(host.inventory.loaded["a"].signals)
    assert signals == [("trace",), ("list", "trace"), ("list", "trace")]
    assert host.trace(host.entry(TraceKind.FREE, "a", tid=8)) == [UNLOADED]


@pytest.mark.parametrize(
    ("lost", "events", "kind"), [(3, [LOADED, UNLOADED, TRANSIENT], None), (0, [LOADED], NEVER_LISTED)]
)
def test_load_when_never_listed_then_gone_if_the_trace_may_have_lost_its_unload(
    lost: int, events: list[EventType], kind: str | None
) -> None:
    host = traced()
    host.trace(host.entry(TraceKind.LOAD, "a"))
    host.trace(lost=lost)
    host.read(after=3)
    host.trace(intact=True)
    assert host.wait(0.1) == events
    assert [each.kind for each in host.lifecycle.discrepancies.values()] == ([] if kind is None else [kind])


@pytest.mark.parametrize(("microseconds", "events"), [(-1, []), (0, [CONTRADICTED])])
def test_discrepancy_when_it_has_lasted_two_seconds_then_it_is_decided(
    microseconds: int, events: list[EventType]
) -> None:
    host = traced(module("a"))
    host.read()
    host.trace(intact=True, after=1)
    assert host.wait(1 + microseconds / 1e6) == events


@pytest.mark.parametrize(("microseconds", "events"), [(-1, []), (0, [LOADED])])
def test_load_when_it_has_been_pending_for_two_seconds_then_it_is_decided(
    microseconds: int, events: list[EventType]
) -> None:
    host = traced()
    host.read(module("a"))
    host.trace(began=True)  # the trace before may have lost its load
    assert host.wait(1.9 + microseconds / 1e6) == events


@pytest.mark.parametrize(("microseconds", "kept"), [(-1, True), (0, False)])
def test_unload_when_it_was_four_seconds_ago_then_it_is_forgotten(microseconds: int, kept: bool) -> None:
    host = traced(module("a"))
    host.trace(host.entry(TraceKind.FREE, "a"))
    host.read(after=0)
    host.wait(4 + microseconds / 1e6)
    assert ("a" in host.lifecycle.recent_unloads) is kept


def test_module_free_when_it_ended_a_failed_load_then_the_next_is_not_of_that_load() -> None:
    host = traced()
    assert host.trace(host.entry(TraceKind.LOAD, "a"), host.entry(TraceKind.FREE, "a")) == [FAILED]
    assert host.trace(host.entry(TraceKind.FREE, "a")) == [UNLOADED]


def test_module_free_when_the_one_before_was_an_unload_then_it_is_another_unload() -> None:
    host = traced(module("a"))
    assert host.trace(host.entry(TraceKind.FREE, "a")) == [UNLOADED]
    assert host.trace(host.entry(TraceKind.FREE, "a")) == [UNLOADED]
    assert host.events[0].evidence[1:] == ("its load was not seen",)


def test_unloads_when_there_are_several_then_the_build_of_each_is_kept_with_the_newest_last() -> None:
    host = listed(module("a"), module("b"), module("c"))
    for names in ("bc", "c", ""):
        host.read(*map(module, names))
    assert list(host.lifecycle.builds.items()) == [(name, UNKNOWN_BUILD) for name in "abc"]
    host.read(replace(module("a"), taint="O"))
    host.read()
    assert list(host.lifecycle.builds) == ["b", "c", "a"] and host.lifecycle.builds["a"].taint == "O"


@pytest.mark.parametrize(("adopted", "unloaded"), [(True, ["b"]), (False, ["a", "b"])])
def test_trace_when_it_is_adopted_then_only_events_that_the_earlier_run_did_not_process_count(
    adopted: bool, unloaded: list[str]
) -> None:
    host = listed(module("a"), module("b"))
    entries = [host.entry(TraceKind.FREE, "a")]
    lifecycle = replace(host.lifecycle, trace_usec=entries[0].monotonic_usec)
    host.now += 0.000001
    entries.append(host.entry(TraceKind.FREE, "b"))
    read = TraceRead(entries=tuple(entries), adopted=adopted)
    _, after, events = trace_read(host.inventory, lifecycle, read, 0, host.context)
    assert [event.module for event in events] == unloaded and after.trace_usec == entries[-1].monotonic_usec
    assert after.trace_intact is None and after.trace_since is None


# Uevents


def test_reading_when_it_says_nothing_more_then_no_signal_began_and_nothing_was_missed() -> None:
    host = listed()
    assert host.inventory.skipped == 0
    read = UeventsRead()
    inventory, lifecycle, events = uevents_read(host.inventory, host.lifecycle, read, host.context)
    assert (inventory is host.inventory, lifecycle is host.lifecycle, events, read.missed) == (True, True, (), 0)


def test_uevents_when_they_are_received_or_not_then_an_unload_waits_for_one_or_not() -> None:
    host = listed(module("a"), module("b"), uevents=True)
    assert host.read(module("b")) == [] and host.lifecycle.uevents
    host.inventory, host.lifecycle, events = signal_lost(host.inventory, host.lifecycle, "uevent", host.context)
    assert events == () and not host.lifecycle.uevents and set(host.inventory.loaded) == {"a", "b"}
    assert host.read() == [UNLOADED] and host.events[0].module == "b"


def test_add_when_there_are_thousands_then_no_more_are_tracked_and_those_that_are_go_on() -> None:
    host = Tracked(trace_expected=True)
    host.uevents(*(uevent("add", f"m{number}") for number in range(MAX_OPEN + 1)), began=True)
    assert len(host.lifecycle.pending_loads) == MAX_OPEN and f"m{MAX_OPEN}" not in host.lifecycle.pending_loads
    host.uevents(uevent("remove", "m0"))
    assert host.lifecycle.pending_loads["m0"].remove_uevent_at == host.context.at


def test_add_when_nothing_else_reports_the_load_then_loaded_at_its_time_and_not_while_down() -> None:
    host = listed(uevents=True)
    host.uevents(uevent("add", "a"))
    added_at = host.context.at
    assert host.read(module("a")) == [LOADED]
    loaded = host.inventory.loaded["a"]
    assert (loaded.at, loaded.while_down, loaded.before_start) == (added_at, False, False)
    assert host.events[0].at == added_at and "while_down" not in host.events[0].fields


def test_move_when_a_directory_leaves_sysfs_then_the_module_hides_and_nothing_more_is_awaited() -> None:
    host = traced(module("a"))
    assert host.uevents(uevent("move", "", "a")) == [CONTRADICTED]
    assert set(host.lifecycle.hiding) == {"a"} and not host.lifecycle.waits
    host.trace(intact=True)
    assert host.wait(5) == []


def test_move_when_a_directory_leaves_sysfs_and_comes_back_then_contradicted_and_resolved() -> None:
    host = traced(module("a/b"))
    assert host.uevents(uevent("move", "", "a!b")) == [CONTRADICTED]
    assert host.events[0].module == "a/b" and "moved to elsewhere" in host.events[0].evidence
    assert host.lifecycle.discrepancies["a/b"].kind == MOVED
    assert host.uevents(uevent("move", "c", None), uevent("change", "a!b", "a!b")) == []
    assert host.lifecycle.discrepancies and host.uevents(uevent("move", "a!b")) == []
    assert not host.lifecycle.discrepancies
    assert host.uevents(uevent("move", "c", "a!b")) == [CONTRADICTED] and "moved to c" in host.events[0].evidence


def test_remove_when_the_trace_never_opens_then_unloaded_at_the_remove_uevent() -> None:
    host = Tracked(trace_expected=True)
    host.uevents(uevent("add", "a"), uevent("remove", "a"), began=True)
    removed_at = host.context.at
    host.trace_expected = False
    assert host.wait(1) == []
    assert host.wait(2) == [LOADED, UNLOADED, TRANSIENT] and host.events[1].at == removed_at
    assert all("while_down" not in event.fields for event in host.events)


def test_add_when_neither_listed_nor_removed_then_contradicted() -> None:
    host = listed(uevents=True)
    host.uevents(uevent("add", "a"))
    host.read(after=3)
    assert host.wait(0.5) == []
    assert host.wait(1) == [CONTRADICTED] and host.events[0].fields["kind"] == NEVER_LISTED
    assert any("neither a remove uevent nor a listing" in line for line in host.events[0].evidence)


def test_remove_when_the_trace_is_complete_then_contradicted_only_after_a_wait() -> None:
    host = traced(module("a"))
    host.uevents(uevent("remove", "a"))
    host.trace(intact=True)
    assert host.wait(1) == [] and host.wait(1) == [CONTRADICTED]
