"""Which fold takes which observation: the one place where an observation is told from another.

A fold is a pure function `(state, observation, context) -> Folded`: it gives the next state, the events, and says what
changed. Most are in `state/state.py`, beside the parts they replace.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Never, cast

from kmodmon.lifecycle.autoload import attribute
from kmodmon.lifecycle.reconcile import settled
from kmodmon.policy.rules_files import baseline_file_read, baseline_unreadable, policy_file_read, policy_unreadable
from kmodmon.state.change import Change, StatePart
from kmodmon.state.observation import Tick
from kmodmon.state.state import (
    SUBJECT_FOLDS,
    UNREAD_FOLDS,
    Fold,
    FoldContext,
    Folded,
    State,
    UnreadFold,
    lifecycle_context,
    with_lifecycle,
)
from kmodmon.subjects.log import LogRead, PstoreRead
from kmodmon.subjects.posture import CountersRead
from kmodmon.subjects.reported import add_reported
from kmodmon.subjects.rules import RulesFileRead
from kmodmon.subjects.taint import TaintRead
from kmodmon.types.outcome import Absent, Failed, Observation, Outcome, Read
from kmodmon.types.source_name import SourceName

if TYPE_CHECKING:
    from kmodmon.reports.live_log import LogResult


def fold(state: State, outcome: Outcome[Observation], context: FoldContext) -> Folded:
    """Fold one outcome into the state; without a fold the facts stay as they were last known."""
    match outcome:
        case Read(value=observation):
            take = cast(Callable[[State, Observation, FoldContext], Folded], FOLDS[type(observation)])
            return take(state, observation, context)
        case Absent() | Failed():
            unread = UNREAD.get(context.source)
            return Folded(state) if unread is None else unread(state, outcome, context)


# The signatures are a third of all that there is to import, and a command that reads each source once reads no log:
# hence the imports inside the functions.


def _log(state: State, read: LogRead, context: FoldContext) -> Folded:
    from kmodmon.reports.live_log import process_records

    return _with_log(state, process_records(state.log, state.log_memory, read, context.at, state.readings))


def _with_log(state: State, result: "LogResult") -> Folded:
    lifecycle, events = attribute(state.lifecycle, result.events)
    reported = add_reported(state.reported, events)
    sources = state.sources
    kmsg = sources.get(SourceName.KMSG)
    if kmsg is not None and kmsg.lost != result.account.lost:  # only the numbers of the records tell what was lost
        sources = MappingProxyType({**sources, SourceName.KMSG: replace(kmsg, lost=result.account.lost)})
    after = replace(
        state,
        log=result.account,
        log_memory=result.log_memory,
        reported=reported,
        sources=sources,
        lifecycle=lifecycle,
    )
    return Folded(after, events, clues=result.clues)


def _dumps(state: State, read: PstoreRead, context: FoldContext) -> Folded:
    if not read.dumps:
        return Folded(state)
    from kmodmon.reports.previous_boot import previous_boot_reports

    events = previous_boot_reports(state.reported, read.dumps, context.at)
    return Folded(replace(state, reported=add_reported(state.reported, events)), events)


def _rules(state: State, read: RulesFileRead, context: FoldContext) -> Folded:
    if context.source is SourceName.POLICY:
        policy, events = policy_file_read(state.policy, read, context.at)
        changes = (Change(StatePart.POLICY),) if policy is not state.policy else ()
        return Folded(replace(state, policy=policy), events, changes)
    baseline, events = baseline_file_read(state.baseline, read, context.at)
    changes = (Change(StatePart.BASELINE),) if baseline is not state.baseline else ()
    return Folded(replace(state, baseline=baseline), events, changes)


def _tick(state: State, tick: Tick, context: FoldContext) -> Folded:
    folded = with_lifecycle(state, settled(state.inventory, state.lifecycle, lifecycle_context(state, context)))
    return folded if state.log_memory is None else _with_time(folded, context)


def _with_time(folded: Folded, context: FoldContext) -> Folded:
    """Let the log reader close and tell what is due by now, with the counters as they are read by now."""
    from kmodmon.reports.live_log import process_timeout

    state = folded.state
    result = _with_log(state, process_timeout(state.log, state.log_memory, context.at, state.readings))
    return replace(result, events=(*folded.events, *result.events), changes=folded.changes)


def _confirming(fold: Fold) -> Fold:
    """After this fold the log reader is asked what the new reading confirms."""

    def confirm(state: State, read: Never, context: FoldContext) -> Folded:
        folded = fold(state, read, context)
        memory = folded.state.log_memory
        return folded if memory is None or not memory.unsettled else _with_time(folded, context)

    return confirm


def _policy_unread(state: State, unread: Absent | Failed, context: FoldContext) -> Folded:
    if isinstance(unread, Absent):
        return Folded(state)
    policy = policy_unreadable(state.policy, unread.why)
    return Folded(state) if policy is state.policy else Folded(replace(state, policy=policy), (), _POLICY_CHANGED)


def _baseline_unread(state: State, unread: Absent | Failed, context: FoldContext) -> Folded:
    if isinstance(unread, Absent):
        return Folded(state)
    baseline = baseline_unreadable(state.baseline, unread.why)
    if baseline is state.baseline:
        return Folded(state)
    return Folded(replace(state, baseline=baseline), changes=(Change(StatePart.BASELINE),))


_POLICY_CHANGED = (Change(StatePart.POLICY),)

FOLDS: Mapping[type[Observation], Fold] = MappingProxyType(
    {
        **SUBJECT_FOLDS,
        TaintRead: _confirming(SUBJECT_FOLDS[TaintRead]),
        CountersRead: _confirming(SUBJECT_FOLDS[CountersRead]),
        LogRead: _log,
        PstoreRead: _dumps,
        RulesFileRead: _rules,
        Tick: _tick,
    }
)
UNREAD: Mapping[SourceName, UnreadFold] = MappingProxyType(
    {**UNREAD_FOLDS, SourceName.POLICY: _policy_unread, SourceName.BASELINE: _baseline_unread}
)
