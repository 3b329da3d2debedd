"""Recordings and alerts over all hosts of a fleet: how common each module is, and which hosts have a rare one.

Prometheus evaluates them. One recording reads all modules of all hosts; those about modules work on its result.
"""

from grafana.src.alerts.alert import Alert, AlertSeverity, Group, Recording, Runbook

RARE_HOSTS = 3
FLEET_HOSTS = 20

_HOSTS_BY_MODULE = "module:kmodmon_module_hosts:count"
_HOSTS_BY_BUILD = "module_srcversion:kmodmon_module_info:count"
_HOST_COUNT = "fleet:kmodmon_hosts:count"
_RARE_MODULES = "module:kmodmon_module_rare:count"

# Evaluated for the rare modules alone: an expression over all modules of all hosts takes long in a large fleet.
_HOST_NAMES = (
    "{{ range printf `kmodmon_module_size_bytes{module=%q}` $labels.module | query | sortByLabel `instance` }} "
    "{{ .Labels.instance }}{{ end }}."
)

RECORDINGS = (
    Recording(name=_HOST_COUNT, expr="count(kmodmon_kernel_tainted)", description="Hosts that kmodmon watches."),
    Recording(
        name=_HOSTS_BY_BUILD,
        expr="count by (module, srcversion) (kmodmon_module_info)",
        description="Prevalence: on how many hosts each build of each module is loaded.",
    ),
    Recording(
        name=_HOSTS_BY_MODULE,
        expr=f"sum by (module) ({_HOSTS_BY_BUILD})",
        description="Prevalence: on how many hosts each module is loaded.",
    ),
    Recording(
        name=_RARE_MODULES,
        expr=f"{_HOSTS_BY_MODULE} <= {RARE_HOSTS} and on () {_HOST_COUNT} >= {FLEET_HOSTS}",
        description=f"Rare modules: those on at most {RARE_HOSTS} hosts of a fleet of at least {FLEET_HOSTS}.",
    ),
    Recording(
        name="flag:kmodmon_kernel_taint:hosts",
        expr="sum by (flag, letter) (kmodmon_kernel_taint)",
        description="Hosts that carry each taint flag.",
    ),
    Recording(
        name="release:kmodmon_kernel_info:count",
        expr="count by (release) (kmodmon_kernel_info)",
        description="Hosts on each kernel release.",
    ),
    Recording(
        name="mode:kmodmon_lockdown:hosts",
        expr="sum by (mode) (kmodmon_lockdown)",
        description="Hosts in each lockdown mode.",
    ),
    Recording(
        name="fleet:kmodmon_signature_enforced:hosts",
        expr="sum(kmodmon_signature_enforced)",
        description="Hosts that refuse unsigned modules.",
    ),
    Recording(
        name="signature:kmodmon_modules_by_trust:sum",
        expr="sum by (signature) (kmodmon_modules_by_trust)",
        description="Loaded modules in the fleet by what is known of their signature.",
    ),
    Recording(
        name="signature:kmodmon_kernel_report:hosts",
        expr="count by (signature) (count by (instance, signature) (kmodmon_kernel_report_timestamp_seconds))",
        description="Hosts whose kernel made each report within a day.",
    ),
    Recording(
        name="kind:kmodmon_baseline_drift:hosts",
        expr="count by (kind) (kmodmon_baseline_drift > 0)",
        description="Hosts that differ from their baseline in each way.",
    ),
    Recording(
        name="rule:kmodmon_policy_findings:hosts",
        expr="count by (rule, severity) (kmodmon_policy_findings > 0)",
        description="Hosts on which each rule of the policy finds something.",
    ),
    Recording(
        name="origin:kmodmon_modules_by_origin:sum",
        expr="sum by (origin) (kmodmon_modules_by_origin)",
        description="Loaded modules in the fleet by where they came from.",
    ),
)

ALERTS = (
    Alert(
        name="KmodModuleRare",
        severity=AlertSeverity.INFO,
        expr=_RARE_MODULES,
        hold="5m",
        summary="A module is loaded that hardly any other host has.",
        description="Module {{ $labels.module }} is loaded on {{ $value }} hosts of the fleet and on no other:"
        + _HOST_NAMES,
        attack=("T1547.006", "T1014"),
        runbook=Runbook(
            meaning="Nearly all hosts of a fleet run the same modules. This one is on hardly any.",
            impact="Odd hardware is the usual reason; code that does not belong there is the other one.",
            commands=("kmodmon modules NAME", "kmodmon events --module NAME", "kmodmon modules --tainted"),
            clears="When the module is unloaded, or common.",
        ),
    ),
)

GROUP = Group(name="kmodmon.fleet", interval="1m", alerts=ALERTS, recordings=RECORDINGS)
