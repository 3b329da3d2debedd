"""Alerts on hidden modules, and on interfaces of the kernel that contradict each other."""

from grafana.src.alerts.alert import Alert, AlertSeverity, Group, InhibitRule, Runbook
from grafana.src.alerts.promql import CLEARS, KEEP_FIRING, recent, selector

_HIDDEN_AT = "kmodmon_module_hidden_timestamp_seconds"
_BY_MODULE = "max by (job, instance, module)"
_UNNAMED = 'module="(unnamed)"'
_NAMED = 'module!="(unnamed)"'
_LIKELY = 'confidence!="possible"'
_COMMANDS = ("kmodmon check", "kmodmon events --since 1h --type ModuleHidden", "kmodmon doctor")

ALERTS = (
    Alert(
        name="KmodModuleHidden",
        severity=AlertSeverity.CRITICAL,
        expr=f"{_BY_MODULE} ({selector('kmodmon_module_hidden', _NAMED)})\n"
        f"  or {_BY_MODULE} ({recent(_HIDDEN_AT, _LIKELY)})",
        keep_firing_for=KEEP_FIRING,
        summary="A loaded module is hidden.",
        description="Module {{ $labels.module }} is in the kernel of {{ $labels.instance }}, and at least one of the "
        "kernel's own views denies it.",
        attack=("T1014",),
        inhibit_rules=(InhibitRule(targets="KmodWitnessContradicted", equal=("instance", "module")),),
        runbook=Runbook(
            meaning="Views of the kernel that must agree do not: the module list, sysfs, symbols, trace functions, "
            "kprobes and what was seen loading. The finding says which of them show the module and which deny it.",
            impact="Nothing but a rootkit hides itself. Treat the host as compromised: take it off the network, keep "
            "its memory, do not reboot it yet.",
            commands=_COMMANDS,
            clears="20 minutes after the views agree again.",
        ),
    ),
    Alert(
        name="KmodModuleHiddenPossibly",
        severity=AlertSeverity.WARNING,
        expr=f"{_BY_MODULE} ({selector('kmodmon_module_hidden', _UNNAMED)})",
        hold="5m",
        summary="The kernel's counts of its modules do not add up.",
        description="On {{ $labels.instance }} something is in the kernel that no listed module accounts for.",
        attack=("T1014",),
        runbook=Runbook(
            meaning="/sys/module counts more directories than it lists, or memory of the module loader belongs to "
            "nobody that is listed.",
            impact="A hidden module is one explanation; a module that leaked when it was removed is another.",
            commands=_COMMANDS,
            clears="When the counts add up.",
        ),
    ),
    Alert(
        name="KmodWitnessContradicted",
        severity=AlertSeverity.CRITICAL,
        expr=recent("kmodmon_witness_contradiction_timestamp_seconds"),
        keep_firing_for=KEEP_FIRING,
        summary="What the kernel's interfaces say of a module does not agree.",
        description="On {{ $labels.instance }} trace, uevents and module list contradict each other about module "
        "{{ $labels.module }} ({{ $labels.kind }}) since {{ $value | humanizeTimestamp }}.",
        attack=("T1014", "T1562"),
        runbook=Runbook(
            meaning="The trace told of a load that the list does not show and whose end nobody saw, or the list shows "
            "a module that no witness saw coming although every one was listening.",
            impact="Rootkits take themselves out of the list. Treat the host as compromised until explained.",
            commands=("kmodmon events --since 1h --type WitnessContradicted", "kmodmon check", "kmodmon doctor"),
            clears=CLEARS,
        ),
    ),
)

GROUP = Group(name="kmodmon.hidden", alerts=ALERTS)
