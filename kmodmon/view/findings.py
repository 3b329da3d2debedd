"""Findings, policy and baseline, as the API, `kmodmon check --json` and `kmodmon status` show them."""

from collections.abc import Sequence

from kmodmon.events.event import Severity
from kmodmon.state.state import State
from kmodmon.subjects.baseline import Drift
from kmodmon.subjects.findings import Finding
from kmodmon.subjects.rules import FileRefusal
from kmodmon.types.units import JsonObject


def findings_view(state: State) -> JsonObject:
    """All findings, the most severe first, with the policy and the baseline that they come from."""
    return {
        "judged": state.findings.judged,
        "findings": [finding_view(finding) for finding in state.findings.current.values()],
        "dropped": state.findings.dropped,
        "policy": policy_view(state),
        "baseline": baseline_view(state),
        "expected": dict(state.findings.expected),
    }


def enforced_findings(state: State) -> Sequence[Finding]:
    """The findings without those of rules in dry run."""
    return [finding for finding in state.findings.current.values() if not finding.dry_run]


def severities_view(state: State) -> JsonObject:
    """The number of enforced findings by severity, 0 included."""
    counts = dict.fromkeys((severity.value for severity in Severity), 0)
    for finding in enforced_findings(state):
        counts[finding.severity.value] += 1
    return counts


def finding_view(finding: Finding) -> JsonObject:
    """One finding; `since` is CLOCK_REALTIME in microseconds, null before the state has taken the finding over."""
    return {
        "id": finding.id,
        "rule": finding.rule,
        "check": finding.check.value,
        "severity": finding.severity.value,
        "subject": finding.subject,
        "module": finding.module,
        "reason": finding.reason,
        "evidence": list(finding.evidence),
        "advice": finding.advice,
        "dry_run": finding.dry_run,
        "since": None if finding.since is None else finding.since.realtime_usec,
    }


def policy_view(state: State) -> JsonObject:
    """The policy in force; `file` is null while only the shipped rules are."""
    policy, loaded = state.policy.policy, state.policy.loaded
    return {
        "file": None if policy is None else policy.path,
        "rules": 0 if policy is None else len(policy.rules),
        "own_rules": 0 if policy is None else policy.own,
        "loaded": None if loaded is None else loaded.realtime_usec,
        "refused": _refusal(state.policy.refusal),
    }


def baseline_view(state: State) -> JsonObject:
    """The baseline in force and the differences from it; `file` is null without a baseline."""
    baseline = state.baseline
    meta = None if baseline.baseline is None else baseline.baseline.meta
    return {
        "file": None if baseline.baseline is None else baseline.path,
        "author": None if meta is None else meta.author,
        "date": None if meta is None else meta.date,
        "reason": None if meta is None else meta.reason,
        "drift": [drift_view(drift) for drift in baseline.drift],
        "refused": _refusal(baseline.refusal),
    }


def drift_view(drift: Drift) -> JsonObject:
    """One difference from the baseline; `expected` or `actual` is null where there is nothing."""
    return {
        "kind": drift.kind.value,
        "name": drift.name,
        "module": drift.module,
        "expected": drift.expected,
        "actual": drift.actual,
        "sentence": drift.sentence,
    }


def _refusal(refusal: FileRefusal | None) -> JsonObject | None:
    if refusal is None:
        return None
    return {
        "file": refusal.path, "line": refusal.line, "key": refusal.key, "why": refusal.why, "hint": refusal.hint,
    }  # fmt: skip
