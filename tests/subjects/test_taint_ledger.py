"""The ledger and the lives of modules: the trace knows who set a bit, also when the log speaks first or late."""

from dataclasses import replace

from kmodmon.events.event import Event
from kmodmon.events.kinds.module import ModuleLoaded, ModuleLoadFailed
from kmodmon.events.kinds.taint import TaintAdded
from kmodmon.kernel.taint import decode
from kmodmon.lifecycle.signals import TraceEntry, TraceKind, TraceRead
from kmodmon.state.checkpoint import CHECKPOINTS
from kmodmon.state.observation import Tick
from kmodmon.state.state import State
from kmodmon.subjects.log import LogRead
from kmodmon.subjects.taint import TaintEntry, TaintRead
from kmodmon.types.units import JsonObject, Usec
from tests.kmsg_maker import record
from tests.lifecycle.kernel_play import Play, actor

U, O, E = 1 << 6, 1 << 12, 1 << 13  # noqa: E741 - as the kernel calls it


def begun() -> Play:
    play = Play()
    play.begin("ext4")
    play.story.taint(0)
    return play


def entry(play: Play, bit: int) -> TaintEntry:
    (flag,) = decode(bit)
    return play.story.state.taint.ledger[flag.bit]


def added(play: Play) -> list[Event]:
    return [event for event in play.story.events if event.type == TaintAdded.kind.type]


def test_ledger_when_init_still_runs_then_the_load_in_the_trace_is_the_cause() -> None:
    play = begun()
    play.coming("slow", taint="OE")
    play.read_trace()
    play.story.see("taint", TaintRead(value=O | E), after=0.05)
    assert [(event.fields["letter"], event.fields["cause"]) for event in added(play)] == [
        ("O", "module:slow"), ("E", "module:slow"),
    ]  # fmt: skip
    assert entry(play, O).actor == actor("insmod", play.loaders["slow"])


def test_ledger_when_the_log_speaks_first_then_its_words_and_the_traces_task() -> None:
    play = begun()
    said = record(1, b"hello: loading out-of-tree module taints kernel.", usec=play.story.clock.monotonic_usec)
    play.story.see("kmsg", LogRead(records=(said,), end=True, live=True))
    play.coming("hello", taint="OE")
    play.read_trace()
    play.story.see("taint", TaintRead(value=O | E), after=0.05)
    found = entry(play, O)
    assert found.actor == actor("insmod", play.loaders["hello"])
    assert any("loading out-of-tree" in line for line in found.evidence)


def test_ledger_when_the_culprit_is_gone_then_it_stays_named() -> None:
    play = begun()
    play.load("brief", taint="OE")
    play.unload("brief")
    play.read_all()
    play.story.taint(O | E)
    play.wait(20)
    assert (str(entry(play, E).cause), entry(play, E).module) == ("module:brief", "brief")


def test_ledger_when_init_failed_then_the_module_is_the_cause() -> None:
    play = begun()
    play.coming("initfail", taint="OE")
    play.failed("initfail")
    play.read_all()
    play.story.taint(O | E)
    assert str(entry(play, O).cause) == "module:initfail"


def test_ledger_when_root_writes_a_value_then_unexplained_with_what_may_have_done_it() -> None:
    play = begun()
    play.story.taint(O)
    assert not added(play)
    play.wait(5)
    assert str(entry(play, O).cause) == "unexplained"
    assert any("/proc/sys/kernel/tainted" in line for line in entry(play, O).evidence)
    assert added(play)[0].severity.value == "error"


def test_ledger_when_the_user_bit_has_no_clue_then_the_user() -> None:
    play = begun()
    play.story.taint(U)
    play.wait(5)
    assert str(entry(play, U).cause) == "user"


def test_ledger_when_set_by_hand_then_a_later_module_is_not_blamed() -> None:
    play = begun()
    play.story.taint(O)
    play.wait(5)
    play.load("late", taint="OE")
    play.read_all()
    play.story.taint(O | E)
    play.wait(5)
    assert (str(entry(play, O).cause), str(entry(play, E).cause)) == ("unexplained", "module:late")


