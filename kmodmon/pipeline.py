"""The product on one screen: what a reading changes, what explains it, what is not allowed, what is told. Pure."""

from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.budget import reconsider, spend
from kmodmon.events.counters import count_events
from kmodmon.events.event import Event
from kmodmon.events.timestamps import NO_EVENT_METRICS, EventMetrics, expire, timestamp_events
from kmodmon.folds import fold
from kmodmon.lifecycle.autoload import attribute_late
from kmodmon.lifecycle.signals import TraceEntry
from kmodmon.policy.evaluate import PolicySettings, evaluate
from kmodmon.state.change import Change, StatePart
from kmodmon.state.observation import Reading
from kmodmon.state.state import FoldContext, Folded, State
from kmodmon.subjects.source import SourceState, source_read
from kmodmon.subjects.taint import TaintState, explain, notice_clues
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a step depends on beside the facts: settings, and the metrics that events move."""

    keep_recent_seconds: float = 86400.0
    recent_series: int = 1000
    policy: PolicySettings = field(default_factory=PolicySettings)
    event_metrics: EventMetrics = NO_EVENT_METRICS


def step(
    state: State, source: SourceName, reading: Reading, at: Instant, rules: Rules
) -> tuple[State, tuple[Event, ...]]:
    """The next state and what is told, from one reading of one source (CLOCK: time has passed)."""
    ticked = source is SourceName.CLOCK
    taint, attempts = state.taint, state.lifecycle.attempts
    state, transitions = (state, ()) if ticked else _account(state, source, reading, at)
    folded = fold(state, reading.outcome, FoldContext(source=source, at=at, lost=reading.lost))
    state, explained = _ledger(folded, at)
    changes = folded.changes if not _taint_differs(taint, state.taint) else (*folded.changes, Change(StatePart.TAINT))
    events = (*transitions, *folded.events)
    state, judged = evaluate(state, events, changes, at, rules.policy, ticked=ticked)
    happened = (*events, *explained, *judged)
    state, late = _late(state, attempts)
    budget, events = spend(state.budget, (*late, *happened), at)
    counts = count_events(state.counts, happened, events, rules.event_metrics.counters)
    stamps = timestamp_events(state.stamps, events, rules.event_metrics.timestamps, rules.recent_series)
    if ticked:
        stamps = expire(stamps, at, rules.keep_recent_seconds)
    if counts is not state.counts or stamps is not state.stamps or budget is not state.budget:
        state = replace(state, counts=counts, stamps=stamps, budget=budget)
    return state, events


def _late(state: State, attempts: tuple[TraceEntry, ...]) -> tuple[State, tuple[Event, ...]]:
    """Events that were left out earlier, and that a tool caused whose start was read just now."""
    if not state.budget.left_out or state.lifecycle.attempts is attempts:
        return state, ()
    lifecycle, pairs = attribute_late(state.lifecycle, state.budget.left_out)
    if not pairs:
        return state, ()
    budget, late = reconsider(state.budget, pairs)
    return replace(state, lifecycle=lifecycle, budget=budget), late


def _taint_differs(was: TaintState, now: TaintState) -> bool:
    # Another value comes with another ledger (the first reading) or with other pending bits (any later one).
    return now.ledger is not was.ledger or now.pending is not was.pending


def _account(state: State, source: SourceName, reading: Reading, at: Instant) -> tuple[State, tuple[Event, ...]]:
    """What the reading says of its source: is it there, does it answer, what did it lose."""
    before = state.sources.get(source, SourceState(name=source))
    after, events = source_read(before, reading.outcome, at, lost=reading.lost, unreadable=reading.unreadable)
    return replace(state, sources=MappingProxyType({**state.sources, source: after})), events


def _ledger(folded: Folded, at: Instant) -> tuple[State, tuple[Event, ...]]:
    """The taint ledger takes the events and clues of this step; bits that have a cause now are events."""
    state = folded.state
    taint = notice_clues(state.taint, folded.events, folded.clues)
    log_open = state.log_memory is not None and state.log_memory.unsettled
    taint, events = explain(taint, at, started=state.started, log_open=log_open)
    return (state if taint is state.taint else replace(state, taint=taint)), events
