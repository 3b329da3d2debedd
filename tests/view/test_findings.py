"""Findings, policy and baseline, as API and `kmodmon check` show them."""

from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.event import Severity
from kmodmon.state.state import State
from kmodmon.subjects.baseline import Baseline, BaselineState, Drift, DriftKind, Meta
from kmodmon.subjects.findings import Finding, Findings
from kmodmon.subjects.rules import Action, Check, FileRefusal, Policy, PolicyState, Rule
from kmodmon.types.units import JsonObject
from kmodmon.view.findings import baseline_view, drift_view, finding_view, findings_view, policy_view, severities_view
from tests.view.recorded import at, in_order, recorded

FINDING = Finding(
    rule="weak-parameter", check=Check.PARAMETER, severity=Severity.ERROR, subject="bridge.stp", module="bridge",
    reason="Everybody may write it.", evidence=("mode 0666", "/sys/module/bridge"), advice="Change its mode.",
    since=at(1_700_000_000_000_123),
)  # fmt: skip
REFUSAL = FileRefusal(path="/etc/kmodmon/policy.toml", why="no such check", key="rule.check", line=7, hint="taint")
REFUSAL_JSON: JsonObject = {
    "file": "/etc/kmodmon/policy.toml", "line": 7, "key": "rule.check", "why": "no such check", "hint": "taint",
}  # fmt: skip


def with_findings(*findings: Finding) -> State:
    current = MappingProxyType({finding.id: finding for finding in findings})
    expected = MappingProxyType({"zfs": False, "ext4": True})
    return replace(recorded(), findings=Findings(current=current, dropped=2, expected=expected, judged=True))


def test_finding_when_shown_then_each_key_has_its_own_value() -> None:
    assert in_order(finding_view(FINDING)) == in_order({
        "id": "weak-parameter/writable-parameter/bridge.stp", "rule": "weak-parameter", "check": "writable-parameter",
        "severity": "error", "subject": "bridge.stp", "module": "bridge", "reason": "Everybody may write it.",
        "evidence": ["mode 0666", "/sys/module/bridge"], "advice": "Change its mode.", "dry_run": False,
        "since": 1_700_000_000_000_123,
    })  # fmt: skip


def test_finding_when_it_concerns_no_module_then_that_and_the_time_are_null() -> None:
    finding = Finding(rule="r", check=Check.TAINT, severity=Severity.INFO, subject="die", dry_run=True)
    shown = finding_view(finding)
    assert (shown["module"], shown["since"], shown["dry_run"], shown["evidence"]) == (None, None, True, [])


def test_findings_when_a_tree_is_read_then_they_are_shown_with_what_they_were_judged_by() -> None:
    state = recorded()
    shown = findings_view(state)
    assert list(shown) == ["judged", "findings", "dropped", "policy", "baseline", "expected"]
    assert (shown["judged"], shown["dropped"], shown["expected"]) == (True, 0, {})
    assert in_order(shown["policy"]) == in_order(policy_view(state))
    assert in_order(shown["baseline"]) == in_order(baseline_view(state))
    findings = shown["findings"]
    assert isinstance(findings, list)
    assert [finding["subject"] for finding in findings] == [
        "flags_mod", "hello_unsigned", "params_mod", "permanent_mod", "prop_mod", "stack_a", "stack_b",
    ]  # fmt: skip


def test_findings_when_rules_run_dry_then_they_are_shown_and_not_counted() -> None:
    dry = replace(FINDING, rule="trial", dry_run=True)
    state = with_findings(FINDING, dry, replace(FINDING, rule="other", severity=Severity.NOTICE))
    shown = findings_view(state)
    assert in_order(shown["findings"]) == [
        in_order(finding_view(finding)) for finding in state.findings.current.values()
    ]
    assert (shown["dropped"], in_order(shown["expected"])) == (2, [("zfs", False), ("ext4", True)])
    assert in_order(severities_view(state)) == in_order(
        {"critical": 0, "error": 1, "warning": 0, "notice": 1, "info": 0}
    )


def test_findings_when_nothing_was_judged_then_says_so() -> None:
    assert findings_view(replace(recorded(), findings=Findings()))["judged"] is False


def test_policy_when_the_shipped_one_is_in_force_then_the_file_is_null() -> None:
    assert in_order(policy_view(recorded())) == in_order({
        "file": None, "rules": 24, "own_rules": 0, "loaded": 1_700_000_000_000_000, "refused": None,
    })  # fmt: skip


def test_policy_when_a_changed_file_was_refused_then_the_old_one_is_in_force_and_says_why() -> None:
    rules = tuple(Rule(name=f"r{number}", action=Action.DENY) for number in range(3))
    policy = Policy(rules=rules, path="/etc/kmodmon/policy.toml", own=2)
    state = replace(recorded(), policy=PolicyState(policy=policy, loaded=at(55), refusal=REFUSAL))
    assert in_order(policy_view(state)) == in_order({
        "file": "/etc/kmodmon/policy.toml", "rules": 3, "own_rules": 2, "loaded": 55, "refused": REFUSAL_JSON,
    })  # fmt: skip


def test_policy_when_nothing_was_read_then_there_are_no_rules() -> None:
    assert in_order(policy_view(replace(recorded(), policy=PolicyState()))) == in_order({
        "file": None, "rules": 0, "own_rules": 0, "loaded": None, "refused": None,
    })  # fmt: skip


def test_baseline_when_there_is_none_then_everything_is_null_though_its_path_is_known() -> None:
    assert recorded().baseline.path
    assert in_order(baseline_view(recorded())) == in_order({
        "file": None, "author": None, "date": None, "reason": None, "drift": [], "refused": None,
    })  # fmt: skip


def test_baseline_when_it_is_in_force_then_each_key_has_its_own_value() -> None:
    meta = Meta(reason="new kernel", author="ann", date="2026-11-23", host="web1", kmodmon="1.0")
    drift = Drift(kind=DriftKind.CHANGED, name="bridge", module="bridge.ko", expected="AAA", actual="BBB")
    missing = Drift(kind=DriftKind.MISSING, name="stp")
    baseline = BaselineState(
        baseline=Baseline(meta=meta), path="/etc/kmodmon/baseline.toml", refusal=REFUSAL, drift=(drift, missing)
    )
    assert in_order(baseline_view(replace(recorded(), baseline=baseline))) == in_order({
        "file": "/etc/kmodmon/baseline.toml", "author": "ann", "date": "2026-11-23", "reason": "new kernel",
        "drift": [
            {
                "kind": "changed_module", "name": "bridge", "module": "bridge.ko", "expected": "AAA", "actual": "BBB",
                "sentence": "module bridge is another one: AAA became BBB",
            },
            drift_view(missing),
        ],
        "refused": REFUSAL_JSON,
    })  # fmt: skip
    assert (drift_view(missing)["module"], drift_view(missing)["expected"], drift_view(missing)["actual"]) == (
        None, None, None,
    )  # fmt: skip
