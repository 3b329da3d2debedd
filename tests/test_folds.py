"""One dispatch: every observation has one fold, and nothing else tells one observation from another."""

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from kmodmon.events.event import EventType
from kmodmon.events.kinds.policy import TreeChanged
from kmodmon.folds import FOLDS, fold
from kmodmon.kernel.efivar import SecureBoot
from kmodmon.kernel.lockdown import Lockdown
from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.pending import Lifecycle, RecentUnload
from kmodmon.lifecycle.signals import BuiltinRead, TraceRead, UeventsRead
from kmodmon.state.change import Change, StatePart
from kmodmon.state.observation import Tick
from kmodmon.state.state import FoldContext, Folded, State, lifecycle_context
from kmodmon.subjects.crossview import CrossViewRead, Pass, View, ViewRead
from kmodmon.subjects.file_changes import FileChangesRead, TreeChanges
from kmodmon.subjects.files import UNREAD_FILES, ModuleFilesRead
from kmodmon.subjects.kernel import Kernel, KernelRead
from kmodmon.subjects.log import LogMemory, LogRead, PstoreRead
from kmodmon.subjects.modprobe import ModprobeConfig, ModprobeRead
from kmodmon.subjects.parameters import UNREAD_PARAMETERS, ParametersRead, ParameterTable
from kmodmon.subjects.posture import CountersRead, LivepatchesRead, LockdownRead, SecureBootRead, Switches, SwitchesRead
from kmodmon.subjects.rules import RulesFileRead
from kmodmon.subjects.source import SourceState, SourceStatus
from kmodmon.subjects.taint import PendingBit, TaintRead
from kmodmon.types.outcome import Absent, AbsentReason, Failed, Observation, Outcome, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Instant, Usec
from tests.reports.test_previous_boot import dump
from tests.states import BOOT, module, modules_read

PACKAGE = Path(__file__).parent.parent / "kmodmon"


def test_observations_when_listed_then_each_has_a_fold() -> None:
    # A slotted dataclass is a second class of the same name.
    assert {observation.__name__ for observation in FOLDS} == {each.__name__ for each in Observation.__subclasses__()}


def test_observations_when_the_product_is_read_then_none_is_matched_by_its_type() -> None:
    names = {observation.__name__ for observation in FOLDS}
    matched = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.MatchClass(cls=ast.Name(id=name)) if name in names:
                    matched.append((path.name, name))
                case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]):
                    matched += [(path.name, each.id) for each in ast.walk(kinds) if isinstance(each, ast.Name)]
    assert [entry for entry in matched if entry[1] in names] == []


AT = Instant(realtime_usec=Usec(1_700_000_000_000_000), monotonic_usec=Usec(100_000_000))
BASE = State(boot_id=BOOT, started=AT)
KERNEL = Kernel(release="6.1", version="#1", machine="x86_64")
WITH_KERNEL = replace(BASE, kernel=KERNEL)


def folded(state: State, source: str, outcome: Outcome[Observation]) -> Folded:
    return fold(state, outcome, FoldContext(source=SourceName(source), at=AT))


def parts(after: Folded) -> set[str]:
    return {change.part.name.lower() for change in after.changes}


def hidden_in(view: View) -> CrossViewRead:
    listed = MappingProxyType({"a": ModuleState.LIVE})
    views = MappingProxyType({view: ViewRead(names=frozenset({"a", "hidden"}))})
    one = Pass(listed=listed, relisted=listed, views=views)
    return CrossViewRead(passes=(one, one))


TABLE, MODPROBE = ParameterTable(read=True), ModprobeConfig(read=True)
SWITCHES = Switches(modprobe="/sbin/modprobe", sig_enforce=False)
LOCKDOWN = Lockdown(mode="none", available=("none", "integrity"))


