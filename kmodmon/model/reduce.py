"""From a state and one look at a source to the next state, and what is different. Pure; one line an observation."""

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from kmodmon.model.event import Event
from kmodmon.model.modules import modules_read
from kmodmon.model.observation import BuiltinRead, ModulesRead, Observation, Seen, TaintRead, Tick
from kmodmon.model.outcome import Absent, Read
from kmodmon.model.source import SourceState, source_seen
from kmodmon.model.state import State
from kmodmon.model.taint import taint_read
from kmodmon.model.units import Instant

Reduced = tuple[State, tuple[Event, ...]]


def reduce(state: State, seen: Seen) -> Reduced:
    """Fold one look into the state; a failed or absent look leaves the facts as they were last known."""
    state, transitions = _source(state, seen)
    match seen.outcome:
        case Read(observation):
            state, events = _observation(state, observation, seen.at)
            return state, transitions + events
        case Absent() if seen.source == "modules":
            return replace(state, inventory=replace(state.inventory, support=False)), transitions
        case _:
            return state, transitions


def _source(state: State, seen: Seen) -> Reduced:
    if isinstance(seen.outcome, Read) and isinstance(seen.outcome.value, Tick):
        return state, ()
    before = state.sources.get(seen.source, SourceState(name=seen.source))
    after, events = source_seen(before, seen.outcome, seen.at)
    after = replace(after, lost=before.lost + seen.lost, unreadable=seen.unreadable)
    return replace(state, sources=MappingProxyType({**state.sources, seen.source: after})), events


def _observation(state: State, seen: Observation, at: Instant) -> Reduced:
    match seen:
        case ModulesRead():
            inventory, events = modules_read(state.inventory, seen, at, resumed=state.resumed)
            return replace(state, inventory=inventory), events
        case TaintRead(value=value):
            taint, events = taint_read(state.taint, value, at, resumed=state.resumed)
            return replace(state, taint=taint), events
        case BuiltinRead(names=names):
            return replace(state, inventory=replace(state.inventory, builtin=names)), ()
        case Tick():
            return state, ()


Reducer = Callable[[State, Seen], Reduced]
