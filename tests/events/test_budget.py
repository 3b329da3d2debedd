"""The budget of events that users can provoke: what it leaves out is counted, and root's events are not among it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.budget import (
    MAX_KEPT,
    MAX_LEFT_OUT,
    MAX_NAMES,
    PERIOD_USEC,
    UNSPENT,
    EventBudget,
    budget_from_json,
    budget_to_json,
    spend,
)
from kmodmon.events.event import Actor, Event, EventDetails, Process
from kmodmon.events.kinds import EVENT_KINDS, THEMES
from kmodmon.events.kinds.daemon import EventsSuppressed, Started
from kmodmon.events.kinds.module import ROOT, ModuleLoadFailed, ModuleRefused
from kmodmon.events.kinds.posture import LockdownDenied
from kmodmon.events.sentence import sentence_of
from kmodmon.lifecycle.signals import TraceEntry, TraceKind, TraceRead
from kmodmon.types.units import Instant, Usec
from tests.kmsg_maker import read, record
from tests.states import Story, field, module

# Their makers bound them: a sum in a pause, or shares of their own (`kmodmon.reports.budget`).
BOUNDED = {"KernelReport", "LogForged", "LogLost", "ReportsSuppressed", "EventsSuppressed"}


def at(seconds: float) -> Instant:
    usec = Usec(round(seconds * 1e6))
    return Instant(realtime_usec=usec, monotonic_usec=usec)


def insmod(*arguments: str, uid: int = 0, comm: str = "insmod", pid: int = 9) -> Actor:
    return Actor(process=Process(pid=pid, comm=comm, cmdline=(comm, *arguments)), uid=uid)


def refused(name: str | None, actor: Actor | None = None, reason: str = "blacklisted") -> Event:
    details = ModuleRefused(reason=reason, signature="blacklisted", symbol=None, comm=None, printk_usec=None)
    return Event(details=details, at=at(0), module=name, actor=actor)


def flood(budget: EventBudget, events: Sequence[Event], seconds: float = 1000) -> tuple[EventBudget, list[Event]]:
    told: list[Event] = []
    for event in events:
        budget, some = spend(budget, (event,), at(seconds))
        told += some
    return budget, told


def test_kinds_when_a_user_can_provoke_them_then_each_has_a_budget_or_is_bounded_by_its_maker() -> None:
    provokable = {kind.type for kind in EVENT_KINDS.values() if kind.provokable}
    budgeted = {kind.type for kind in EVENT_KINDS.values() if kind.budget_name is not None}
    assert budgeted == provokable - BOUNDED and provokable >= BOUNDED


def test_kinds_when_they_have_a_budget_then_their_details_take_what_was_left_out() -> None:
    classes = [
        value
        for theme in THEMES
        for value in vars(theme).values()
        if isinstance(value, type) and issubclass(value, EventDetails) and hasattr(value, "kind")
    ]
    for details in classes:
        if details.kind.budget_name is not None:
            assert {"repeats", "unreported"} <= details.members.keys(), details


def test_events_when_fifty_thousand_names_are_refused_then_a_hundred_are_told_and_the_rest_is_counted() -> None:
    budget, told = flood(UNSPENT, [refused(f"m{number}") for number in range(50_000)])
    assert len(told) == MAX_NAMES and len(budget.reported) <= MAX_KEPT
    assert budget.suppressed == {"ModuleLoadFailed": 50_000 - MAX_NAMES}
    assert len(budget.left_out) == MAX_LEFT_OUT
    budget, (summary,) = spend(budget, (), at(1000 + PERIOD_USEC / 1e6))
    assert isinstance(summary.details, EventsSuppressed)
    assert summary.fields == {"count": 50_000 - MAX_NAMES, "types": {"ModuleLoadFailed": 50_000 - MAX_NAMES}}
    assert sentence_of(summary).endswith(": ModuleLoadFailed 49900")
    assert spend(budget, (), at(9000)) == (budget, ())
    _, (later,) = spend(budget, (refused("n"),), at(1000 + PERIOD_USEC / 1e6))
    assert field(later, "untold") == 50_000 - MAX_NAMES
    assert sentence_of(later) == "n could not be loaded: blacklisted, 49900 others before it"


def test_event_when_repeated_then_told_again_after_a_while_with_their_number() -> None:
    budget, told = flood(UNSPENT, [refused("m")] * 4)
    assert len(told) == 1 and "repeats" not in told[0].fields
    again, _ = spend(budget, (refused("m"),), at(1000 + PERIOD_USEC / 1e6))[1]
    assert field(again, "repeats") == 3
    assert sentence_of(again) == "m could not be loaded: blacklisted, 3 times more since it was last told"


def test_event_when_its_reason_differs_then_it_is_another_name() -> None:
    assert len(flood(UNSPENT, [refused("m"), refused("m", reason="lockdown")])[1]) == 2


@pytest.mark.parametrize(
    ("event", "share"),
    [
        (refused("m"), ""),
        (refused("m", insmod("/tmp/m.ko")), f"{ROOT} m blacklisted"),
        (refused("a_b", insmod("a-b.ko.xz", "x=1")), f"{ROOT} a_b blacklisted"),
        (refused(None, insmod("/tmp/m.ko")), f"{ROOT}  blacklisted"),
        (refused("forged", insmod("/tmp/m.ko")), ""),
        (refused("m", insmod("/tmp/m.ko", uid=1000)), ""),
        (refused("m", insmod("-q", "--", "m", comm="modprobe")), ""),
        (refused("m", insmod("-q", "m", comm="modprobe")), f"{ROOT} m blacklisted"),
        (refused(None, Actor(process=Process(pid=9, comm="insmod"), uid=0)), f"{ROOT}  blacklisted"),
        (refused(None, Actor(process=Process(pid=9, comm="modprobe"), uid=0)), ""),
        (refused("m", Actor(process=Process(pid=9, comm="insmod"), uid=0, requester=insmod(uid=1000))), ""),
    ],
)
def test_refusal_when_root_did_it_by_itself_then_it_has_a_share_that_no_user_uses_up(event: Event, share: str) -> None:
    assert ModuleLoadFailed.kind.budget_share(event) == share
    budget, _ = flood(UNSPENT, [refused(f"flood{number}") for number in range(1000)])
    assert bool(spend(budget, (event,), at(1000))[1]) is (share != "")


def test_refusal_when_a_flood_is_taken_for_roots_tool_then_the_real_one_is_told() -> None:
    """A user prints refusals while root runs insmod, the only tool started then: they name other modules."""
    tool = insmod("/root/m.ko")
    budget, _ = flood(UNSPENT, [refused(f"flood{number}", tool) for number in range(1000)])
    assert spend(budget, (refused("m", tool),), at(1000))[1]
    assert spend(budget, (refused(None, tool, "unsigned"),), at(1000))[1]


def test_refusal_when_root_tries_again_then_each_attempt_is_told() -> None:
    """An author builds a module, and tries it; a lockdown refusal does not even say which module it is."""
    attempts = [refused(None, insmod("/root/m.ko", pid=number), "lockdown") for number in range(3)]
    budget, told = flood(UNSPENT, attempts)
    assert told == attempts
    service = [refused("m", insmod("m.ko", pid=number)) for number in range(3000)]
    budget, told = flood(budget, service)
    assert len(told) == MAX_NAMES
    assert spend(budget, (refused("n", insmod("n.ko")),), at(1000))[1], "what one service repeats leaves room"


def test_refusal_when_the_start_of_roots_tool_is_read_after_it_then_it_is_told() -> None:
    story = Story()
    lines = (
        *(b"Module m%d is blacklisted" % number for number in range(500)),
        b"bad_mod: Unknown symbol nowhere (err -2)",
    )
    batch = tuple(record(number, text, usec=story.clock.monotonic_usec) for number, text in enumerate(lines))
    story.see("kmsg", read(batch, live=True))
    assert len(story.events) == MAX_NAMES
    usec = story.clock.monotonic_usec - 50_000
    start = TraceEntry(kind=TraceKind.EXEC, monotonic_usec=Usec(usec), tid=9, actor=insmod("/root/bad-mod.ko"))
    story.see("trace", TraceRead(entries=(start,)), after=0.1)
    (late,) = story.events[MAX_NAMES:]
    assert (late.type, late.module, late.actor) == ("ModuleLoadFailed", "bad_mod", start.actor)
    assert sum(story.state.counts["kmodmon_module_load_failures_total"].values()) == 501
    story.see("trace", TraceRead(entries=(replace(start, tid=10),)), after=0.1)
    assert len(story.events) == MAX_NAMES + 1, "told once"


def test_denials_when_one_task_causes_many_then_each_kind_is_told_once() -> None:
    details = LockdownDenied(signature="lockdown_denial", what="/dev/mem", comm="dd", printk_usec=1)
    assert len(flood(UNSPENT, [Event(details=details, at=at(0))] * 50)[1]) == 1


def test_events_when_no_kind_of_them_has_a_budget_then_nothing_changes() -> None:
    events = (Event(details=Started(), at=at(0)),)
    budget, told = spend(UNSPENT, events, at(1))
    assert budget is UNSPENT and told is events


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 400)), max_size=60))
def test_budget_when_remembered_then_it_is_the_same(steps: list[tuple[int, int]]) -> None:
    budget, now = UNSPENT, 0.0
    for name, seconds in steps:
        now += seconds
        budget, _ = spend(budget, (refused(f"m{name}"),), at(now))
    assert budget_from_json(budget_to_json(budget)) == replace(budget, left_out=())


def test_history_when_a_user_floods_refusals_then_every_refusal_is_counted_and_loads_are_told() -> None:
    story = Story()
    story.modules()
    lines = tuple(record(at, b"Module m%d is blacklisted" % at) for at in range(2000))
    story.see("kmsg", read(lines))
    story.modules(module("real", "OE"))
    told: list[str] = [event.type for event in story.events]
    assert told.count("ModuleLoadFailed") == MAX_NAMES and "ModuleLoaded" in told
    assert sum(story.state.counts["kmodmon_module_load_failures_total"].values()) == 2000
    assert story.state.counts["kmodmon_events_total"]["ModuleLoadFailed",] == MAX_NAMES
    assert len(story.state.stamps.series["kmodmon_module_load_failure_timestamp_seconds"]) == MAX_NAMES
