"""The product on one screen: what differs, what explains it, what is not allowed, what is counted. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from kmodmon.events.counters import count_events
from kmodmon.events.event import Event
from kmodmon.events.timestamps import NO_EVENT_METRICS, EventMetrics, expire, timestamp_events
from kmodmon.lifecycle.autoload import attribute
from kmodmon.lifecycle.signals import TraceRead
from kmodmon.policy.evaluate import PolicySettings, evaluate
from kmodmon.state.observation import Seen, Tick
from kmodmon.state.reduce import reduce
from kmodmon.state.state import State
from kmodmon.subjects.log import LogRead, PstoreRead
from kmodmon.subjects.reported import add_reported
from kmodmon.subjects.source import SourceState
from kmodmon.subjects.taint import Clue, explain, loading_clues, notice_clues
from kmodmon.types.outcome import Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What judgement depends on beside the facts; from the settings."""

    keep_recent_seconds: float = 86400.0
    recent_series: int = 1000
    policy: PolicySettings = PolicySettings()  # noqa: RUF009  # frozen
    event_metrics: EventMetrics = NO_EVENT_METRICS


def step(state: State, seen: Seen, rules: Rules) -> tuple[State, tuple[Event, ...]]:
    """The next state and what happened, from one look at one source."""
    before = state
    state, changed = reduce(state, seen)
    state, spoken, clues = _hear(state, seen)
    spoken = attribute(state.lifecycle, spoken)
    state, explained = _ledger(state, changed + spoken, clues, seen)
    state, judged = evaluate(before, state, seen, changed, rules.policy)
    events = changed + spoken + explained + judged
    told = add_reported(state.told, spoken)
    counts = count_events(state.counts, events, rules.event_metrics.counters)
    stamps = timestamp_events(state.stamps, events, rules.event_metrics.timestamps, rules.recent_series)
    if isinstance(seen.outcome, Read) and isinstance(seen.outcome.value, Tick):
        stamps = expire(stamps, seen.at, rules.keep_recent_seconds)
    if counts is not state.counts or stamps is not state.stamps or told is not state.told:
        state = replace(state, counts=counts, stamps=stamps, told=told)
    return state, events


def _hear(state: State, seen: Seen) -> tuple[State, tuple[Event, ...], tuple[Clue, ...]]:
    match seen.outcome:
        case Read(LogRead() | Tick() | PstoreRead()):
            return _understand(state, seen)
        case Read(TraceRead(entries=entries)):
            return state, (), loading_clues(entries, seen.at)
        case _:
            return state, (), ()


def _understand(state: State, seen: Seen) -> tuple[State, tuple[Event, ...], tuple[Clue, ...]]:
    # The signatures are a third of all that there is to import, and a command that looks once hears nothing.
    match seen.outcome:
        case Read(LogRead() as read):
            from kmodmon.reports.live_log import process_records

            said = process_records(state.log, state.hearing, read, seen.at)
        case Read(Tick()) if state.hearing is not None:
            from kmodmon.reports.live_log import process_timeout

            said = process_timeout(state.log, state.hearing, seen.at)
        case Read(PstoreRead(dumps=dumps)) if dumps:
            from kmodmon.reports.previous_boot import previous_boot_reports

            return state, previous_boot_reports(state.told, dumps, seen.at), ()
        case _:
            return state, (), ()
    sources = _with_lost(state.sources, seen.source, said.account.lost)
    return replace(state, log=said.account, hearing=said.hearing, sources=sources), said.events, said.clues


def _with_lost(sources: Mapping[str, SourceState], name: str, lost: int) -> Mapping[str, SourceState]:
    # Only the numbers of the records tell what the log's source lost.
    found = sources.get(name)
    if found is None or found.lost == lost:
        return sources
    return MappingProxyType({**sources, name: replace(found, lost=lost)})


def _ledger(
    state: State, events: tuple[Event, ...], clues: tuple[Clue, ...], seen: Seen
) -> tuple[State, tuple[Event, ...]]:
    taint = notice_clues(state.taint, events, clues)
    log_open = state.hearing is not None and state.hearing.in_report
    taint, explained = explain(taint, seen.at, started=state.started, log_open=log_open)
    return (state if taint is state.taint else replace(state, taint=taint)), explained
