"""What an earlier run of a boot remembered, found late: it explains what the present run found there already."""

from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.event import Event
from kmodmon.events.kinds.module import ModuleUnloaded
from kmodmon.events.timestamps import timestamp_events
from kmodmon.metrics import EVENT_METRICS
from kmodmon.state.checkpoint import CHECKPOINTS
from kmodmon.state.state import State
from kmodmon.subjects.reported import ReportedFingerprint
from kmodmon.types.units import JsonObject
from tests.states import Story, module


def saved(state: State) -> dict[str, JsonObject]:
    return {checkpoint.section: checkpoint.save(state) for checkpoint in CHECKPOINTS}


def joined(state: State, earlier: dict[str, JsonObject]) -> State:
    for checkpoint in CHECKPOINTS:
        state = checkpoint.join(state, earlier[checkpoint.section])
    return state


def earlier_run() -> Story:
    story = Story()
    story.modules(module("old"))
    story.taint(0)
    story.modules(module("old"), module("rogue", taint="OE"))
    story.taint(0x3000)
    story.modules(module("old"), module("rogue", taint="OE"), after=5)
    assert str(story.state.taint.ledger[12].cause) == "module:rogue"
    return story


def test_join_when_the_earlier_run_saw_it_come_then_cause_and_time_are_known_again() -> None:
    earlier = earlier_run()
    now = Story()
    now.modules(module("old"), module("rogue", taint="OE"), module("third"))
    now.taint(0x3000)
    assert str(now.state.taint.ledger[12].cause) == "before-start"
    state = joined(now.state, saved(earlier.state))
    assert {str(entry.cause) for entry in state.taint.ledger.values()} == {"module:rogue"}
    assert state.inventory.loaded["rogue"] == earlier.state.inventory.loaded["rogue"]
    assert state.inventory.loaded["third"] == now.state.inventory.loaded["third"]
    assert state.inventory.modules is now.state.inventory.modules


def test_join_when_a_module_was_loaded_anew_meanwhile_then_the_earlier_life_is_not_its() -> None:
    now = Story()
    now.modules(module("rogue", taint="OE", instance=77))
    state = joined(now.state, saved(earlier_run().state))
    assert state.inventory.loaded["rogue"].before_start


def test_join_when_this_run_knows_better_then_it_stays() -> None:
    now = Story()
    now.modules()
    now.taint(0)
    now.modules(module("other", taint="O"))
    now.taint(0x1000)
    now.modules(module("other", taint="O"), after=5)
    state = joined(now.state, saved(earlier_run().state))
    assert str(state.taint.ledger[12].cause) == "module:other"


def test_join_when_reports_and_stamps_were_told_before_then_both_are_there_once() -> None:
    one, two = (ReportedFingerprint(fingerprint=text, printk_usec=1) for text in "ab")
    unload = Event(
        details=ModuleUnloaded(taints="", srcversion=None, lifetime_ms=None), at=Story().clock.now(), module="gone"
    )
    base = Story().state

    earlier = replace(
        base, reported=(one,), stamps=timestamp_events(base.stamps, (unload,), EVENT_METRICS.timestamps, 9)
    )
    state = joined(replace(base, reported=(one, two)), saved(earlier))
    assert state.reported == (one, two)
    assert MappingProxyType(dict(state.stamps.series)) == earlier.stamps.series
