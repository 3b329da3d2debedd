"""What only many hosts together tell: how common a module is, and where one is that hardly anybody else has.

Prometheus is the engine. The first recording goes over all modules of all hosts once; the others work on its result.
"""

from kmodmon.alerts.alert import Alert, Group, Level, Recording, Runbook

RARE_HOSTS = 3
FLEET_HOSTS = 20

_HOSTS = "module:kmodmon_module_hosts:count"
_FLEET = "fleet:kmodmon_hosts:count"
_RARE = "module:kmodmon_module_rare:count"

RECORDINGS = (
    Recording(name=_FLEET, expr="count(kmodmon_kernel_tainted)", says="Hosts that kmodmon watches."),
    Recording(
        name=_HOSTS,
        expr="count by (module) (kmodmon_module_size_bytes)",
        says="Prevalence: on how many hosts each module is loaded.",
    ),
    Recording(
        name=_RARE,
        expr=f"{_HOSTS} <= {RARE_HOSTS} and on () {_FLEET} >= {FLEET_HOSTS}",
        says=f"Rare modules: those on at most {RARE_HOSTS} hosts of a fleet of at least {FLEET_HOSTS}.",
    ),
    Recording(
        name="flag:kmodmon_kernel_taint:hosts",
        expr="sum by (flag, letter) (kmodmon_kernel_taint)",
        says="Hosts that carry each taint flag.",
    ),
    Recording(
        name="release:kmodmon_kernel_info:count",
        expr="count by (release) (kmodmon_kernel_info)",
        says="Hosts on each kernel release.",
    ),
    Recording(
        name="mode:kmodmon_lockdown:hosts",
        expr="sum by (mode) (kmodmon_lockdown)",
        says="Hosts in each lockdown mode.",
    ),
    Recording(
        name="fleet:kmodmon_signature_enforced:hosts",
        expr="sum(kmodmon_signature_enforced)",
        says="Hosts that refuse unsigned modules.",
    ),
    Recording(
        name="signature:kmodmon_modules_by_trust:sum",
        expr="sum by (signature) (kmodmon_modules_by_trust)",
        says="Loaded modules in the fleet by what is known of their signature.",
    ),
    Recording(
        name="signature:kmodmon_kernel_reports:increase1d",
        expr="sum by (signature) (increase(kmodmon_kernel_reports_total[1d])) > 0",
        says="Kernel reports of the last day in the fleet.",
    ),
)

ALERTS = (
    Alert(
        name="KmodModuleRare",
        level=Level.INFO,
        expr=f"kmodmon_module_size_bytes\n  and on (module) {_RARE}",
        hold="5m",
        summary="A module is loaded that hardly any other host has.",
        description="Module {{ $labels.module }} on {{ $labels.instance }} is loaded on at most "
        f"{RARE_HOSTS} hosts of the fleet.",
        attack=("T1547.006", "T1014"),
        runbook=Runbook(
            meaning="Nearly all hosts of a fleet run the same modules. This one is on hardly any.",
            impact="Odd hardware is the usual reason; code that does not belong there is the other one.",
            commands=("kmodmon modules NAME", "kmodmon events --module NAME", "kmodmon modules --tainted"),
            clears="When the module is unloaded, or common.",
        ),
    ),
)

GROUP = Group(name="kmodmon.fleet", alerts=ALERTS, recordings=RECORDINGS)