@pytest.mark.parametrize(
    ("source", "observation", "changed", "value"),
    [
        ("kernel", KernelRead(kernel=KERNEL), {"kernel"}, lambda state: state.kernel == KERNEL),
        ("modules", modules_read(module("a")), {"loaded", "module_support", "modules"},
         lambda state: state.inventory.support is True and set(state.inventory.loaded) == {"a"}),
        ("trace", TraceRead(began=True), set(), lambda state: state.lifecycle.trace_since == AT),
        ("uevent", UeventsRead(began=True), set(), lambda state: state.lifecycle.uevents),
        ("builtin", BuiltinRead(names=frozenset({"b"})), {"builtin"}, lambda state: state.inventory.builtin == {"b"}),
        ("crossview", hidden_in(View.SYSFS), {"hidden"}, lambda state: set(state.hidden.findings) == {"hidden"}),
        ("taint", TaintRead(value=0), set(), lambda state: state.taint.value == 0),
        ("lockdown", LockdownRead(lockdown=LOCKDOWN, lsm=("lockdown",)), {"posture"},
         lambda state: state.posture.lockdown is LOCKDOWN and state.posture.lsm == ("lockdown",)),
        ("posture", SwitchesRead(switches=SWITCHES), {"posture"}, lambda state: state.posture.switches is SWITCHES),
        ("posture", SwitchesRead(switches=Switches()), {"posture"}, lambda state: not state.posture.facts),
        ("secure_boot", SecureBootRead(state=SecureBoot.ENABLED), {"posture"},
         lambda state: state.posture.secure_boot is SecureBoot.ENABLED),
        ("counters", CountersRead(counters={"oops_count": 1}), {"counters"},
         lambda state: state.posture.counters == {"oops_count": 1}),
        ("livepatch", LivepatchesRead(patches={}), {"posture"}, lambda state: state.posture.livepatches == {}),
        ("parameters", ParametersRead(table=TABLE), {"parameters"}, lambda state: state.parameters is TABLE),
        ("files", ModuleFilesRead(files={}, instances={}, problems=("p",)), {"files"},
         lambda state: state.files.expected and state.files.problems == ("p",)),
        ("modprobe", ModprobeRead(config=MODPROBE), {"modprobe"}, lambda state: state.modprobe is MODPROBE),
        ("policy", RulesFileRead(what="policy", path="/p", raw=None), {"policy"},
         lambda state: state.policy.policy is not None and state.baseline.path == ""),
        ("baseline", RulesFileRead(what="baseline", path="/b", raw=None), {"baseline"},
         lambda state: state.policy.policy is None and state.baseline.path == "/b"),
    ],
)  # fmt: skip
def test_observation_when_it_is_new_then_it_is_in_the_state_and_its_part_changed_and_then_no_more(
    source: str, observation: Observation, changed: set[str], value: Callable[[State], bool]
) -> None:
    before = WITH_KERNEL if source != "kernel" else BASE
    first = folded(before, source, Read(observation))
    assert parts(first) == changed and value(first.state)
    assert all(event.type == EventType("ModuleHidden") for event in first.events)
    second = folded(first.state, source, Read(observation))
    always = {"kernel", "builtin"} & {source}  # which the sources read once
    assert parts(second) == always and value(second.state) and second.events == ()
    if source not in {"modules", "trace", "taint", "counters"}:  # which keep the time of the newest reading
        assert second.state == first.state
    if source not in {
        "modules",
        "trace",
        "taint",
        "counters",
        "kernel",
        "builtin",
        "crossview",
        "policy",
        "baseline",
        "uevent",
    }:
        assert second.state is first.state


@pytest.mark.parametrize(
    ("source", "observation"),
    [("pstore", PstoreRead(dumps=())), ("clock", Tick()), ("uevent", UeventsRead()), ("trace", TraceRead()),
     ("watch", FileChangesRead())],
)  # fmt: skip
def test_observation_when_it_has_nothing_then_the_state_is_the_same_object(
    source: str, observation: Observation
) -> None:
    after = folded(BASE, source, Read(observation))
    assert after.state is BASE and (after.events, after.changes) == ((), ())


def test_dumps_of_an_earlier_boot_when_read_twice_then_each_report_is_an_event_once() -> None:
    read = Read(PstoreRead(dumps=(dump(1, 2),)))
    first = folded(BASE, "pstore", read)
    assert [event.module for event in first.events] == ["m1", "m2"] and len(first.state.reported) == 2
    second = folded(first.state, "pstore", read)
    assert second.events == () and second.state.reported == first.state.reported


def test_log_when_read_then_its_source_is_there_only_if_it_was() -> None:
    after = folded(BASE, "kmsg", Read(LogRead(records=(), end=True))).state
    assert after.log.opened and dict(after.sources) == {}


def test_files_when_read_before_the_kernel_then_its_boot_time_is_not_known() -> None:
    after = folded(BASE, "files", Read(ModuleFilesRead(files={}, instances={})))
    assert parts(after) == {"files"} and after.state.files.expected


def test_modules_when_read_again_then_only_modules_that_differ_are_named() -> None:
    state = folded(BASE, "modules", Read(modules_read(module("a"), module("b")))).state
    after = folded(state, "modules", Read(modules_read(module("a", size=1), module("b", taint="O"))))
    assert Change(StatePart.MODULES, frozenset({"b"})) in after.changes
    assert "module_support" not in parts(after)
    users = folded(after.state, "modules", Read(modules_read(module("a"), module("b", taint="O"))))
    assert users.changes == () and users.state.inventory.modules["a"].size == 16384


def test_kernel_when_read_after_the_switches_then_it_may_decide_the_enforcement_of_signatures() -> None:
    state = folded(BASE, "posture", Read(SwitchesRead(switches=SWITCHES))).state
    after = folded(state, "kernel", Read(KernelRead(kernel=KERNEL)))
    assert "kernel" in parts(after) and after.state.taint.flags == KERNEL.taint_flags


