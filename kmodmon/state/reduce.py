"""From a state and one look at a source to the next state, and what is different. Pure; one line an observation."""

from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.event import Event
from kmodmon.lifecycle.pending import LifecycleContext
from kmodmon.lifecycle.reconcile import Told, modules_read, settled, signal_lost, trace_read, uevents_read
from kmodmon.lifecycle.signals import BuiltinRead, ModulesRead, TraceRead, UeventsRead
from kmodmon.state.observation import Observation, Seen, Tick
from kmodmon.state.state import State
from kmodmon.subjects.crossview import CrossViewRead
from kmodmon.subjects.file_changes import FileChangesRead, file_change_events
from kmodmon.subjects.files import UNREAD_FILES, ModuleFilesRead, files_seen, files_unavailable
from kmodmon.subjects.hidden import crossview_read
from kmodmon.subjects.kernel import KernelRead
from kmodmon.subjects.log import LogRead, PstoreRead
from kmodmon.subjects.modprobe import ModprobeRead
from kmodmon.subjects.parameters import UNREAD_PARAMETERS, ParametersRead, ParameterTable, parameters_changed
from kmodmon.subjects.posture import (
    CountersRead,
    LivepatchesRead,
    LockdownRead,
    Posture,
    SecureBootRead,
    SwitchesRead,
    posture_changed,
)
from kmodmon.subjects.rules import RulesFileRead
from kmodmon.subjects.source import NOT_READ_YET, SourceState, source_read
from kmodmon.subjects.taint import TaintRead, taint_read
from kmodmon.types.outcome import SWITCHED_OFF, Absent, Read
from kmodmon.types.units import Instant

Reduced = tuple[State, tuple[Event, ...]]


def reduce(state: State, seen: Seen) -> Reduced:
    """Fold one look into the state; a failed or absent look leaves the facts as they were last known."""
    state, transitions = _source(state, seen)
    match seen.outcome:
        case Read(observation):
            state, told = _lives(state, observation, seen)
            state, events = _observation(state, observation, seen.at)
            return state, transitions + told + events
        case Absent() if seen.source == "modules" and state.kernel is not None and not state.inventory.support:
            # procfs is there, for it told the version; a list that was there before cannot go away by itself
            return replace(state, inventory=replace(state.inventory, support=False)), transitions
        case Absent(why) if why.startswith(SWITCHED_OFF):
            return _forgotten(state, seen.source), transitions
        case _ if seen.source == "files":
            return replace(state, files=files_unavailable(state.files)), transitions
        case _ if seen.source in _WITNESSES:
            state, told = _told(state, signal_lost(state.inventory, state.lifecycle, seen.source, _scene(state, seen)))
            return state, transitions + told
        case _:
            return state, transitions


def _forgotten(state: State, source: str) -> State:
    """What the operator does not want looked at any more is not shown as it last was."""
    match source:
        case "parameters":
            return replace(state, parameters=UNREAD_PARAMETERS)
        case "files":
            return replace(state, files=UNREAD_FILES)
        case _:
            return state


_WITNESSES = frozenset({"trace", "uevent"})


def _lives(state: State, heard: Observation, seen: Seen) -> Reduced:
    inventory, life, scene = state.inventory, state.lifecycle, _scene(state, seen)
    match heard:
        case ModulesRead():
            return _told(state, modules_read(inventory, life, heard, scene))
        case TraceRead():
            return _told(state, trace_read(inventory, life, heard, seen.lost, scene))
        case UeventsRead():
            return _told(state, uevents_read(inventory, life, heard, scene))
        case CrossViewRead():
            hidden, events = crossview_read(state.hidden, heard, inventory.loaded, life, seen.at)
            return replace(state, hidden=hidden), events
        case Tick():
            return _told(state, settled(inventory, life, scene))
        case _:
            return state, ()


def _scene(state: State, seen: Seen) -> LifecycleContext:
    trace = state.sources.get("trace")
    expected = trace is not None and trace.last_read is None and trace.why == NOT_READ_YET
    return LifecycleContext(at=seen.at, started=state.started, resumed=state.resumed, trace_expected=expected)


def _told(state: State, told: Told) -> Reduced:
    inventory, lifecycle, events = told
    if inventory is state.inventory and lifecycle is state.lifecycle:
        return state, events
    return replace(state, inventory=inventory, lifecycle=lifecycle), events


def _source(state: State, seen: Seen) -> Reduced:
    if isinstance(seen.outcome, Read) and isinstance(seen.outcome.value, Tick):
        return state, ()
    before = state.sources.get(seen.source, SourceState(name=seen.source))
    after, events = source_read(before, seen.outcome, seen.at, lost=seen.lost, unreadable=seen.unreadable)
    return replace(state, sources=MappingProxyType({**state.sources, seen.source: after})), events


def _observation(state: State, seen: Observation, at: Instant) -> Reduced:
    match seen:
        case TaintRead(value=value):
            taint, events = taint_read(state.taint, value, at, resumed=state.resumed)
            return replace(state, taint=taint), events
        case BuiltinRead(names=names):
            return replace(state, inventory=replace(state.inventory, builtin=names)), ()
        case ParametersRead(table=table):
            return _parameters(state, table, at)
        case ModuleFilesRead():
            return _files(state, seen, at)
        case ModprobeRead(config=config):
            return (state if config == state.modprobe else replace(state, modprobe=config)), ()
        case FileChangesRead():
            return state, file_change_events(seen, at)
        case KernelRead(kernel=kernel):
            taint = replace(state.taint, flags=kernel.taint_flags)
            return _posture(replace(state, kernel=kernel, taint=taint), state.posture, at)
        case LockdownRead() | SwitchesRead() | SecureBootRead() | CountersRead() | LivepatchesRead():
            return _posture(state, _posture_part(state.posture, seen), at)
        case (
            ModulesRead()
            | TraceRead()
            | UeventsRead()
            | CrossViewRead()
            | Tick()
            | LogRead()
            | PstoreRead()
            | RulesFileRead()
        ):
            return state, ()  # they tell of lives; or the pipeline hears what the kernel says, and judges by the rules


def _parameters(state: State, table: ParameterTable, at: Instant) -> Reduced:
    if table is state.parameters:
        return state, ()
    events = parameters_changed(state.parameters.parameters, table.parameters, at)
    return replace(state, parameters=table), events


def _files(state: State, seen: ModuleFilesRead, at: Instant) -> Reduced:
    boot_time = None if state.kernel is None else state.kernel.boot_time
    files, events = files_seen(state.files, seen, state.inventory, boot_time, at)
    return (state if files is state.files else replace(state, files=files)), events


def _posture_part(
    posture: Posture, seen: LockdownRead | SwitchesRead | SecureBootRead | CountersRead | LivepatchesRead
) -> Posture:
    match seen:
        case LockdownRead(lockdown=lockdown, lsm=lsm):
            return replace(posture, lockdown=lockdown, lsm=lsm)
        case SwitchesRead(switches=switches):
            return replace(posture, switches=switches)
        case SecureBootRead(state=secure_boot):
            return replace(posture, secure_boot=secure_boot)
        case CountersRead(counters=counters):
            return replace(posture, counters=counters)
        case LivepatchesRead(patches=patches):
            return replace(posture, livepatches=patches)


def _posture(state: State, posture: Posture, at: Instant) -> Reduced:
    after, events = posture_changed(posture, state.kernel, at)
    # The same object while nothing changed: readers compare with `is`.
    return (state if after == state.posture else replace(state, posture=after)), events
