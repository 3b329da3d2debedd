"""Loads and unloads from /proc/modules, uevents and the trace: each is one event, whichever signal is read first."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.events.event import Event, EventType
from kmodmon.events.kinds.module import ModuleChanged, ModuleLoaded, ModuleLoadFailed, ModuleTransient, ModuleUnloaded
from kmodmon.events.kinds.source import SourceLost
from kmodmon.lifecycle.pending import LEFT, LOADED_TWICE, NEVER_LISTED, NEVER_TRACED, REMADE, REMOVED
from kmodmon.lifecycle.signals import ModuleUevent
from kmodmon.state.observation import Tick
from tests.lifecycle.kernel_play import Play

LOADED, UNLOADED = ModuleLoaded.kind.type, ModuleUnloaded.kind.type
TRANSIENT, FAILED = ModuleTransient.kind.type, ModuleLoadFailed.kind.type


def begun(*present: str, trace: bool = True, uevents: bool = True, init_events: bool = True) -> Play:
    play = Play(trace=trace, uevents=uevents, init_events=init_events)
    play.begin(*present)
    return play


def last(play: Play, kind: EventType) -> Event:
    return [event for event in play.story.events if event.type == kind][-1]


# With a trace


def test_lifecycle_when_traced_then_load_at_the_kernels_time_by_its_task() -> None:
    play = begun("ext4")
    at = play.story.clock.monotonic_usec
    play.load("dummy", taint="OE")
    play.read_all()
    event = last(play, LOADED)
    assert (event.module, event.at.monotonic_usec, event.severity.value) == ("dummy", at, "warning")
    assert event.actor is not None and (event.actor.name, event.actor.uid) == ("insmod", 1000)
    assert event.fields["signature"] == "unsigned" and event.fields["size"] == 16384
    assert event.fields["init_ms"] == 1.0
    assert event.fields["witnesses"] == ["list", "uevent", "trace"]
    assert play.story.state.inventory.loaded["dummy"].actor == event.actor


def test_lifecycle_when_traced_then_told_at_the_next_reading_and_not_after_a_settle_time() -> None:
    play = begun()
    play.load("dummy")
    play.read_trace()
    assert play.count(LOADED) == 0
    play.read_list(after=0.05)
    assert play.count(LOADED) == 1


def test_lifecycle_when_a_life_is_shorter_than_any_look_then_load_unload_and_transient() -> None:
    play = begun()
    play.load("brief", taint="OE")
    play.pass_time(0.02)
    play.unload("brief")
    play.read_trace()
    assert (play.count(LOADED), play.count(UNLOADED), play.count(TRANSIENT)) == (1, 1, 1)
    assert last(play, UNLOADED).actor is not None and last(play, TRANSIENT).fields["unloaded_by"] == "rmmod"
    assert last(play, TRANSIENT).fields["lifetime_ms"] == 22.0
    play.wait(20)
    assert play.counted() == (1, 1, 0) and not play.contradictions()
    assert not play.story.state.lifecycle.waits


def test_lifecycle_when_listed_once_then_no_transient() -> None:
    play = begun()
    play.load("seen")
    play.read_all()
    play.unload("seen")
    play.read_all()
    assert play.counted() == (1, 1, 0) and play.count(TRANSIENT) == 0


@pytest.mark.parametrize("init_events", [True, False])
def test_lifecycle_when_init_fails_then_a_failure_with_its_task_and_no_load(init_events: bool) -> None:
    play = begun(init_events=init_events)
    play.coming("initfail", taint="OE")
    play.pass_time(0.5)
    play.read_all()
    play.failed("initfail")
    play.read_all()
    play.wait(20)
    assert play.counted() == (0, 0, 1) and not play.contradictions()
    event = last(play, FAILED)
    assert (event.fields["reason"], event.fields["taints"]) == ("init_failed", "OE")
    assert event.fields["error"] == (-5 if init_events else None)
    assert event.actor is not None and event.actor.name == "insmod"


def test_lifecycle_when_init_runs_for_seconds_then_told_when_it_is_over() -> None:
    play = begun()
    play.coming("slow")
    play.wait(6)
    assert play.count(LOADED) == 0
    play.came("slow")
    play.wait(20)
    assert play.counted() == (1, 0, 0) and not play.contradictions()


def test_lifecycle_when_init_runs_on_and_on_then_told_as_coming_and_failed_later() -> None:
    play = begun()
    play.coming("oops_mod")
    play.wait(40)
    assert last(play, LOADED).fields["state"] == "coming" and not play.contradictions()
    play.failed("oops_mod")
    play.wait(20)
    assert play.counted() == (1, 0, 1) and not play.contradictions()


def test_lifecycle_when_the_trace_is_read_late_then_a_load_waits_for_who_did_it() -> None:
    play = begun()
    play.coming("brief")
    play.read_list()
    for _ in range(15):  # the trace is not read, nor confirmed
        play.story.see("clock", Tick(), after=1.0)
        play.read_list()
    assert play.count(LOADED) == 0
    play.came("brief")
    play.unload("brief")
    play.wait(20)
    assert play.counted() == (1, 1, 0) and not play.contradictions()
    actor = last(play, LOADED).actor
    assert actor is not None and actor.name == "insmod"


def test_lifecycle_when_exit_runs_for_seconds_then_one_unload() -> None:
    play = begun("dummy")
    play.going("dummy")
    play.wait(15)
    play.gone("dummy")
    play.wait(15)
    assert play.counted() == (0, 1, 0) and not play.contradictions()


def test_lifecycle_when_refused_before_its_trace_event_then_nothing() -> None:
    play = begun()
    play.modules["bad"] = play.listing("bad", coming=True)
    play.read_list()
    del play.modules["bad"]
    play.wait(20)
    assert play.counted() == (0, 0, 0) and not play.contradictions()


def test_lifecycle_when_udev_triggers_all_then_nothing() -> None:
    play = begun("ext4", "dummy")
    names = ("ext4", "dummy", "kernel", "printk")
    actions = ("add", "change", "remove")
    play.wire.uevents = [
        ModuleUevent(action=action, module=name, synthetic=True) for name in names for action in actions
    ]
    play.wait(20)
    assert play.counted() == (0, 0, 0) and not play.contradictions()


def test_lifecycle_when_uevents_are_heard_long_after_the_trace_then_no_second_life() -> None:
    play = begun()
    play.load("brief")
    play.unload("brief")
    late, play.wire.uevents = play.wire.uevents, []
    play.wait(30)
    play.wire.uevents = late
    play.wait(30)
    assert play.counted() == (1, 1, 0) and not play.contradictions()


def test_lifecycle_when_loaded_with_no_trace_loss_but_started_before_then_no_contradiction() -> None:
    """A module loaded after the first reading and before the trace was opened is in neither."""
    play = Play()
    play.read_list()
    play.load("between")
    play.wire.trace.clear()
    play.begin()
    play.wait(30)
    assert play.count(LOADED, "between") == 1 and not play.contradictions()


@pytest.mark.parametrize(
    ("init_events", "uevents", "told_after"), [(True, False, 2), (False, True, 2), (False, False, 10)]
)
def test_lifecycle_when_the_list_cannot_be_read_then_any_sign_that_init_is_over_is_enough(
    init_events: bool, uevents: bool, told_after: int
) -> None:
    play = begun(init_events=init_events, uevents=uevents)
    play.load("dummy")
    play.read_trace()
    play.read_uevents()
    for _ in range(told_after - 1):
        play.story.see("clock", Tick(), after=1.0)
    assert play.count(LOADED) == 0
    play.story.see("clock", Tick(), after=1.0)
    assert play.count(LOADED) == 1 and not play.contradictions()


# Contradictions


def test_lifecycle_when_listed_and_never_traced_then_said_after_the_trace_was_found_intact() -> None:
    play = begun()
    play.wait(5)
    play.load("forged")
    play.wire.trace.clear()
    play.wire.uevents.clear()
    play.wait(3)
    assert play.contradictions() == []
    play.wait(20)
    assert play.contradictions() == [NEVER_TRACED] and play.count(LOADED) == 1


def test_lifecycle_when_it_leaves_the_list_unfreed_then_it_is_no_unload_until_it_is_freed() -> None:
    play = begun()
    play.load("hidden_mod")
    play.read_all()
    hidden = play.modules.pop("hidden_mod")
    play.wait(20)
    assert play.contradictions() == [LEFT] and play.count(UNLOADED) == 0
    assert set(play.story.state.lifecycle.hiding) == {"hidden_mod"}
    play.modules["hidden_mod"] = hidden
    play.wait(3)
    assert not play.story.state.lifecycle.hiding
    play.unload("hidden_mod")
    play.wait(20)
    assert play.counted() == (1, 1, 0) and play.contradictions() == [LEFT]


def test_lifecycle_when_hidden_from_birth_then_loaded_and_never_listed() -> None:
    play = begun()
    play.load("hidden_mod")
    del play.modules["hidden_mod"]
    play.wait(30)
    assert play.counted() == (1, 0, 0) and play.contradictions() == [NEVER_LISTED]
    play.modules["hidden_mod"] = play.listing("hidden_mod")
    play.unload("hidden_mod")
    play.wait(20)
    assert play.counted() == (1, 1, 0)


def test_lifecycle_when_removed_by_uevent_and_not_freed_then_said() -> None:
    play = begun()
    play.load("hidden_mod")
    play.read_all()
    play.wire.uevents.append(ModuleUevent(action="remove", module="hidden_mod"))
    play.wait(20)
    assert play.contradictions() == [REMOVED] and play.count(UNLOADED) == 0


def test_lifecycle_when_its_directory_is_remade_then_said_and_no_second_load() -> None:
    play = begun("hidden_mod")
    play.wait(5)
    play.modules["hidden_mod"] = play.listing("hidden_mod")
    play.wait(40)
    assert play.contradictions() == [REMADE] and play.counted() == (0, 0, 0)


def test_lifecycle_when_loaded_twice_then_said_and_both_lives_are_told() -> None:
    play = begun()
    play.wait(5)
    play.load("twice")
    play.wait(5)
    play.load("twice")
    play.wait(20)
    assert play.contradictions() == [LOADED_TWICE] and play.counted() == (2, 1, 0)


def test_lifecycle_when_the_trace_lost_events_then_the_list_decides_without_contradiction() -> None:
    play = begun("here")
    play.wait(5)
    play.load("unheard")
    play.unload("here")
    play.wire.trace.clear()
    play.read_trace(lost=4)
    play.wait(30)
    assert play.counted() == (1, 1, 0) and not play.contradictions()
    lost = last(play, SourceLost.kind.type)
    assert (lost.fields["source"], lost.fields["lost"]) == ("trace", 4)


# Without a trace


def test_lifecycle_when_only_the_list_then_told_at_once() -> None:
    play = begun("ext4", trace=False, uevents=False)
    play.load("dummy")
    play.read_list()
    assert play.counted() == (1, 0, 0)
    play.unload("dummy")
    play.read_list()
    assert play.counted() == (1, 1, 0)


def test_lifecycle_when_only_the_list_and_reloaded_between_looks_then_both_are_told() -> None:
    play = begun("dummy", trace=False, uevents=False)
    play.unload("dummy")
    play.load("dummy")
    play.read_list()
    assert play.counted() == (1, 1, 0)


def test_lifecycle_when_only_uevents_tell_of_a_life_then_it_is_told() -> None:
    play = begun(trace=False)
    play.load("brief")
    play.unload("brief")
    play.read_uevents()
    assert (play.count(LOADED), play.count(UNLOADED), play.count(TRANSIENT)) == (1, 1, 1)
    assert last(play, LOADED).fields["witnesses"] == ["uevent"]
    play.wait(20)
    assert play.counted() == (1, 1, 0) and not play.contradictions()


def test_lifecycle_when_only_uevents_tell_that_a_listed_module_was_reloaded_again_and_again_then_each_is_told() -> None:
    play = begun("dummy", trace=False)
    for _ in range(3):
        play.unload("dummy")
        play.load("dummy")
    play.read_uevents()
    play.read_list()
    play.wait(20)
    assert play.counted() == (3, 3, 0) and not play.contradictions()


def test_lifecycle_when_list_and_uevents_then_an_unload_has_the_time_of_its_uevent() -> None:
    play = begun("dummy", trace=False)
    play.going("dummy")
    play.gone("dummy")
    play.read_uevents()
    read_at = play.story.clock.monotonic_usec
    play.read_list(after=0.05)
    assert last(play, UNLOADED).at.monotonic_usec == read_at


def test_lifecycle_when_only_the_list_and_init_fails_then_no_load() -> None:
    play = begun(trace=False, uevents=False)
    play.coming("initfail")
    play.read_list()
    play.failed("initfail")
    play.read_list()
    assert play.counted() == (0, 0, 1)


# Builds


def test_lifecycle_when_the_next_of_a_name_is_another_build_then_changed() -> None:
    play = begun()
    play.load("drv")
    play.read_all()
    play.unload("drv")
    play.read_all()
    play.load("drv")
    play.modules["drv"] = play.listing("drv", srcversion="XYZ")
    play.read_all()
    event = last(play, ModuleChanged.kind.type)
    assert (event.fields["old_srcversion"], event.fields["srcversion"]) == ("ABC", "XYZ")
    assert event.fields["while_loaded"] is False


# Signals read in any order

STEPS = st.sampled_from(["load", "fail", "coming", "came", "going", "gone", "trace", "uevents", "list", "time", "tick"])
NAMES = st.sampled_from(["a", "b", "c"])
MOMENTS = st.lists(st.tuples(STEPS, NAMES), max_size=60)
SIGNALS = st.tuples(st.booleans(), st.booleans())


def act(play: Play, step: str, name: str) -> None:
    """Do the step if it is possible for the module in its state, as in a kernel."""
    listed = play.modules.get(name)
    state = None if listed is None else listed.state.value
    possible: dict[tuple[str, str | None], Callable[[str], None]] = {
        ("load", None): play.load, ("coming", None): play.coming, ("came", "coming"): play.came,
        ("fail", "coming"): play.failed, ("going", "live"): play.going, ("gone", "going"): play.gone,
    }  # fmt: skip
    reads: dict[str, Callable[[], None]] = {
        "trace": play.read_trace, "uevents": play.read_uevents, "list": play.read_list,
        "time": lambda: play.pass_time(0.03), "tick": lambda: play.wait(1),
    }  # fmt: skip
    if step in reads:
        reads[step]()
    elif (do := possible.get((step, state))) is not None:
        do(name)
        play.pass_time(0.0005)


def finish(play: Play) -> None:
    for name in ("a", "b", "c"):
        act(play, "came", name)
        act(play, "gone", name)
    play.wait(30)


@settings(max_examples=300, deadline=None)
@given(moments=MOMENTS, init_events=st.booleans(), uevents=st.booleans())
def test_lifecycle_when_traced_and_heard_in_any_order_then_every_life_is_told_once(
    moments: list[tuple[str, str]], init_events: bool, uevents: bool
) -> None:
    play = begun("a", uevents=uevents, init_events=init_events)
    for step, name in moments:
        act(play, step, name)
    finish(play)
    assert play.contradictions() == []
    assert play.counted() == (play.loads, play.unloads, play.failures)
    assert set(play.story.state.inventory.loaded) == set(play.modules)
    assert not play.story.state.lifecycle.waits


@settings(max_examples=300, deadline=None)
@given(moments=MOMENTS)
def test_lifecycle_when_there_is_no_trace_and_uevents_are_heard_at_any_time_then_every_life_is_told_once(
    moments: list[tuple[str, str]],
) -> None:
    play = begun("a", trace=False)
    for step, name in moments:
        if step != "fail":  # which has no uevent
            act(play, step, name)
    finish(play)
    assert (play.count(LOADED), play.count(UNLOADED)) == (play.loads, play.unloads)
    assert set(play.story.state.inventory.loaded) == set(play.modules)
    assert not play.story.state.lifecycle.waits


@settings(max_examples=300, deadline=None)
@given(moments=MOMENTS, signals=SIGNALS, losses=st.sets(st.integers(0, 60), max_size=3))
def test_lifecycle_when_witnesses_are_missing_or_lossy_then_never_a_contradiction_and_the_list_wins(
    moments: list[tuple[str, str]], signals: tuple[bool, bool], losses: set[int]
) -> None:
    trace, uevents = signals
    play = begun("a", trace=trace, uevents=uevents)
    for number, (step, name) in enumerate(moments):
        act(play, step, name)
        if number in losses and trace:
            play.wire.trace.clear()
            play.read_trace(lost=1)
    finish(play)
    assert play.contradictions() == []
    assert set(play.story.state.inventory.loaded) == set(play.modules)
    assert play.count(LOADED) <= play.loads
    assert play.count(UNLOADED) <= play.unloads + play.failures  # of a failed load all but the free may be lost
    assert not play.story.state.lifecycle.waits
