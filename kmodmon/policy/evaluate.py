"""What the pipeline calls after each fold: judge what changed, and report what is new.

Nothing is judged before the policy file was looked at: its rules may allow what the shipped ones deny. A module that is
not there is missing only when it stays away; while the system boots, everything is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from kmodmon.events.event import Event
from kmodmon.events.kinds.module import ModuleUnloaded
from kmodmon.lifecycle.module_events import trust_of_taint
from kmodmon.policy.drift import drift, required
from kmodmon.policy.judge import gone_finding, judge
from kmodmon.policy.subject import Subject, expected_modules, missing, subjects, unsettled_flags
from kmodmon.state.change import Change, StatePart
from kmodmon.state.state import State
from kmodmon.state.trust import kernel_verifies
from kmodmon.subjects.baseline import BaselineState, Drift, baseline_events
from kmodmon.subjects.findings import Finding, findings_changed, violated_event
from kmodmon.subjects.rules import Check, FileRefusal
from kmodmon.types.units import Instant

AWAY_USEC = 10_000_000  # a module that is loaded anew is away for a moment
BOOT_SECONDS = 120.0  # while a system boots its modules come one by one
SETTLED_USEC = 300_000_000  # what the run before told and we have not seen by then is gone

Evaluation = tuple[State, tuple[Event, ...]]
_GROUNDS = frozenset(StatePart) - {StatePart.COUNTERS}  # what judgement depends on


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """What the settings say of judgement. `at_once`: a command looks once and cannot wait for anything."""

    expected: tuple[str, ...] = ()
    at_once: bool = False


def evaluate(
    state: State,
    events: Iterable[Event],
    changes: Iterable[Change],
    at: Instant,
    settings: PolicySettings,
    *,
    ticked: bool,
) -> Evaluation:
    """Judge the state that a reading led to, as far as what changed bears on it."""
    gone = _gone(state, events)
    if state.policy.policy is None or not (_is_due(state, changes, ticked) or _others_expected(state, settings)):
        return state, gone
    state, judged = _judged(state, at, settings)
    return state, gone + judged


def _is_due(state: State, changes: Iterable[Change], ticked: bool) -> bool:
    """Whether something changed that judgement depends on, or enough time may have passed."""
    if not state.findings.judged or (ticked and state.findings.waits):
        return True
    return any(change.part in _GROUNDS for change in changes)


def _others_expected(state: State, settings: PolicySettings) -> bool:
    """Whether the settings name other modules than those that were judged."""
    return expected_modules(state, settings.expected).keys() != state.findings.expected.keys()


def _judged(state: State, at: Instant, settings: PolicySettings) -> Evaluation:
    expected = expected_modules(state, settings.expected)
    away = {name for name, there in expected.items() if not there} | _unloaded(state)
    absent_since = {name: state.findings.absent_since.get(name, at) for name in sorted(away)}
    gone = frozenset(name for name, since in absent_since.items() if _is_missing(state, since, at, settings))
    state, drifted = _drifted(state, gone, at)
    found = tuple(subjects(state, at))
    missed = missing(name for name, there in expected.items() if not there and name in gone)
    assert state.policy.policy is not None
    judged, decided = judge(state.policy.policy, (*found, *missed, *_of_drift(state.baseline), *_of_files(state)))
    unsettled = any(one.pending for one in found) or bool(unsettled_flags(state, at))
    waits = unsettled or gone != absent_since.keys() or bool(state.findings.told)
    findings = replace(
        state.findings,
        expected=expected if dict(expected) != dict(state.findings.expected) else state.findings.expected,
        absent_since=MappingProxyType(absent_since),
        decided=frozenset(state.findings.decided & state.inventory.loaded.keys()) | decided,
        waits=waits,
    )
    settled = at.monotonic_usec - state.started.monotonic_usec > SETTLED_USEC
    findings, told = findings_changed(findings, judged, at, settled=settled)
    same = findings == state.findings
    return (state if same else replace(state, findings=findings)), drifted + told


def _unloaded(state: State) -> set[str]:
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
    known = state.baseline
    found: tuple[Drift, ...] = () if known.baseline is None else drift(known.baseline, state, absent)
    if found == known.drift and known.judged is (known.baseline is not None):
        return state, ()
    events = baseline_events(known, found, at)
    fresh = {one.id for one in found}
    settled = at.monotonic_usec - state.started.monotonic_usec > SETTLED_USEC
    after = replace(
        known,
        drift=found,
        judged=known.baseline is not None,
        told=frozenset() if settled else known.told - fresh,
    )
    return replace(state, baseline=after), events


def _of_drift(baseline: BaselineState) -> Iterator[Subject]:
    for one in baseline.drift:
        yield Subject(check=Check.DRIFT, name=one.id, module=one.module, kind=one.kind.value, evidence=(one.sentence,))


def _of_files(state: State) -> Iterator[Subject]:
    refusals: Mapping[str, FileRefusal | None] = {"policy": state.policy.refusal, "baseline": state.baseline.refusal}
    for what, refusal in refusals.items():
        if refusal is not None:
            yield Subject(check=Check.REFUSED, name=what, kind=what, evidence=(refusal.why,))


def _gone(state: State, events: Iterable[Event]) -> tuple[Event, ...]:
    """Modules that came and went before they could be judged: what is known of them is judged now."""
    policy = state.policy.policy
    if policy is None:
        return ()
    found: list[Finding] = []
    at: list[Instant] = []
    for event in events:
        name, details = event.module, event.details
        if name is None or not isinstance(details, ModuleUnloaded):
            continue
        if name in state.findings.decided or details.while_down:
            continue
        letters = details.taints
        verdict = trust_of_taint(letters).value if kernel_verifies(state) is not False else "unknown"
        finding = gone_finding(policy, name, letters, verdict)
        if finding is not None:
            found.append(finding)
            at.append(event.at)
    return tuple(violated_event(one, when) for one, when in zip(found, at, strict=True))
