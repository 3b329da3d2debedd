"""Findings of the cross-view: what each way of hiding looks like, and what must never be taken for one."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.kinds.module import ModuleHidden, ModuleUnhidden
from kmodmon.kernel.modules import ModuleLine, ModuleState
from kmodmon.lifecycle.signals import ModuleUevent
from kmodmon.subjects.crossview import CrossViewRead, Pass, View, ViewRead, strays_of, suspects
from kmodmon.subjects.hidden import UNNAMED, Confidence, HiddenModule, HiddenState, hidden_from_json, hidden_to_json
from tests.lifecycle.kernel_play import Play

LIVE, COMING, GOING = ModuleState.LIVE, ModuleState.COMING, ModuleState.GOING
HIDDEN, UNHIDDEN = ModuleHidden.kind.type, ModuleUnhidden.kind.type


def seen(listed: str = "ext4", **views: str | None) -> Pass:
    """A pass in which the list shows some names, and each view the same names unless it is said otherwise."""
    names = {view: listed for view in (View.SYSFS, View.KALLSYMS, View.FTRACE)} | {View.KPROBES: "", View.HOLDERS: ""}
    named = {view: views.get(view.value, names[view]) for view in names}
    looks = {
        view: ViewRead(names=None, why="not readable") if text is None else ViewRead(names=frozenset(text.split()))
        for view, text in named.items()
    }
    states = MappingProxyType(dict.fromkeys(listed.split(), LIVE))
    return Pass(listed=states, relisted=states, views=MappingProxyType(looks))


def twice(one: Pass) -> CrossViewRead:
    return CrossViewRead(passes=(one, one))


def compared(*reads: CrossViewRead) -> Play:
    play = Play()
    play.begin("ext4")
    for read in reads:
        play.story.see("crossview", read, after=60.0)
    return play


def findings(play: Play) -> dict[str, HiddenModule]:
    return dict(play.story.state.hidden.findings)


def test_hidden_when_unlinked_from_the_list_then_sysfs_and_ftrace_tell() -> None:
    play = compared(twice(seen(sysfs="ext4 hidden_mod", ftrace="ext4 hidden_mod")))
    finding = findings(play)["hidden_mod"]
    assert finding.missing_from == ("list",) and finding.seen_in == ("sysfs", "ftrace")
    assert finding.confidence is Confidence.CERTAIN
    event = play.story.events[-1]
    assert (event.type, event.module, event.severity.value) == (HIDDEN, "hidden_mod", "critical")


def test_hidden_when_deleted_from_sysfs_then_the_list_tells() -> None:
    finding = findings(compared(twice(seen("ext4 hidden_mod", sysfs="ext4"))))["hidden_mod"]
    assert finding.missing_from == ("sysfs",) and "list" in finding.seen_in
    assert finding.confidence is Confidence.CERTAIN


@pytest.mark.parametrize("view", ["ftrace", "kprobes", "holders"])
def test_hidden_when_out_of_list_and_sysfs_then_any_other_view_tells(view: str) -> None:
    finding = findings(compared(twice(seen(**{view: "ext4 hidden_mod"}))))["hidden_mod"]
    assert finding.missing_from == ("list", "sysfs") and finding.seen_in == (view,)
    assert finding.confidence is Confidence.LIKELY


def test_hidden_when_it_moves_away_while_the_views_are_read_then_the_next_look_tells_all_of_it_at_once() -> None:
    play = Play()
    play.begin("ext4")
    play.load("hidden_mod")
    play.read_all()
    play.wire.uevents.append(ModuleUevent(action="move", module="elsewhere", moved_from="hidden_mod"))
    play.read_uevents()
    half = seen("ext4", sysfs="ext4 hidden_mod", kallsyms="ext4", ftrace=None)
    play.story.see("crossview", CrossViewRead(passes=(half,)), after=0.5)
    assert findings(play) == {}
    play.story.see("crossview", twice(seen("ext4", kallsyms="ext4", ftrace=None)), after=5.0)
    assert [event.module for event in play.story.events if event.type == HIDDEN] == ["hidden_mod"]
    assert findings(play)["hidden_mod"].missing_from == ("list", "sysfs")


def test_hidden_when_built_without_tracing_then_its_life_tells() -> None:
    play = Play()
    play.begin("ext4")
    play.load("hidden_mod")
    play.read_all()
    play.modules.pop("hidden_mod")
    play.wait(20)
    assert play.contradictions()
    play.story.see("crossview", CrossViewRead(passes=(seen(),)), after=60.0)
    finding = findings(play)["hidden_mod"]
    assert finding.missing_from == ("list", "sysfs") and finding.seen_in == ("history",)
    assert play.story.events[-1].actor is not None


def test_hidden_when_only_kallsyms_names_it_then_nothing() -> None:
    assert not findings(compared(twice(seen(kallsyms="ext4 gone"))))


def test_hidden_when_its_symbols_are_filtered_then_kallsyms_denies_it() -> None:
    finding = findings(compared(twice(seen("ext4 hidden_mod", kallsyms="ext4"))))["hidden_mod"]
    assert finding.missing_from == ("kallsyms",)


def test_hidden_when_a_module_has_no_traceable_function_then_no_symbols_are_missed() -> None:
    assert not findings(compared(twice(seen("ext4 tiny", kallsyms="ext4", ftrace="ext4"))))


def test_hidden_when_only_one_of_two_passes_saw_it_then_nothing() -> None:
    first, second = seen(sysfs="ext4 hidden_mod"), seen()
    play = compared(CrossViewRead(passes=(first, second)), CrossViewRead(passes=(first,)))
    assert not findings(play) and play.count(HIDDEN) == 0


@pytest.mark.parametrize("state", [COMING, GOING])
def test_hidden_when_it_comes_or_goes_then_a_missing_directory_is_normal(state: ModuleState) -> None:
    one = seen("ext4 busy", sysfs="ext4")
    states = MappingProxyType({"ext4": LIVE, "busy": state})
    assert not findings(compared(twice(replace(one, listed=states, relisted=states))))


def test_hidden_when_it_came_during_the_pass_then_nothing() -> None:
    one = seen("ext4 dummy")
    assert not suspects(replace(one, listed=MappingProxyType({"ext4": LIVE})))
    assert not suspects(replace(one, relisted=MappingProxyType({"ext4": LIVE})))


def test_hidden_when_it_returns_then_unhidden_once() -> None:
    away = twice(seen(sysfs="ext4 hidden_mod"))
    play = compared(away, away, CrossViewRead(passes=(seen("ext4 hidden_mod"),)), CrossViewRead(passes=(seen(),)))
    assert (play.count(HIDDEN), play.count(UNHIDDEN)) == (1, 1) and not findings(play)


def test_hidden_when_the_view_that_showed_it_is_gone_then_the_finding_stays() -> None:
    play = compared(twice(seen(ftrace="ext4 hidden_mod")), CrossViewRead(passes=(seen(ftrace=None),)))
    assert set(findings(play)) == {"hidden_mod"} and play.count(UNHIDDEN) == 0
    assert play.story.state.hidden.views["ftrace"] == "not readable"


def test_hidden_when_listings_of_sysfs_are_filtered_then_the_link_count_tells() -> None:
    play = compared(twice(replace(seen(), uncounted=1)))
    assert findings(play)[UNNAMED].missing_from == ("sysfs",)
    assert findings(play)[UNNAMED].confidence is Confidence.POSSIBLE


def test_hidden_when_a_directory_is_there_by_name_only_then_named_and_no_unnamed_one() -> None:
    one = replace(seen(ftrace="ext4 hidden_mod"), uncounted=1, unlistable=frozenset({"hidden_mod"}))
    found = findings(compared(twice(one)))
    assert set(found) == {"hidden_mod"} and "sysfs_listing" in found["hidden_mod"].missing_from


def test_hidden_when_memory_is_unaccounted_for_at_two_looks_then_a_possible_one() -> None:
    stray = CrossViewRead(passes=(replace(seen(), strays=(20480,)),))
    assert not findings(compared(stray))
    finding = findings(compared(stray, stray))[UNNAMED]
    assert finding.seen_in == ("memory",) and "20480" in finding.evidence[0]


def test_hidden_when_memory_is_unaccounted_for_while_modules_come_and_go_then_nothing() -> None:
    stray = CrossViewRead(passes=(replace(seen(), strays=(20480,)),))
    play = compared(stray)
    play.load("busy")
    play.read_all()
    play.unload("busy")
    play.wait(10)
    play.story.see("crossview", stray, after=60.0)
    assert not findings(play)
    play.story.see("crossview", stray, after=60.0)
    assert UNNAMED in findings(play)


def test_hidden_when_memory_is_unaccounted_for_and_no_trace_tells_of_loads_then_nothing() -> None:
    stray = CrossViewRead(passes=(replace(seen(), strays=(20480,)),))
    play = Play(trace=False)
    play.begin("ext4")
    for _ in range(4):
        play.story.see("crossview", stray, after=60.0)
    assert not findings(play)


def test_hidden_when_memory_is_that_of_a_named_finding_then_no_other() -> None:
    away = twice(replace(seen(sysfs="ext4 hidden_mod"), strays=(20480,)))
    found = findings(compared(away, away))
    assert set(found) == {"hidden_mod"} and any("20480" in line for line in found["hidden_mod"].evidence)


def line(name: str, size: int, state: ModuleState = LIVE) -> ModuleLine:
    return ModuleLine(
        name=name, size=size, refcnt=0, holders=(), permanent=False, state=state, address=None, taint=""
    )  # fmt: skip


def test_strays_when_one_area_a_module_then_what_is_left() -> None:
    modules = [line("a", 16384), line("b", 16384), line("c", 8192)]
    assert strays_of((20480, 20480, 12288), modules, 4096) == ()
    assert strays_of((20480, 20480, 12288, 20480), modules, 4096) == (20480,)


def test_strays_when_areas_are_not_one_a_module_then_it_cannot_be_told() -> None:
    assert strays_of((12288, 8192, 8192), [line("a", 16384)], 4096) is None
    assert strays_of((20480, 8192), [line("a", 16384, COMING)], 4096) is None


def test_checkpoint_when_restored_then_the_same_findings() -> None:
    hidden = compared(twice(seen(sysfs="ext4 hidden_mod"))).story.state.hidden
    assert hidden_from_json(hidden_to_json(hidden)) == HiddenState(findings=hidden.findings)
    assert hidden_from_json({"x": 1, "y": {"since": [1]}}) == HiddenState()


NAMES = st.frozensets(st.sampled_from(["a", "b", "c", "d"]))


@given(before=NAMES, after=NAMES, sysfs=NAMES, ftrace=NAMES)
def test_hidden_when_lists_are_read_while_modules_come_and_go_then_one_pass_is_never_a_finding(
    before: frozenset[str], after: frozenset[str], sysfs: frozenset[str], ftrace: frozenset[str]
) -> None:
    one = Pass(
        listed=MappingProxyType(dict.fromkeys(before, LIVE)),
        relisted=MappingProxyType(dict.fromkeys(after, LIVE)),
        views=MappingProxyType({View.SYSFS: ViewRead(names=sysfs), View.FTRACE: ViewRead(names=ftrace)}),
    )
    assert not findings(compared(CrossViewRead(passes=(one,))))
    consistent = replace(one, relisted=one.listed, views=MappingProxyType({View.SYSFS: ViewRead(names=before)}))
    assert not findings(compared(CrossViewRead(passes=(one, consistent))))