def restarted(play: Play) -> Play:
    """The daemon is killed and started again: only what was written with its events is left."""
    state = play.story.state
    saved: dict[str, JsonObject] = {each.section: each.save(state) for each in CHECKPOINTS}
    after = Play()
    after.modules, after.story.clock = play.modules, play.story.clock
    after.story.clock.advance(5.0)
    fresh = State(boot_id=state.boot_id, started=after.story.clock.now(), resumed=True)
    for each in CHECKPOINTS:
        fresh = each.load(fresh, saved[each.section])
    after.story.state = replace(fresh, sources=after.story.state.sources)
    return after


def test_ledger_when_restarted_then_the_same_and_nothing_is_news() -> None:
    play = begun()
    play.load("hello", taint="OE")
    play.read_all()
    play.story.taint(O | E)
    before = play.story.state.taint.ledger
    after = restarted(play)
    after.begin()
    after.story.taint(O | E)
    after.wait(5)
    assert dict(after.story.state.taint.ledger) == dict(before) and not added(after)


def test_ledger_when_a_bit_was_set_while_down_then_it_says_so() -> None:
    after = restarted(begun())
    after.begin()
    after.story.taint(O)
    after.wait(5)
    assert str(entry(after, O).cause) == "unexplained"
    assert "it was set while kmodmon was not running" in entry(after, O).evidence


def test_ledger_when_killed_before_a_bit_was_explained_then_the_adopted_trace_explains_it() -> None:
    play = begun()
    play.coming("hello", taint="OE")
    play.came("hello")
    play.story.taint(O | E)
    after = restarted(play)
    after.wire = play.wire
    after.read_list()
    after.story.taint(O | E)
    after.read_trace(adopted=True)
    after.wait(10)
    assert str(entry(after, O).cause) == "module:hello" and entry(after, O).actor is not None
    assert after.counted() == (1, 0, 0)
    (loaded,) = (event for event in after.story.events if event.type == ModuleLoaded.kind.type)
    assert loaded.fields["while_down"] is True and loaded.actor is not None


def test_failure_when_only_the_log_tells_then_by_the_tool_that_was_started_for_it() -> None:
    play = begun()
    at = Usec(play.story.clock.monotonic_usec)
    who = actor("insmod", 77)
    who = replace(who, process=replace(who.process, cmdline=("insmod", "/tmp/bad-symbol.ko.xz")))
    play.story.see("trace", TraceRead(entries=(TraceEntry(kind=TraceKind.EXEC, monotonic_usec=at, tid=77, actor=who),)))
    said = record(1, b"bad_symbol: Unknown symbol nothing (err -2)", usec=play.story.clock.monotonic_usec)
    play.story.see("kmsg", LogRead(records=(said,), end=True, live=True))
    play.story.see("clock", Tick(), after=1.0)
    (failed,) = (event for event in play.story.events if event.type == ModuleLoadFailed.kind.type)
    assert failed.module == "bad_symbol" and failed.actor == who


def test_failure_when_two_tools_could_be_meant_then_nobody_is_blamed() -> None:
    play = begun()
    at = Usec(play.story.clock.monotonic_usec)
    starts = (TraceEntry(kind=TraceKind.EXEC, monotonic_usec=at, tid=n, actor=actor("modprobe", n)) for n in (77, 78))
    play.story.see("trace", TraceRead(entries=tuple(starts)))
    said = record(1, b"Loading of unsigned module is rejected", usec=play.story.clock.monotonic_usec)
    play.story.see("kmsg", LogRead(records=(said,), end=True, live=True))
    play.story.see("clock", Tick(), after=1.0)
    (failed,) = (event for event in play.story.events if event.type == ModuleLoadFailed.kind.type)
    assert failed.actor is None
