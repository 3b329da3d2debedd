"""Alerts on what the policy does not allow and on how a host differs from its baseline.

The severity of a finding is that of the rule, so operators decide in their own rules who is notified: critical
findings notify the person on call, errors make a ticket, and the rest is for dashboards.
"""

from grafana.src.alerts.alert import Alert, AlertSeverity, Group, Runbook
from grafana.src.alerts.promql import CLEARS, KEEP_FIRING, matcher, recent, selector
from grafana.src.alerts.provenance import DIFFERS_RULE

_FINDING_NOW = "kmodmon_policy_finding"
_VIOLATED_AT = "kmodmon_policy_violation_timestamp_seconds"
_DRIFTED_AT = "kmodmon_baseline_drift_timestamp_seconds"
_COMMANDS = ("kmodmon check", "kmodmon events --since 1h --type PolicyViolated", "kmodmon status")
_CLEARS = "When the finding is gone; one that was there only for a moment, 20 minutes after it."

# Rules whose findings have alerts of their own.
RULES_WITH_OWN_ALERTS = (
    DIFFERS_RULE,
    "writable-parameter",
    "writable-entry",
    "baseline-drift",
    "missing-module",
    "refused-file",
)
_BY_FINDING = "max by (job, instance, rule, module)"
_OTHER_RULES = 'rule!~"' + "|".join(RULES_WITH_OWN_ALERTS) + '"'


def _violated_expr(*severities: str) -> str:
    severity = matcher("severity", severities)
    current = f"{selector(_FINDING_NOW, severity, _OTHER_RULES)} == 1"
    past = recent(_VIOLATED_AT, severity, _OTHER_RULES)
    return f"{_BY_FINDING} (\n  {current}\n  or {past}\n)"


def _violated_alert(
    name: str, severity: AlertSeverity, severities: tuple[str, ...], summary: str, impact: str
) -> Alert:
    return Alert(
        name=name,
        severity=severity,
        expr=_violated_expr(*severities),
        keep_firing_for=KEEP_FIRING,
        summary=summary,
        description="Rule {{ $labels.rule }} of the policy is violated on "
        "{{ $labels.instance }}{{ with $labels.module }} by module {{ . }}{{ end }}.",
        attack=("T1547.006",),
        runbook=Runbook(
            meaning=f"A rule whose findings are of severity {' or '.join(severities)} found something. `kmodmon check` "
            f"gives its reason, the evidence and what to do.",
            impact=impact,
            commands=_COMMANDS,
            clears=_CLEARS,
        ),
    )


