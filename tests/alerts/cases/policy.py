from dataclasses import replace

from tests.alerts.case import Case, Input, happened, moment, series, steps


def current(rule: str, severity: str, module: str = "hello") -> Input:
    """From the tenth minute to the fortieth."""
    gauge = series("kmodmon_policy_finding", rule=rule, module=module, severity=severity)
    return {gauge: steps((None, 10), (1, 30), (None, 30))}


def past(rule: str, severity: str) -> Input:
    gauge = series("kmodmon_policy_violation_timestamp_seconds", rule=rule, module="hello", severity=severity)
    return {gauge: happened(10)}


def violated(alert: str, severity: str, other: str) -> tuple[Case, Case]:
    """A finding that lasts, and one that was over before the next scrape."""
    description = "Rule my-rule of the policy is violated on db1:10069 by module hello."
    current_case = Case(
        alert=alert,
        fires=current("my-rule", severity),
        at="10m",
        labels={"rule": "my-rule", "module": "hello"},
        description=description,
        clears="46m",
        miss="the rule is of another gravity",
        near=current("my-rule", other),
    )
    return current_case, replace(
        current_case, fires=past("my-rule", severity), clears="31m", near=past("my-rule", other)
    )


def drift(kind: str, minutes: int = 30) -> Input:
    return {series("kmodmon_baseline_drift", kind=kind): steps((0, 10), (2, minutes), (0, 60))}


def drifted(kind: str) -> Input:
    return {series("kmodmon_baseline_drift_timestamp_seconds", kind=kind, module="hello"): happened(10)}


def refused(metric: str) -> Case:
    return Case(
        alert="KmodRulesRefused",
        fires={series(metric): steps((1, 10), (0, 20), (1, 20))},
        at="13m",
        description="The policy or the baseline file on db1:10069 has an error; what was in force before still is.",
        clears="31m",
        miss="it was mended within a minute",
        near={series(metric): steps((1, 10), (0, 1), (1, 20))},
    )


CASES = (
    *violated("KmodPolicyViolatedGravely", "critical", "error"),
    *violated("KmodPolicyViolated", "error", "warning"),
    *violated("KmodPolicyFinding", "notice", "error"),
    Case(
        alert="KmodPolicyFinding",
        fires=current("kernel-degraded", "warning", module=""),
        at="10m",
        labels={"rule": "kernel-degraded"},
        description="Rule kernel-degraded of the policy is violated on db1:10069.",
        clears="46m",
        miss="that rule has an alert of its own",
        near=current("writable-parameter", "warning"),
    ),
    Case(
        alert="KmodWorldWritable",
        fires=current("writable-parameter", "warning"),
        at="16m",
        labels={"rule": "writable-parameter", "module": "hello"},
        description="A file of module hello on db1:10069, a parameter or one in /proc or /sys, may be written by "
        "everybody.",
        clears="41m",
        miss="another rule found something",
        near=current("blacklisted-module", "warning"),
    ),
    Case(
        alert="KmodExpectedModuleMissing",
        fires={series("kmodmon_module_expected", module="softdog"): steps((1, 10), (0, 20), (1, 20))},
        at="16m",
        labels={"module": "softdog"},
        description="Module softdog is expected on db1:10069 and is not loaded.",
        clears="31m",
        miss="it was loaded anew",
        near={series("kmodmon_module_expected", module="softdog"): steps((1, 10), (0, 1), (1, 20))},
    ),
    Case(
        alert="KmodModuleUnexpected",
        fires=drifted("unexpected_module"),
        at="10m",
        labels={"kind": "unexpected_module", "module": "hello"},
        description=f"Module hello was loaded on db1:10069 at {moment(10)} and is not among those that were signed "
        f"off.",
        clears="31m",
        miss="a module is missing, not new",
        near=drifted("missing_module"),
    ),
    Case(
        alert="KmodBaselineDrifted",
        fires=drift("parameter"),
        at="16m",
        labels={"kind": "parameter"},
        description="2 differences of kind parameter between db1:10069 and its baseline.",
        clears="41m",
        miss="it was so for a moment",
        near=drift("parameter", minutes=2),
    ),
    refused("kmodmon_policy_last_reload_successful"),
    refused("kmodmon_baseline_last_reload_successful"),
    Case(
        alert="KmodFindingsDropped",
        fires={series("kmodmon_policy_findings_dropped"): steps((0, 10), (40, 20), (0, 20))},
        at="16m",
        description="40 findings on db1:10069 are only counted.",
        clears="31m",
        miss="there were too many for a moment",
        near={series("kmodmon_policy_findings_dropped"): steps((0, 10), (40, 2), (0, 20))},
    ),
)
