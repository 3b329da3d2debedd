"""Metrics of findings, of differences from the baseline, and of whether policy and baseline files are in force."""

from collections.abc import Iterable, Iterator
from itertools import islice

from kmodmon.events.kinds.policy import BaselineDrifted, PolicyViolated
from kmodmon.metrics.metric import LatestOf, Metric, Sample, single
from kmodmon.state.state import State
from kmodmon.subjects.baseline import DriftKind
from kmodmon.subjects.findings import Finding

_MOST_SERIES = 1000
_FILE = "policy.file"


def _current(state: State, *, dry_run: bool = False) -> Iterator[Finding]:
    return (finding for finding in state.findings.current.values() if finding.dry_run is dry_run)


def _counts(state: State) -> Iterable[Sample]:
    if state.policy.policy is None or not state.findings.judged:
        return ()
    counts = {(rule.name, rule.severity.value): 0 for rule in state.policy.policy.denying if not rule.dry_run}
    for finding in _current(state):
        key = (finding.rule, finding.severity.value)
        counts[key] = counts.get(key, 0) + 1
    return [(key, float(count)) for key, count in counts.items()]


def _dry_runs(state: State) -> Iterable[Sample]:
    if state.policy.policy is None or not state.findings.judged:
        return ()
    counts = {rule.name: 0 for rule in state.policy.policy.denying if rule.dry_run}
    for finding in _current(state, dry_run=True):
        counts[finding.rule] = counts.get(finding.rule, 0) + 1
    return [((rule,), float(count)) for rule, count in counts.items()]


def _findings(state: State) -> Iterator[Sample]:
    keys = dict.fromkeys((finding.rule, finding.module or "", finding.severity.value) for finding in _current(state))
    return ((key, 1.0) for key in islice(keys, _MOST_SERIES))


def _dropped(state: State) -> Iterable[Sample]:
    keys = {(finding.rule, finding.module or "", finding.severity.value) for finding in _current(state)}
    return single(max(0, len(keys) - _MOST_SERIES) + state.findings.dropped)


def _drift(state: State) -> Iterable[Sample]:
    if not state.baseline.judged:
        return ()
    counts = dict.fromkeys(DriftKind, 0)
    for difference in state.baseline.drift:
        counts[difference.kind] += 1
    return [((kind.value,), float(count)) for kind, count in counts.items()]


def _rules(state: State) -> Iterable[Sample]:
    policy = state.policy.policy
    if policy is None:
        return ()
    return [(("file",), float(policy.own)), (("shipped",), float(len(policy.rules) - policy.own))]


METRICS: tuple[Metric, ...] = (
    Metric(
        name="kmodmon_policy_findings",
        help="Findings of the policy by rule; a rule in dry run is not among them.",
        labels=("rule", "severity"),
        interface="all sources",
        absent="the host was not judged yet",
        bound="rules that deny",
        of=("findings", "policy"),
        samples=_counts,
    ),
    Metric(
        name="kmodmon_policy_finding",
        help="1 for each module and rule with a finding; module is empty where a finding is about none.",
        labels=("rule", "module", "severity"),
        interface="all sources",
        absent="no finding",
        bound=f"{_MOST_SERIES}, the rest is counted",
        of=("findings",),
        samples=_findings,
    ),
    Metric(
        name="kmodmon_policy_findings_dropped",
        help="Findings that are not kept or not exposed one by one because there are too many.",
        interface="none",
        of=("findings",),
        samples=_dropped,
    ),
    Metric(
        name="kmodmon_policy_dry_run_findings",
        help="What rules in dry run would find.",
        labels=("rule",),
        interface="all sources",
        absent="no rule is in dry run",
        bound="rules in dry run",
        of=("findings", "policy"),
        samples=_dry_runs,
    ),
    Metric(
        name="kmodmon_policy_violation_timestamp_seconds",
        help="When a rule of the policy was last violated anew, kept for retention.recent.",
        labels=("rule", "module", "severity"),
        interface="all sources",
        absent="no violation within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(PolicyViolated,)),
    ),
    Metric(
        name="kmodmon_policy_rules",
        help="Rules in force, by whether they are the file's or the shipped ones.",
        labels=("from",),
        interface=_FILE,
        absent="not read yet",
        bound="2",
        of=("policy",),
        samples=_rules,
    ),
    Metric(
        name="kmodmon_policy_last_reload_successful",
        help="0 if the policy file was refused and what was in force before still is, else 1.",
        interface=_FILE,
        absent="not read yet",
        of=("policy",),
        samples=lambda state: single(None if state.policy.policy is None else state.policy.refusal is None),
    ),
    Metric(
        name="kmodmon_policy_last_reload_success_timestamp_seconds",
        help="When the policy in force was taken.",
        interface=_FILE,
        absent="not read yet",
        of=("policy",),
        samples=lambda state: single(None if state.policy.loaded is None else state.policy.loaded.seconds),
    ),
    Metric(
        name="kmodmon_module_expected",
        help="1 for each module of expected.modules that is loaded or built in, 0 for each that is missing.",
        labels=("module",),
        interface="/proc/modules, modules.builtin",
        absent="no module is expected, or the list was not read",
        bound="expected.modules",
        of=("findings",),
        samples=lambda state: [((name,), float(is_present)) for name, is_present in state.findings.expected.items()],
    ),
    Metric(
        name="kmodmon_baseline_drift",
        help="Differences between this host and its baseline, by kind.",
        labels=("kind",),
        interface="baseline.file",
        absent="there is no baseline",
        bound=f"{len(DriftKind)} kinds",
        of=("baseline",),
        samples=_drift,
    ),
    Metric(
        name="kmodmon_baseline_drift_timestamp_seconds",
        help="When the host last began to differ from its baseline in a new way, kept for retention.recent.",
        labels=("kind", "module"),
        interface="baseline.file",
        absent="no new difference within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(BaselineDrifted,), fields={"kind": "drift"}),
    ),
    Metric(
        name="kmodmon_baseline_last_reload_successful",
        help="0 if the baseline file was refused and what was in force before still is, else 1.",
        interface="baseline.file",
        absent="there is no baseline",
        of=("baseline",),
        samples=lambda state: single(
            None
            if state.baseline.baseline is None and state.baseline.refusal is None
            else state.baseline.refusal is None
        ),
    ),
)
