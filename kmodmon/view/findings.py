"""Findings, policy and baseline as API, `kmodmon check --json` and `kmodmon status` give them."""

from collections.abc import Sequence

from kmodmon.events.event import Severity
from kmodmon.state.state import State
from kmodmon.subjects.baseline import Drift
from kmodmon.subjects.findings import Finding
from kmodmon.subjects.rules import FileRefusal
from kmodmon.types.units import JsonObject


def findings_view(state: State) -> JsonObject:
    """Everything that is wrong, the worst first, and by what it was judged."""
    return {
        "judged": state.findings.judged,
        "findings": [finding_view(one) for one in state.findings.current.values()],
        "dropped": state.findings.dropped,
        "policy": policy_view(state),
        "baseline": baseline_view(state),
        "expected": dict(state.findings.expected),
    }


def standing(state: State) -> Sequence[Finding]:
    """The findings that count: those of rules in dry run do not."""
    return [one for one in state.findings.current.values() if not one.dry_run]


def severities_view(state: State) -> JsonObject:
    """How many findings there are of each severity."""
    counts = dict.fromkeys((severity.value for severity in Severity), 0)
    for one in standing(state):
        counts[one.severity.value] += 1
    return counts


def finding_view(finding: Finding) -> JsonObject:
    """One finding."""
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
    """The policy in force; `file` is null for the shipped one alone."""
    policy, loaded = state.policy.policy, state.policy.loaded
    return {
        "file": None if policy is None else policy.path,
        "rules": 0 if policy is None else len(policy.rules),
        "own_rules": 0 if policy is None else policy.own,
        "loaded": None if loaded is None else loaded.realtime_usec,
        "refused": _refusal(state.policy.refusal),
    }


def baseline_view(state: State) -> JsonObject:
    """The baseline in force and what differs from it; `file` is null without one."""
    known = state.baseline
    meta = None if known.baseline is None else known.baseline.meta
    return {
        "file": None if known.baseline is None else known.path,
        "author": None if meta is None else meta.author,
        "date": None if meta is None else meta.date,
        "reason": None if meta is None else meta.reason,
        "drift": [drift_view(one) for one in known.drift],
        "refused": _refusal(known.refusal),
    }


def drift_view(drift: Drift) -> JsonObject:
    """One difference."""
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
