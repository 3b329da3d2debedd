"""The Fleet dashboard: posture, taint, modules and reports of all hosts, and where rare modules are loaded."""

from grafana.src.alerts.fleet import RARE_HOSTS
from grafana.src.alerts.taint import flags
from grafana.src.dashboards.dashboard import FLEET, Dashboard, PanelRow, host_link
from grafana.src.dashboards.event_table import MODULE_COLUMN, event_table
from grafana.src.dashboards.panel import (
    ALWAYS_GOOD,
    BAD,
    BAD_FROM_ONE,
    GOOD,
    NEUTRAL,
    ON_OFF,
    WARN,
    WARN_FROM_ONE,
    FieldStyle,
    Query,
    TableColumn,
    TableOptions,
    bar_gauge,
    stat,
    table,
    timeseries,
)
from grafana.src.dashboards.queries import (
    LOCKDOWN,
    UNTRUSTED,
    count_or_zero,
    increase_per_step,
    max_by_host,
    select,
    sum_query,
    timestamp_ms,
)
from kmodmon.kernel.taint import Tier

_SECURITY_FLAGS = flags(Tier.SECURITY)
_ERROR_OR_WORSE = ("critical", "error")
_NOT_VALIDLY_SIGNED = 'signature!="valid"'
_SEVERITY = {"critical": ("critical", BAD), "warning": ("warning", WARN), "info": ("info", NEUTRAL)}
_LOCKDOWN_LEVELS = {"0": ("none", WARN), "1": ("integrity", GOOD), "2": ("confidentiality", GOOD)}
_HOST_COLUMN = TableColumn(source="instance", title="Host", link=host_link())


def _firing(**labels: str) -> str:
    return select("ALERTS", 'alertname=~"Kmod.+"', alertstate="firing", **labels)