_FINDINGS = (
    _violated_alert(
        "KmodPolicyViolatedGravely",
        AlertSeverity.CRITICAL,
        ("critical",),
        "The policy is violated by something grave.",
        "The kernel or its memory can no longer be trusted, by the judgement of whoever wrote the rule.",
    ),
    _violated_alert(
        "KmodPolicyViolated",
        AlertSeverity.WARNING,
        ("error",),
        "The policy is violated.",
        "Something is there that should not be. If it may be, allow it by a rule of your own.",
    ),
    _violated_alert(
        "KmodPolicyFinding",
        AlertSeverity.INFO,
        ("warning", "notice", "info"),
        "The policy found something to look at.",
        "None by itself. If it may be, allow it by a rule of your own.",
    ),
    Alert(
        name="KmodWorldWritable",
        severity=AlertSeverity.WARNING,
        expr=f"{_BY_FINDING} ({selector(_FINDING_NOW, matcher('rule', ('writable-parameter', 'writable-entry')))})",
        hold="5m",
        summary="Every user may write to a kernel module.",
        description="A file of module {{ $labels.module }} on {{ $labels.instance }}, a parameter or one in /proc or "
        "/sys, may be written by everybody.",
        attack=("T1068",),
        runbook=Runbook(
            meaning="Its author gave the file a mode that lets every user write.",
            impact="Any user changes how kernel code behaves, or feeds it what it may not check.",
            commands=("kmodmon check", "kmodmon modules NAME", "find /sys/module -perm -o+w -type f"),
            clears="When the mode is mended or the module unloaded.",
        ),
    ),
    Alert(
        name="KmodExpectedModuleMissing",
        severity=AlertSeverity.WARNING,
        expr="kmodmon_module_expected == 0",
        hold="5m",
        summary="A module that must be there is not loaded.",
        description="Module {{ $labels.module }} is expected on {{ $labels.instance }} and is not loaded.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="It is named in expected.modules, and neither loaded nor built in.",
            impact="Whatever needs it does not work: a driver, a watchdog, a security module.",
            commands=("kmodmon events --since 1d --module NAME", "kmodmon explain NAME", "modprobe -nv NAME"),
            clears="When it is loaded.",
        ),
    ),
)
_BASELINE = (
    Alert(
        name="KmodModuleUnexpected",
        severity=AlertSeverity.WARNING,
        expr=recent(_DRIFTED_AT, 'kind="unexpected_module"'),
        keep_firing_for=KEEP_FIRING,
        summary="A module was loaded that is not in the baseline.",
        description="Module {{ $labels.module }} was loaded on {{ $labels.instance }} at "
        "{{ $value | humanizeTimestamp }} and is not among those that were signed off.",
        attack=("T1547.006",),
        runbook=Runbook(
            meaning="The baseline names every module that belongs on the host, and this is none of them.",
            impact="New hardware or a new service loads new modules. So does whoever is not meant to be there.",
            commands=("kmodmon events --since 1h --module NAME", "kmodmon modules NAME", "kmodmon check"),
            clears=CLEARS + " KmodBaselineDrifted stays until it is unloaded or signed off.",
        ),
    ),
    Alert(
        name="KmodBaselineDrifted",
        severity=AlertSeverity.INFO,
        expr="kmodmon_baseline_drift > 0",
        hold="5m",
        summary="A host is not as it was signed off.",
        description="{{ $value }} differences of kind {{ $labels.kind }} between {{ $labels.instance }} and its "
        "baseline.",
        runbook=Runbook(
            meaning="Modules, parameters, posture, taint or kernel differ from the signed-off set.",
            impact="Each difference is either to be undone or to be signed off.",
            commands=("kmodmon check", "kmodmon events --since 1d --type BaselineDrifted", "kmodmon status"),
            clears="When the host is as in the baseline, or the baseline as the host.",
        ),
    ),
)
_RULES = (
    Alert(
        name="KmodRulesRefused",
        severity=AlertSeverity.WARNING,
        expr="kmodmon_policy_last_reload_successful == 0\n  or kmodmon_baseline_last_reload_successful == 0",
        hold="2m",
        summary="A policy or baseline was refused.",
        description="The policy or the baseline file on {{ $labels.instance }} has an error; what was in force before "
        "still is.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="The file could not be taken over as a whole.",
            impact="What you changed has no effect; after a restart the shipped rules hold alone.",
            commands=("kmodmon check", "kmodmon events --since 1d --type ConfigRefused", "journalctl -u kmodmon -n 50"),
            clears="When the file is right.",
        ),
    ),
    Alert(
        name="KmodFindingsDropped",
        severity=AlertSeverity.WARNING,
        expr="kmodmon_policy_findings_dropped > 0",
        hold="5m",
        summary="There are more findings than are kept.",
        description="{{ $value }} findings on {{ $labels.instance }} are only counted.",
        runbook=Runbook(
            meaning="A rule finds thousands of things.",
            impact="One that matters may be among those that are not shown.",
            commands=("kmodmon check", "kmodmon status", "kmodmon events --since 1h --type PolicyViolated"),
            clears="When there are fewer.",
        ),
    ),
)

GROUP = Group(name="kmodmon.policy", alerts=(*_FINDINGS, *_BASELINE, *_RULES))
