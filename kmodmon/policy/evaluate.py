"""Applies policy and baseline to the state after each fold, and reports new findings and differences.

Nothing is judged before the policy file was read, because its rules may allow what the shipped rules deny. An expected
module counts as missing only when it has been absent for AWAY_USEC, and not during the first BOOT_SECONDS of a boot.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.event import Event
from kmodmon.events.kinds.module import ModuleUnloaded
from kmodmon.lifecycle.module_events import trust_of_taint
from kmodmon.policy.cache import PolicyCache
from kmodmon.policy.drift import differences_from, required
from kmodmon.policy.judge import judge, unloaded_finding
from kmodmon.policy.subject import Subject, expected_modules, missing_subjects, subjects, unsettled_flags
from kmodmon.state.change import Change, StatePart
from kmodmon.state.state import State
from kmodmon.state.trust import kernel_verifies
from kmodmon.subjects.baseline import BaselineState, Drift, baseline_events
from kmodmon.subjects.findings import findings_changed, violated_event
from kmodmon.subjects.rules import Check, FileRefusal
from kmodmon.types.units import Instant

AWAY_USEC = 10_000_000  # longer than a module is absent while it is unloaded and loaded again
BOOT_SECONDS = 120.0  # after the boot in which modules are still loaded one after the other
SETTLED_USEC = 300_000_000  # after the start, when a finding of the earlier run that is not present is over

Evaluation = tuple[State, tuple[Event, ...]]
_JUDGED_PARTS = frozenset(StatePart) - {StatePart.COUNTERS}  # parts that a judgement depends on


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """What a judgement depends on beside the state."""

    expected: tuple[str, ...] = ()  # setting expected.modules
    at_once: bool = False  # True in a command that reads each source once: an absent module is missing at once
    # owned by the engine or the command; it saves time and changes no verdict
    cache: PolicyCache = field(default_factory=PolicyCache, compare=False, repr=False)


def evaluate(
    state: State,
    events: Iterable[Event],
    changes: Iterable[Change],
    at: Instant,
    settings: PolicySettings,
    *,
    ticked: bool,
) -> Evaluation:
    """Judge the state after a reading, if a part that a judgement depends on changed. `ticked`: time has passed."""
    unloaded = _unloaded_findings(state, events, settings.cache)
    if state.policy.policy is None or not (_is_due(state, changes, ticked) or _others_expected(state, settings)):
        return state, unloaded
    state, judged = _judged(state, at, settings)
    return state, unloaded + judged


def _is_due(state: State, changes: Iterable[Change], ticked: bool) -> bool:
    """Whether a part changed that a judgement depends on, or a judgement waits for time to pass."""
    if not state.findings.judged or (ticked and state.findings.waits):
        return True
    return any(change.part in _JUDGED_PARTS for change in changes)


def _others_expected(state: State, settings: PolicySettings) -> bool:
    """Whether expected.modules changed since the last judgement."""
    return expected_modules(state, settings.expected).keys() != state.findings.expected.keys()


def _judged(state: State, at: Instant, settings: PolicySettings) -> Evaluation:
    expected = expected_modules(state, settings.expected)
    absent = {name for name, present in expected.items() if not present} | _not_loaded(state)
    absent_since = {name: state.findings.absent_since.get(name, at) for name in sorted(absent)}
    missing = frozenset(name for name, since in absent_since.items() if _is_missing(state, since, at, settings))
    state, drifted = _drifted(state, missing, at)
    present = tuple(subjects(state, at, settings.cache.subjects))
    unmet = missing_subjects(name for name, is_present in expected.items() if not is_present and name in missing)
    assert state.policy.policy is not None
    everything = (*present, *unmet, *_of_drift(state.baseline), *_of_files(state))
    judged, decided = judge(state.policy.policy, everything, settings.cache)
    unsettled = any(subject.pending for subject in present) or bool(unsettled_flags(state, at))
    findings = replace(
        state.findings,
        expected=expected if dict(expected) != dict(state.findings.expected) else state.findings.expected,
        absent_since=MappingProxyType(absent_since),
        decided=frozenset(state.findings.decided & state.inventory.loaded.keys()) | decided,
        waits=unsettled or missing != absent_since.keys() or bool(state.findings.reported),
    )
    findings, violated = findings_changed(findings, judged, at, settled=_is_settled(state, at))
    same = findings == state.findings
    return (state if same else replace(state, findings=findings)), drifted + violated


def _not_loaded(state: State) -> set[str]:
    baseline = state.baseline.baseline
    if baseline is None or state.inventory.support is None:
        return set()
    return set(required(baseline) - state.inventory.modules.keys() - state.inventory.builtin)


def _is_missing(state: State, since: Instant, at: Instant, settings: PolicySettings) -> bool:
    if settings.at_once:
        return True
    boot = None if state.kernel is None else state.kernel.boot_time
    if boot is not None and at.seconds - boot < BOOT_SECONDS:
        return False
    return at.monotonic_usec - since.monotonic_usec >= AWAY_USEC


def _drifted(state: State, absent: frozenset[str], at: Instant) -> Evaluation:
    before = state.baseline
    differences: tuple[Drift, ...] = () if before.baseline is None else differences_from(before.baseline, state, absent)
    if differences == before.drift and before.judged is (before.baseline is not None):
        return state, ()
    events = baseline_events(before, differences, at)
    present = {difference.id for difference in differences}
    after = replace(
        before,
        drift=differences,
        judged=before.baseline is not None,
        reported=frozenset() if _is_settled(state, at) else before.reported - present,
    )
    return replace(state, baseline=after), events


def _is_settled(state: State, at: Instant) -> bool:
    """Whether what the earlier run reported and is not present now is over."""
    return at.monotonic_usec - state.started.monotonic_usec > SETTLED_USEC


def _of_drift(baseline: BaselineState) -> Iterator[Subject]:
    for drift in baseline.drift:
        yield Subject(
            check=Check.DRIFT, name=drift.id, module=drift.module, kind=drift.kind.value, evidence=(drift.sentence,)
        )


def _of_files(state: State) -> Iterator[Subject]:
    refusals: Mapping[str, FileRefusal | None] = {"policy": state.policy.refusal, "baseline": state.baseline.refusal}
    for what, refusal in refusals.items():
        if refusal is not None:
            yield Subject(check=Check.REFUSED, name=what, kind=what, evidence=(refusal.why,))


def _unloaded_findings(state: State, events: Iterable[Event], cache: PolicyCache) -> tuple[Event, ...]:
    """Give events for modules that were unloaded before they were judged, by the facts of the unload event."""
    policy = state.policy.policy
    if policy is None:
        return ()
    violations: list[Event] = []
    for event in events:
        name, details = event.module, event.details
        if name is None or not isinstance(details, ModuleUnloaded):
            continue
        if name in state.findings.decided or details.while_down:
            continue
        verdict = trust_of_taint(details.taints).value if kernel_verifies(state) is not False else "unknown"
        finding = unloaded_finding(policy, name, details.taints, verdict, cache)
        if finding is not None:
            violations.append(violated_event(finding, event.at))
    return tuple(violations)