_SUMMARY = PanelRow(
    title="At a glance",
    panels=(
        stat(
            "Hosts watched",
            "Hosts whose kmodmon answers now.",
            count_or_zero(f"{select('up')} == 1"),
            FieldStyle(steps=((None, BAD), (1, GOOD))),
        ),
        stat(
            "Hosts silent",
            "Hosts whose kmodmon does not answer: nobody watches their kernels.",
            count_or_zero(f"{select('up')} == 0"),
            FieldStyle(steps=BAD_FROM_ONE),
        ),
        stat(
            "Gravely tainted",
            "Hosts that carry a taint after which the kernel cannot be trusted: foreign code, a crash, corrupted "
            "memory.",
            count_or_zero(f"{max_by_host(select('kmodmon_kernel_taint', flag=_SECURITY_FLAGS))} == 1"),
            FieldStyle(steps=BAD_FROM_ONE),
        ),
        stat(
            "Hosts with unsigned modules",
            "Hosts on which a module is loaded that carries no signature the kernel trusts.",
            count_or_zero(f"sum by (instance) ({select('kmodmon_modules_by_trust', signature=UNTRUSTED)}) > 0"),
            FieldStyle(steps=BAD_FROM_ONE),
        ),
        stat(
            "Refuse unsigned modules",
            "Hosts that refuse unsigned modules, by whatever decides it: lockdown, sig_enforce or configuration.",
            f"sum({select('kmodmon_signature_enforced')}) or vector(0)",
            FieldStyle(),
        ),
        stat(
            "Critical alerts",
            "Alerts of kmodmon that wake somebody, firing now.",
            count_or_zero(_firing(severity="critical")),
            FieldStyle(steps=BAD_FROM_ONE),
        ),
        stat(
            "Warnings",
            "Alerts of kmodmon for today or tomorrow, firing now.",
            count_or_zero(_firing(severity="warning")),
            FieldStyle(steps=WARN_FROM_ONE),
        ),
        stat(
            "Hidden modules",
            "Modules that are in a kernel and that at least one of its own views denies.",
            count_or_zero(f"max by (instance, module) ({select('kmodmon_module_hidden')})"),
            FieldStyle(steps=BAD_FROM_ONE),
        ),
        stat(
            "Hosts with violations",
            "Hosts on which a rule of the policy, of severity critical or error, finds something.",
            count_or_zero(f"sum by (instance) ({select('kmodmon_policy_findings', severity=_ERROR_OR_WORSE)}) > 0"),
            FieldStyle(steps=WARN_FROM_ONE),
        ),
        stat(
            "Hosts that drifted",
            "Hosts that are not as they were signed off.",
            count_or_zero(f"sum by (instance) ({select('kmodmon_baseline_drift')}) > 0"),
            FieldStyle(steps=WARN_FROM_ONE),
        ),
        stat(
            "Hosts with other code than on disk",
            "Hosts on which a loaded module is another build than the file of its name.",
            count_or_zero(f"sum by (instance) ({select('kmodmon_module_differs_from_disk')}) > 0"),
            FieldStyle(steps=WARN_FROM_ONE),
        ),
        stat(
            "Modules missing",
            "Modules that are expected on a host and are not loaded.",
            count_or_zero(f"{select('kmodmon_module_expected')} == 0"),
            FieldStyle(steps=WARN_FROM_ONE),
        ),
        stat(
            "Reboots due",
            "Hosts that have a newer kernel installed than the one that runs.",
            f"sum({select('kmodmon_kernel_installed_newer')}) or vector(0)",
            FieldStyle(steps=WARN_FROM_ONE),
        ),
        stat(
            "Reports of a day",
            "Kinds of reports that kernels made of themselves within a day, counted by host.",
            count_or_zero(select("kmodmon_kernel_report_timestamp_seconds")),
            FieldStyle(steps=WARN_FROM_ONE),
        ),
        stat(
            "Kernel releases",
            "How many different kernels the hosts run.",
            f"count(count by (release) ({select('kmodmon_kernel_info')}))",
            FieldStyle(steps=ALWAYS_GOOD),
        ),
    ),
)
_ALERTS = PanelRow(
    title="Alerts",
    panels=(
        table(
            "Firing now",
            "Alerts of kmodmon that fire now, those for dashboards only included. RUNBOOK.md says what to do.",
            (_firing(),),
            (
                TableColumn(source="severity", title="Severity", style=FieldStyle(mappings=_SEVERITY), width=110),
                TableColumn(source="alertname", title="Alert"),
                _HOST_COLUMN,
                MODULE_COLUMN,
                TableColumn(source="signature", title="Signature"),
                TableColumn(source="flag", title="Taint"),
                TableColumn(source="cause", title="Cause"),
            ),
            TableOptions(no_value="No alert fires", sort="Severity"),
        ),
    ),
)
_POSTURE = PanelRow(
    title="Posture",
    panels=(
        table(
            "Posture of each host",
            "What keeps the kernels closed, and what has happened to them. An empty cell: that kernel does not offer "
            "it, or it cannot be read.",
            (
                max_by_host(select("kmodmon_kernel_tainted")),
                max_by_host(LOCKDOWN),
                max_by_host(select("kmodmon_signature_enforced")),
                max_by_host(select("kmodmon_secure_boot")),
                max_by_host(select("kmodmon_modules_disabled")),
                f"sum by (instance) ({select('kmodmon_modules')})",
                f"sum by (instance) ({select('kmodmon_modules_by_trust', signature=UNTRUSTED)})",
                max_by_host(select("kmodmon_kernel_oops_count")),
                f"max by (instance, release) ({select('kmodmon_kernel_info')})",
                f"sum by (instance) ({select('kmodmon_policy_findings')})",
                max_by_host(select("kmodmon_kernel_installed_newer")),
            ),
            (
                _HOST_COLUMN,
                TableColumn(source="release", title="Kernel"),
                TableColumn(
                    source="Value #A", title="Taint number", style=FieldStyle(unit="none", steps=WARN_FROM_ONE)
                ),
                TableColumn(source="Value #B", title="Lockdown", style=FieldStyle(mappings=_LOCKDOWN_LEVELS)),
                TableColumn(source="Value #C", title="Unsigned refused", style=FieldStyle(mappings=ON_OFF)),
                TableColumn(source="Value #D", title="Secure Boot", style=FieldStyle(mappings=ON_OFF)),
                TableColumn(
                    source="Value #E",
                    title="Closed to modules",
                    style=FieldStyle(mappings={"0": ("no", NEUTRAL), "1": ("yes", GOOD)}),
                ),
                TableColumn(source="Value #F", title="Modules"),
                TableColumn(source="Value #G", title="Unsigned", style=FieldStyle(steps=BAD_FROM_ONE)),
                TableColumn(source="Value #H", title="Oopses", style=FieldStyle(steps=BAD_FROM_ONE)),
                TableColumn(source="Value #J", title="Findings", style=FieldStyle(steps=WARN_FROM_ONE)),
                TableColumn(
                    source="Value #K",
                    title="Reboot due",
                    style=FieldStyle(mappings={"0": ("no", GOOD), "1": ("yes", WARN)}),
                ),
            ),
            TableOptions(no_value="No host answers", height=11, sort="Host"),
        ),
    ),
)
_TAINT = PanelRow(
    title="Taint",
    panels=(
        timeseries(
            "Hosts by taint",
            "How many hosts carry each taint flag.",
            (sum_query("flag", select("kmodmon_kernel_taint")),),
            FieldStyle(no_value="No host is tainted"),
        ),
        table(
            "Tainted hosts",
            "Each taint flag that is set, with its host.",
            (f"max by (instance, flag, letter) ({select('kmodmon_kernel_taint')}) == 1",),
            (
                _HOST_COLUMN,
                TableColumn(source="flag", title="Taint"),
                TableColumn(source="letter", title="Letter", width=80),
            ),
            TableOptions(no_value="No host is tainted", width=12, height=8, sort="Host"),
        ),
    ),
)
_MODULES = PanelRow(
    title="Modules",
    panels=(
        table(
            "Rare modules",
            f"Modules that are on at most {RARE_HOSTS} hosts, and which hosts these are. Taken from a recording rule "
            f"of kmodmon.fleet.rules.yml, over all hosts that Prometheus knows.",
            (f"{select('kmodmon_module_size_bytes')} and on (module) module:kmodmon_module_rare:count",),
            (MODULE_COLUMN, _HOST_COLUMN, TableColumn(source="Value", title="Size", style=FieldStyle(unit="bytes"))),
            TableOptions(
                no_value="No module is rare, the fleet is small, or the fleet rules are not loaded",
                width=12,
                sort="Module",
            ),
        ),
        table(
            "Foreign modules",
            "Modules that carry a taint letter, and on how many hosts: E unsigned, O out of tree, P proprietary, F "
            "forced.",
            (f"count by (module, flag) ({select('kmodmon_module_taint')})",),
            (
                MODULE_COLUMN,
                TableColumn(source="flag", title="Letter", width=80),
                TableColumn(source="Value", title="Hosts"),
            ),
            TableOptions(no_value="No module carries a taint letter", width=12, sort="Hosts", descending=True),
        ),
        bar_gauge(
            "Violations by rule",
            "What the policies find on all hosts, by rule.",
            sum_query("rule", select("kmodmon_policy_findings")),
            FieldStyle(no_value="No policy finds anything", steps=WARN_FROM_ONE),
        ),
        bar_gauge(
            "Drift by kind",
            "Differences between hosts and their baselines, by kind.",
            sum_query("kind", select("kmodmon_baseline_drift")),
            FieldStyle(no_value="No host drifted, or none has a baseline", steps=WARN_FROM_ONE),
        ),
        bar_gauge(
            "Modules by origin",
            "Where loaded modules came from.",
            sum_query("origin", select("kmodmon_modules_by_origin")),
            FieldStyle(no_value="Module files are not examined"),
        ),
        timeseries(
            "Loads",
            "Modules loaded, by what was known of their signature.",
            (sum_query("signature", increase_per_step("kmodmon_module_loads_total")),),
            FieldStyle(no_value="Nothing was loaded"),
            bars=True,
            width=8,
        ),
        event_table(
            "Last loads without a valid signature",
            "Who loaded what and when, also if it is gone by now; kept for a day.",
            timestamp_ms("kmodmon_module_load_timestamp_seconds", _NOT_VALIDLY_SIGNED),
            (
                TableColumn(source="Value", title="When", style=FieldStyle(unit="dateTimeAsIso")),
                _HOST_COLUMN,
                MODULE_COLUMN,
                TableColumn(source="taints", title="Taints", width=80),
                TableColumn(source="actor", title="By"),
            ),
            TableOptions(no_value="None within a day", width=16, height=8),
        ),
    ),
)
_KERNELS = PanelRow(
    title="Kernels",
    panels=(
        bar_gauge(
            "Hosts by kernel",
            "How many hosts run each kernel release.",
            Query(expr=f"count by (release) ({select('kmodmon_kernel_info')})", legend="{{release}}"),
            FieldStyle(no_value="No host answers"),
        ),
        timeseries(
            "Kernel reports",
            "What kernels reported of themselves, by kind, repeats included.",
            (sum_query("signature", increase_per_step("kmodmon_kernel_reports_total")),),
            FieldStyle(no_value="No kernel reported anything"),
            bars=True,
            width=8,
        ),
        event_table(
            "Last kernel reports",
            "Which kernel reported what and when; kept for a day.",
            timestamp_ms("kmodmon_kernel_report_timestamp_seconds"),
            (
                TableColumn(source="Value", title="When", style=FieldStyle(unit="dateTimeAsIso")),
                _HOST_COLUMN,
                TableColumn(source="signature", title="Report"),
                MODULE_COLUMN,
            ),
            TableOptions(no_value="None within a day", width=8, height=8),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid=FLEET,
    title="kmodmon / Fleet",
    description="The kernels of all hosts: posture, taint, modules, reports.",
    rows=(_SUMMARY, _ALERTS, _POSTURE, _TAINT, _MODULES, _KERNELS),
)
