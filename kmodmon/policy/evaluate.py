"""What the pipeline calls after each look: take the files of rules, judge what changed, tell what is new.

Nothing is judged before the policy file was looked at: its rules may allow what the shipped ones deny. A module that is
not there is missing only when it stays away; while the system boots, everything is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.daemon import RulesRefused
from kmodmon.events.kinds.module import ModuleUnloaded
from kmodmon.lifecycle.inventory import Module, other_modules
from kmodmon.lifecycle.module_events import trust_of_taint
from kmodmon.policy.baseline_document import parse_baseline
from kmodmon.policy.document import parse_policy
from kmodmon.policy.drift import drift, required
from kmodmon.policy.judge import gone_finding, judge
from kmodmon.policy.shipped import POLICY
from kmodmon.policy.subject import Subject, expected_modules, missing, subjects, unsettled_flags
from kmodmon.state.observation import Seen, Tick
from kmodmon.state.state import State
from kmodmon.state.trust import kernel_verifies
from kmodmon.subjects.baseline import BaselineState, Drift, baseline_events
from kmodmon.subjects.findings import Finding, findings_changed, violated_event
from kmodmon.subjects.rules import Check, FileRefusal, PolicyState, RulesFileRead
from kmodmon.types.error import ConfigError
from kmodmon.types.outcome import Failed, Read
from kmodmon.types.units import Instant

AWAY_USEC = 10_000_000  # a module that is loaded anew is away for a moment
BOOT_SECONDS = 120.0  # while a system boots its modules come one by one
SETTLED_USEC = 300_000_000  # what the run before told and we have not seen by then is gone

Evaluation = tuple[State, tuple[Event, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """What the settings say of judgement. `at_once`: a command looks once and cannot wait for anything."""

    expected: tuple[str, ...] = ()
    at_once: bool = False


def evaluate(before: State, state: State, seen: Seen, events: Iterable[Event], wanted: PolicySettings) -> Evaluation:
    """Judge the state that a look led to."""
    state, refused = _files(state, seen)
    gone = _gone(before, state, events)
    if state.policy.policy is None or not (_is_due(before, state, seen) or _others_expected(state, wanted)):
        return state, refused + gone
    state, judged = _judged(state, seen.at, wanted)
    return state, refused + gone + judged


def _files(state: State, seen: Seen) -> Evaluation:
    match seen.outcome:
        case Read(RulesFileRead(what="policy") as read):
            return _policy(state, read, seen.at)
        case Read(RulesFileRead(what="baseline") as read):
            return _baseline(state, read, seen.at)
        case Failed(why) if seen.source in ("policy", "baseline"):
            return _unreadable(state, seen.source, why, seen.at)
        case _:
            return state, ()


def _policy(state: State, read: RulesFileRead, at: Instant) -> Evaluation:
    known = state.policy
    try:
        policy = POLICY if read.raw is None else parse_policy(read.raw, read.path)
    except ConfigError as error:
        refusal = _refusal(error)
        after = PolicyState(policy=known.policy or POLICY, loaded=known.loaded or at, refusal=refusal)
        news = _refused("policy", refusal, at) if refusal != known.refusal else ()
        return replace(state, policy=after), news
    if policy == known.policy and known.refusal is None:
        return state, ()
    return replace(state, policy=PolicyState(policy=policy, loaded=at)), ()


def _baseline(state: State, read: RulesFileRead, at: Instant) -> Evaluation:
    known = state.baseline
    try:
        baseline = None if read.raw is None else parse_baseline(read.raw, read.path).for_host(read.host)
    except ConfigError as error:
        refusal = _refusal(error)
        news = _refused("baseline", refusal, at) if refusal != known.refusal else ()
        return replace(state, baseline=replace(known, path=read.path, refusal=refusal)), news
    if (baseline, read.path) == (known.baseline, known.path) and known.refusal is None:
        return state, ()
    after = replace(known, baseline=baseline, path=read.path, loaded=at, refusal=None)
    return replace(state, baseline=after), ()


def _unreadable(state: State, what: str, why: str, at: Instant) -> Evaluation:
    """A file that is there and cannot be read: what was in force stays, and at the start that is the shipped policy."""
    if what == "policy":
        known = state.policy
        after = replace(known, policy=known.policy or POLICY, refusal=FileRefusal(path="", why=why))
        return (state if after == known else replace(state, policy=after)), ()
    refused = replace(state.baseline, refusal=FileRefusal(path=state.baseline.path, why=why))
    return (state if refused == state.baseline else replace(state, baseline=refused)), ()


def _refusal(error: ConfigError) -> FileRefusal:
    return FileRefusal(path=error.file, why=str(error), key=error.key, line=error.line, hint=error.hint)


def _refused(what: str, refusal: FileRefusal, at: Instant) -> tuple[Event, ...]:
    details = RulesRefused(what=what, file=refusal.path, key=refusal.key, line=refusal.line, hint=refusal.hint)
    return (Event(details=details, at=at, severity=Severity.ERROR, evidence=(refusal.why,)),)


def _is_due(before: State, state: State, seen: Seen) -> bool:
    """Whether something changed that judgement depends on, or enough time may have passed."""
    ticked = isinstance(seen.outcome, Read) and isinstance(seen.outcome.value, Tick)
    if not state.findings.judged or (ticked and state.findings.waits):
        return True
    if not _alike(state.inventory.modules, before.inventory.modules):
        return True
    return any(now is not was for now, was in zip(_grounds(state), _grounds(before), strict=True))


def _others_expected(state: State, wanted: PolicySettings) -> bool:
    """Whether the settings name other modules than those that were judged."""
    return expected_modules(state, wanted.expected).keys() != state.findings.expected.keys()


def _alike(now: Mapping[str, Module], was: Mapping[str, Module]) -> bool:
    """Whether both say the same to a judge: how often a module is used, and by whom, moves all the time."""
    if now is was:
        return True
    if now.keys() != was.keys():
        return False
    pairs = ((now[name], was[name]) for name in other_modules(now, was))
    return all((a.taint, a.state, a.attributes) == (b.taint, b.state, b.attributes) for a, b in pairs)


def _grounds(state: State) -> tuple[object, ...]:
    return (
        state.inventory.loaded, state.inventory.builtin, state.inventory.support,
        state.files, state.modprobe, state.parameters, state.posture.facts, state.posture.switches, state.kernel,
        state.taint.value, state.taint.ledger, state.taint.pending, state.hidden.findings,
        state.policy, state.baseline.baseline, state.baseline.refusal,
    )  # fmt: skip


def _judged(state: State, at: Instant, wanted: PolicySettings) -> Evaluation:
    expected = expected_modules(state, wanted.expected)
    away = {name for name, there in expected.items() if not there} | _unloaded(state)
    absent_since = {name: state.findings.absent_since.get(name, at) for name in sorted(away)}
    gone = frozenset(name for name, since in absent_since.items() if _is_missing(state, since, at, wanted))
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


def _is_missing(state: State, since: Instant, at: Instant, wanted: PolicySettings) -> bool:
    if wanted.at_once:
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


def _gone(before: State, state: State, events: Iterable[Event]) -> tuple[Event, ...]:
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
        if name in before.findings.decided or details.while_down:
            continue
        letters = details.taints
        verdict = trust_of_taint(letters).value if kernel_verifies(state) is not False else "unknown"
        finding = gone_finding(policy, name, letters, verdict)
        if finding is not None:
            found.append(finding)
            at.append(event.at)
    return tuple(violated_event(one, when) for one, when in zip(found, at, strict=True))
