"""The events of a module's life: each field and the severity, and the comparisons of two readings."""

from collections.abc import Mapping

import pytest

from kmodmon.events.event import Actor, Event, Process, Severity
from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.inventory import (
    EMPTY_INVENTORY,
    Build,
    Loaded,
    Module,
    ModuleAttributes,
    build_of,
    differing_modules,
    other_modules,
)
from kmodmon.lifecycle.module_events import (
    changed_event,
    contradiction_event,
    count_states,
    is_other_build,
    load_failed_event,
    loaded_event,
    transient_event,
    trust_of_taint,
    unloaded_event,
)
from kmodmon.lifecycle.pending import LEFT
from kmodmon.types.units import Instant, Usec


def instant(usec: int) -> Instant:
    return Instant(realtime_usec=Usec(usec + 7_000_000), monotonic_usec=Usec(usec))


INSMOD = Actor(process=Process(pid=7, comm="insmod"), uid=0)
RMMOD = Actor(process=Process(pid=8, comm="rmmod"), uid=0)
LOADED_AT, GONE_AT = instant(2_000_000), instant(5_001_500)
BUILD = Build(taint="OE", version="1", srcversion="A", build_id="b", instance=3)
HOW = Loaded(before_start=False, at=LOADED_AT, actor=INSMOD, init_usec=1500, signals=("list", "trace"), build=BUILD)
UNKNOWN = Loaded(before_start=False, while_down=True)
ATTRIBUTES = ModuleAttributes(instance=3, version="1", srcversion="A", build_id="b")
MODULE = Module(name="m", size=4096, state=ModuleState.COMING, taint="OE", attributes=ATTRIBUTES)
BEFORE = Build(taint="P", srcversion="Z", build_id="y")


@pytest.mark.parametrize(
    ("event", "at", "severity", "actor", "fields"),
    [
        (
            loaded_event("m", HOW, GONE_AT, MODULE, ("e",)), GONE_AT, Severity.WARNING, INSMOD,
            {"signature": "unsigned", "taints": "OE", "size": 4096, "state": "coming", "version": "1",
             "srcversion": "A", "build_id": "b", "init_ms": 1.5, "witnesses": ["list", "trace"]},
        ),
        (
            loaded_event("m", UNKNOWN, GONE_AT, None, ("e",)), GONE_AT, Severity.INFO, None,
            {"signature": "valid", "taints": "", "size": None, "state": None, "version": None, "srcversion": None,
             "build_id": None, "init_ms": None, "witnesses": ["list"], "while_down": True},
        ),
        (
            unloaded_event("m", HOW, GONE_AT, RMMOD, ("e",)), GONE_AT, Severity.INFO, RMMOD,
            {"taints": "OE", "srcversion": "A", "lifetime_ms": 3001.5},
        ),
        (
            unloaded_event("m", UNKNOWN, GONE_AT, None, ("e",), while_down=True), GONE_AT, Severity.INFO, None,
            {"taints": "", "srcversion": None, "lifetime_ms": None, "while_down": True},
        ),
        (
            transient_event("m", HOW, GONE_AT, RMMOD, ("e",)), GONE_AT, Severity.NOTICE, INSMOD,
            {"signature": "unsigned", "taints": "OE", "loaded": 9_000_000, "lifetime_ms": 3001.5,
             "unloaded_by": "rmmod"},
        ),
        (
            transient_event("m", UNKNOWN, GONE_AT, None, ("e",)), GONE_AT, Severity.NOTICE, None,
            {"signature": "valid", "taints": "", "loaded": None, "lifetime_ms": None, "unloaded_by": None},
        ),
        (
            load_failed_event("m", HOW, GONE_AT, "init_failed", -5, ("e",)), LOADED_AT, Severity.WARNING, INSMOD,
            {"reason": "init_failed", "taints": "OE", "error": -5, "witnesses": ["list", "trace"]},
        ),
        (
            load_failed_event("m", UNKNOWN, GONE_AT, "unknown", None, ("e",)), GONE_AT, Severity.WARNING, None,
            {"reason": "unknown", "taints": "", "error": None, "witnesses": ["list"], "while_down": True},
        ),
        (
            changed_event("m", BEFORE, BUILD, GONE_AT, ("e",), loaded=True), GONE_AT, Severity.WARNING, None,
            {"old_srcversion": "Z", "srcversion": "A", "old_build_id": "y", "build_id": "b", "old_taints": "P",
             "taints": "OE", "taint_bits": 1 << 12 | 1 << 13, "while_loaded": True},
        ),
        (
            changed_event("m", BEFORE, BUILD, GONE_AT, ("e",), loaded=False), GONE_AT, Severity.NOTICE, None,
            {"old_srcversion": "Z", "srcversion": "A", "old_build_id": "y", "build_id": "b", "old_taints": "P",
             "taints": "OE", "taint_bits": 0, "while_loaded": False},
        ),
        (contradiction_event("m", LEFT, GONE_AT, ("e",)), GONE_AT, Severity.ERROR, None, {"kind": LEFT}),
    ],
)  # fmt: skip
def test_event_when_made_then_it_has_the_time_severity_task_and_fields_of_what_happened(
    event: Event, at: Instant, severity: Severity, actor: Actor | None, fields: Mapping[str, object]
) -> None:
    assert (event.module, event.at, event.severity, event.actor, event.evidence) == ("m", at, severity, actor, ("e",))
    assert event.fields == fields


