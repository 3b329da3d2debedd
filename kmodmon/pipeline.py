"""The product on one screen: what is different, what explains it, what is counted. Pure, so any day can be replayed."""

from dataclasses import dataclass, replace
from types import MappingProxyType

from kmodmon.model.event import Event
from kmodmon.model.observation import LogRead, Seen, Tick
from kmodmon.model.outcome import Read
from kmodmon.model.recent import expire, stamp
from kmodmon.model.reduce import reduce
from kmodmon.model.state import State
from kmodmon.model.taint import Clue, explain, notice_clues
from kmodmon.model.tally import tally
from kmodmon.signatures.hear import hear, heard_nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What judgement depends on beside the facts; from the settings."""

    keep_recent_seconds: float = 86400.0
    recent_series: int = 1000


def step(state: State, seen: Seen, rules: Rules) -> tuple[State, tuple[Event, ...]]:
    """The next state and what happened, from one look at one source."""
    state, changed = reduce(state, seen)
    state, spoken, clues = _hear(state, seen)
    state, explained = _ledger(state, changed + spoken, clues, seen)
    events = changed + spoken + explained
    counts = tally(state.counts, events)
    stamps = stamp(state.stamps, events, rules.recent_series)
    if isinstance(seen.outcome, Read) and isinstance(seen.outcome.value, Tick):
        stamps = expire(stamps, seen.at, rules.keep_recent_seconds)
    return replace(state, counts=counts, stamps=stamps), events


def _hear(state: State, seen: Seen) -> tuple[State, tuple[Event, ...], tuple[Clue, ...]]:
    match seen.outcome:
        case Read(LogRead() as read):
            said = hear(state.log, state.hearing, read, seen.at)
        case Read(Tick()) if state.hearing is not None:
            said = heard_nothing(state.log, state.hearing, seen.at)
        case _:
            return state, (), ()
    state = _lost(replace(state, log=said.account, hearing=said.hearing), seen.source, said.account.lost)
    return state, said.events, said.clues


def _lost(state: State, source: str, lost: int) -> State:
    # Only the numbers of the records tell what the log's source lost.
    found = state.sources.get(source)
    if found is None or found.lost == lost:
        return state
    return replace(state, sources=MappingProxyType({**state.sources, source: replace(found, lost=lost)}))


def _ledger(
    state: State, events: tuple[Event, ...], clues: tuple[Clue, ...], seen: Seen
) -> tuple[State, tuple[Event, ...]]:
    taint = notice_clues(state.taint, events, clues)
    log_open = state.hearing is not None and state.hearing.in_report
    taint, explained = explain(taint, seen.at, log_open=log_open)
    return (state if taint is state.taint else replace(state, taint=taint)), explained