def test_file_changes_when_read_then_an_event_and_no_change() -> None:
    read = FileChangesRead(trees=(TreeChanges(tree="modules", path="/lib/modules/6.1", created=1),))
    after = folded(BASE, "watch", Read(read))
    assert [event.type for event in after.events] == [TreeChanged.kind.type] and after.state is BASE


OFF, NONE = Absent("off", AbsentReason.SWITCHED_OFF), Absent("none")
FAILED = Failed("broken", errno=5)
READ_PARAMETERS = replace(BASE, parameters=TABLE)
READ_FILES = replace(BASE, files=replace(UNREAD_FILES, expected=True, problems=("p",)))
READ_MODULES = replace(WITH_KERNEL, inventory=replace(BASE.inventory, support=True))


@pytest.mark.parametrize(
    ("before", "source", "outcome", "changed", "value"),
    [
        (WITH_KERNEL, "modules", NONE, {"module_support"}, lambda state: state.inventory.support is False),
        (READ_PARAMETERS, "parameters", OFF, {"parameters"}, lambda state: state.parameters is UNREAD_PARAMETERS),
        (READ_FILES, "files", OFF, {"files"}, lambda state: state.files is UNREAD_FILES),
        (READ_FILES, "files", NONE, {"files"}, lambda state: not state.files.expected and state.files.problems),
        (READ_FILES, "files", FAILED, {"files"}, lambda state: not state.files.expected and state.files.problems),
        (BASE, "policy", FAILED, {"policy"}, lambda state: state.policy.refusal.why == "broken"),
        (BASE, "baseline", FAILED, {"baseline"}, lambda state: state.baseline.refusal.why == "broken"),
    ],
)
def test_source_when_it_cannot_be_read_then_its_part_says_so_once(
    before: State, source: str, outcome: Absent | Failed, changed: set[str], value: Callable[[State], bool]
) -> None:
    first = folded(before, source, outcome)
    assert parts(first) == changed and value(first.state) and first.events == ()
    if source != "modules":
        second = folded(first.state, source, outcome)
        assert second.state is first.state and second.changes == ()


@pytest.mark.parametrize(
    ("before", "source", "outcome"),
    [
        (BASE, "modules", NONE),  # without procfs there is no /proc/modules either
        (WITH_KERNEL, "modules", FAILED),
        (READ_MODULES, "modules", NONE),
        (BASE, "parameters", OFF),
        (READ_PARAMETERS, "parameters", NONE),
        (READ_PARAMETERS, "parameters", FAILED),
        (BASE, "files", OFF),
        (BASE, "files", NONE),
        (BASE, "policy", NONE),
        (BASE, "baseline", NONE),
        (BASE, "kernel", FAILED),
        (BASE, "taint", NONE),
    ],
)
def test_source_when_it_cannot_be_read_and_that_says_nothing_then_the_state_is_the_same_object(
    before: State, source: str, outcome: Absent | Failed
) -> None:
    after = folded(before, source, outcome)
    assert after.state is before and (after.events, after.changes) == ((), ())


def test_signals_when_they_cannot_be_read_any_more_then_the_lifecycle_does_not_rely_on_them() -> None:
    state = folded(BASE, "trace", Read(TraceRead(began=True))).state
    state = folded(state, "uevent", Read(UeventsRead(began=True))).state
    without_trace = folded(state, "trace", FAILED).state.lifecycle
    assert without_trace.trace_since is None and without_trace.uevents
    without_uevents = folded(state, "uevent", NONE).state.lifecycle
    assert without_uevents.trace_since == AT and not without_uevents.uevents


@pytest.mark.parametrize(
    ("status", "is_expected"),
    [(None, False), *((status, status is SourceStatus.NOT_READ) for status in SourceStatus)],
)
def test_trace_when_it_was_not_read_yet_then_it_is_expected(status: SourceStatus | None, is_expected: bool) -> None:
    name = SourceName.TRACE
    sources = {} if status is None else {name: SourceState(name=name, status=status)}
    context = lifecycle_context(replace(BASE, sources=sources), FoldContext(source=SourceName.MODULES, at=AT))
    assert (context.at, context.started, context.resumed, context.trace_expected) == (AT, AT, False, is_expected)


class Waiting(LogMemory):
    """A log in which a report is open."""

    @property
    def in_report(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("state", "waits"),
    [
        (BASE, False),
        (replace(BASE, log_memory=LogMemory()), False),
        (replace(BASE, log_memory=Waiting()), True),
        (replace(BASE, taint=replace(BASE.taint, pending={9: PendingBit(since=AT)})), True),
        (replace(BASE, lifecycle=Lifecycle(recent_unloads={"m": RecentUnload(since=AT)})), True),
    ],
)
def test_state_when_something_waits_for_time_then_it_says_so(state: State, waits: bool) -> None:
    assert state.waits is waits