@pytest.mark.parametrize(
    ("taint", "severity", "trust"),
    [("", "info", "valid"), ("O", "warning", "valid"), ("P", "warning", "valid"), ("E", "warning", "unsigned"),
     ("C", "info", "valid"), ("POE", "warning", "unsigned"), ("OF", "error", "valid")],
)  # fmt: skip
def test_load_when_its_taint_is_read_then_it_decides_severity_and_trust(taint: str, severity: str, trust: str) -> None:
    how = Loaded(before_start=False, build=Build(taint=taint))
    assert loaded_event("m", how, LOADED_AT, None, ()).severity.value == severity
    assert trust_of_taint(taint).value == trust


@pytest.mark.parametrize(
    ("was", "now", "is_other"),
    [
        (Build(srcversion="A"), Build(srcversion="B"), True),
        (Build(build_id="a"), Build(build_id="b"), True),
        (Build(srcversion="A", build_id="a"), Build(srcversion="A", build_id="b"), True),
        (Build(srcversion="A"), Build(srcversion="A", build_id="b"), False),
        (Build(), Build(srcversion="B", build_id="b"), False),
        (Build(srcversion="A", build_id="a"), Build(), False),
        (Build(version="1", taint="O", instance=1), Build(version="2", taint="E", instance=2), False),
    ],
)
def test_builds_when_compared_then_only_what_both_tell_counts(was: Build, now: Build, is_other: bool) -> None:
    assert is_other_build(was, now) is is_other
    assert build_of(MODULE) == BUILD


def module(name: str, **fields: object) -> Module:
    return Module(**{"name": name, "size": 1, **fields})  # type: ignore[arg-type]


def test_readings_when_compared_then_modules_that_came_went_or_differ_are_named() -> None:
    same, like, users, tainted, going, remade = (module(name) for name in "abcdef")
    was = {each.name: each for each in (same, like, users, tainted, going, remade, module("left"))}
    now = {
        "new": module("new"), "a": same, "b": module("b"), "c": module("c", size=2, refcnt=1, holders=("a",)),
        "d": module("d", taint="O"), "e": module("e", state=ModuleState.GOING),
        "f": module("f", attributes=ModuleAttributes(instance=2)),
    }  # fmt: skip
    assert differing_modules(now, was) == {"new", "d", "e", "f", "left"}
    assert list(other_modules(now, was)) == ["new", "b", "c", "d", "e", "f"]
    assert differing_modules(now, now) == differing_modules(dict(now), now) == frozenset()
    assert (EMPTY_INVENTORY.support, EMPTY_INVENTORY.skipped, same.permanent) == (None, 0, False)


def test_states_when_counted_then_each_state_has_its_number() -> None:
    states = (ModuleState.LIVE, ModuleState.LIVE, ModuleState.GOING)
    counts = count_states(module(str(number), state=state) for number, state in enumerate(states))
    assert counts == {ModuleState.LIVE: 2, ModuleState.GOING: 1, ModuleState.COMING: 0}
