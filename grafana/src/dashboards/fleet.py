"""The fleet: which hosts can be trusted, which cannot, and what is on hardly any of them."""

from grafana.src.alerts.fleet import RARE_HOSTS
from grafana.src.alerts.taint import flags
from grafana.src.dashboards.dashboard import FLEET, Dashboard, PanelRow, host_link
from grafana.src.dashboards.panel import (
    BAD,
    CALM,
    GOOD,
    NONE_IS_GOOD,
    NONE_IS_VITAL,
    ON_OFF,
    QUIET,
    WARN,
    FieldStyle,
    Query,
    Shape,
    TableColumn,
    bars,
    graph,
    stat,
    table,
)
from grafana.src.dashboards.queries import FOREIGN, LOCKDOWN, by_host, grown, moment_of, of
from kmodmon.kernel.taint import Tier

_GRAVE = flags(Tier.SECURITY)
_GRAVE_FINDINGS = ("critical", "error")
_KMOD = 'alertname=~"Kmod.+"'
_NOT_VALID = 'signature!="valid"'
_SEVERITY = {"critical": ("critical", BAD), "warning": ("warning", WARN), "info": ("info", QUIET)}
_LEVELS = {"0": ("none", WARN), "1": ("integrity", GOOD), "2": ("confidentiality", GOOD)}
_HOST = TableColumn(source="instance", title="Host", link=host_link())

_SUMMARY = PanelRow(
    title="At a glance",
    panels=(
        stat(
            "Hosts watched",
            "Hosts whose kmodmon answers now.",
            f"count({of('up')} == 1) or vector(0)",
            FieldStyle(steps=((None, BAD), (1, GOOD))),
        ),
        stat(
            "Hosts silent",
            "Hosts whose kmodmon does not answer: nobody watches their kernels.",
            f"count({of('up')} == 0) or vector(0)",
            FieldStyle(steps=NONE_IS_VITAL),
        ),
        stat(
            "Gravely tainted",
            "Hosts that carry a taint after which the kernel cannot be trusted: foreign code, a crash, corrupted "
            "memory.",
            f"count({by_host(of('kmodmon_kernel_taint', flag=_GRAVE))} == 1) or vector(0)",
            FieldStyle(steps=NONE_IS_VITAL),
        ),
        stat(
            "Hosts with unsigned modules",
            "Hosts on which a module is loaded that carries no signature the kernel trusts.",
            f"count(sum by (instance) ({of('kmodmon_modules_by_trust', signature=FOREIGN)}) > 0) or vector(0)",
            FieldStyle(steps=NONE_IS_VITAL),
        ),
        stat(
            "Refuse unsigned modules",
            "Hosts that refuse unsigned modules, by whatever decides it: lockdown, sig_enforce or configuration.",
            f"sum({of('kmodmon_signature_enforced')}) or vector(0)",
            FieldStyle(),
        ),
        stat(
            "Critical alerts",
            "Alerts of kmodmon that wake somebody, firing now.",
            f"count({of('ALERTS', _KMOD, alertstate='firing', severity='critical')}) or vector(0)",
            FieldStyle(steps=NONE_IS_VITAL),
        ),
        stat(
            "Warnings",
            "Alerts of kmodmon for today or tomorrow, firing now.",
            f"count({of('ALERTS', _KMOD, alertstate='firing', severity='warning')}) or vector(0)",
            FieldStyle(steps=NONE_IS_GOOD),
        ),
        stat(
            "Hidden modules",
            "Modules that are in a kernel and that at least one of its own views denies.",
            f"count(max by (instance, module) ({of('kmodmon_module_hidden')})) or vector(0)",
            FieldStyle(steps=NONE_IS_VITAL),
        ),
        stat(
            "Hosts with violations",
            "Hosts on which a rule of the policy, of severity critical or error, finds something.",
            f"count(sum by (instance) ({of('kmodmon_policy_findings', severity=_GRAVE_FINDINGS)}) > 0) or vector(0)",
            FieldStyle(steps=NONE_IS_GOOD),
        ),
        stat(
            "Hosts that drifted",
            "Hosts that are not as they were signed off.",
            f"count(sum by (instance) ({of('kmodmon_baseline_drift')}) > 0) or vector(0)",
            FieldStyle(steps=NONE_IS_GOOD),
        ),
        stat(
            "Hosts with other code than on disk",
            "Hosts on which a loaded module is another build than the file of its name.",
            f"count(sum by (instance) ({of('kmodmon_module_differs_from_disk')}) > 0) or vector(0)",
            FieldStyle(steps=NONE_IS_GOOD),
        ),
        stat(
            "Modules missing",
            "Modules that are expected on a host and are not loaded.",
            f"count({of('kmodmon_module_expected')} == 0) or vector(0)",
            FieldStyle(steps=NONE_IS_GOOD),
        ),
        stat(
            "Reboots due",
            "Hosts that have a newer kernel installed than the one that runs.",
            f"sum({of('kmodmon_kernel_installed_newer')}) or vector(0)",
            FieldStyle(steps=NONE_IS_GOOD),
        ),
        stat(
            "Reports of a day",
            "Kinds of reports that kernels made of themselves within a day, counted by host.",
            f"count({of('kmodmon_kernel_report_timestamp_seconds')}) or vector(0)",
            FieldStyle(steps=NONE_IS_GOOD),
        ),
        stat(
            "Kernel releases",
            "How many different kernels the hosts run.",
            f"count(count by (release) ({of('kmodmon_kernel_info')}))",
            FieldStyle(steps=CALM),
        ),
    ),
)
_ALERTS = PanelRow(
    title="Alerts",
    panels=(
        table(
            "Firing now",
            "Alerts of kmodmon that fire now, those for dashboards only included. RUNBOOK.md says what to do.",
            (Query(expr=of("ALERTS", _KMOD, alertstate="firing"), table=True),),
            (
                TableColumn(source="severity", title="Severity", look=FieldStyle(mappings=_SEVERITY), width=110),
                TableColumn(source="alertname", title="Alert"),
                _HOST,
                TableColumn(source="module", title="Module"),
                TableColumn(source="signature", title="Signature"),
                TableColumn(source="flag", title="Taint"),
                TableColumn(source="cause", title="Cause"),
            ),
            Shape(
                no_value="No alert fires",
                sort="Severity",
            ),
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
                Query(expr=by_host(of("kmodmon_kernel_tainted")), table=True),
                Query(
                    expr=by_host(LOCKDOWN),
                    table=True,
                ),
                Query(expr=by_host(of("kmodmon_signature_enforced")), table=True),
                Query(expr=by_host(of("kmodmon_secure_boot")), table=True),
                Query(expr=by_host(of("kmodmon_modules_disabled")), table=True),
                Query(expr=f"sum by (instance) ({of('kmodmon_modules')})", table=True),
                Query(
                    expr=f"sum by (instance) ({of('kmodmon_modules_by_trust', signature=FOREIGN)})",
                    table=True,
                ),
                Query(expr=by_host(of("kmodmon_kernel_oops_count")), table=True),
                Query(expr=f"max by (instance, release) ({of('kmodmon_kernel_info')})", table=True),
                Query(expr=f"sum by (instance) ({of('kmodmon_policy_findings')})", table=True),
                Query(expr=by_host(of("kmodmon_kernel_installed_newer")), table=True),
            ),
            (
                _HOST,
                TableColumn(source="release", title="Kernel"),
                TableColumn(source="Value #A", title="Taint number", look=FieldStyle(unit="none", steps=NONE_IS_GOOD)),
                TableColumn(source="Value #B", title="Lockdown", look=FieldStyle(mappings=_LEVELS)),
                TableColumn(source="Value #C", title="Unsigned refused", look=FieldStyle(mappings=ON_OFF)),
                TableColumn(source="Value #D", title="Secure Boot", look=FieldStyle(mappings=ON_OFF)),
                TableColumn(
                    source="Value #E",
                    title="Closed to modules",
                    look=FieldStyle(mappings={"0": ("no", QUIET), "1": ("yes", GOOD)}),
                ),
                TableColumn(source="Value #F", title="Modules"),
                TableColumn(source="Value #G", title="Unsigned", look=FieldStyle(steps=NONE_IS_VITAL)),
                TableColumn(source="Value #H", title="Oopses", look=FieldStyle(steps=NONE_IS_VITAL)),
                TableColumn(source="Value #J", title="Findings", look=FieldStyle(steps=NONE_IS_GOOD)),
                TableColumn(
                    source="Value #K",
                    title="Reboot due",
                    look=FieldStyle(mappings={"0": ("no", GOOD), "1": ("yes", WARN)}),
                ),
            ),
            Shape(
                no_value="No host answers",
                height=11,
                sort="Host",
            ),
        ),
    ),
)
_TAINT = PanelRow(
    title="Taint",
    panels=(
        graph(
            "Hosts by taint",
            "How many hosts carry each taint flag.",
            (Query(expr=f"sum by (flag) ({of('kmodmon_kernel_taint')}) > 0", legend="{{flag}}"),),
            FieldStyle(no_value="No host is tainted"),
        ),
        table(
            "Tainted hosts",
            "Each taint flag that is set, with its host.",
            (Query(expr=f"max by (instance, flag, letter) ({of('kmodmon_kernel_taint')}) == 1", table=True),),
            (_HOST, TableColumn(source="flag", title="Taint"), TableColumn(source="letter", title="Letter", width=80)),
            Shape(
                no_value="No host is tainted",
                width=12,
                height=8,
                sort="Host",
            ),
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
            (
                Query(
                    expr=f"{of('kmodmon_module_size_bytes')} and on (module) module:kmodmon_module_rare:count",
                    table=True,
                ),
            ),
            (
                TableColumn(source="module", title="Module"),
                _HOST,
                TableColumn(source="Value", title="Size", look=FieldStyle(unit="bytes")),
            ),
            Shape(
                no_value="No module is rare, the fleet is small, or the fleet rules are not loaded",
                width=12,
                sort="Module",
            ),
        ),
        table(
            "Foreign modules",
            "Modules that carry a taint letter, and on how many hosts: E unsigned, O out of tree, P proprietary, F "
            "forced.",
            (Query(expr=f"count by (module, flag) ({of('kmodmon_module_taint')})", table=True),),
            (
                TableColumn(source="module", title="Module"),
                TableColumn(source="flag", title="Letter", width=80),
                TableColumn(source="Value", title="Hosts"),
            ),
            Shape(
                no_value="No module carries a taint letter",
                width=12,
                sort="Hosts",
                descending=True,
            ),
        ),
        bars(
            "Violations by rule",
            "What the policies find on all hosts, by rule.",
            Query(expr=f"sum by (rule) ({of('kmodmon_policy_findings')}) > 0", legend="{{rule}}"),
            FieldStyle(no_value="No policy finds anything", steps=NONE_IS_GOOD),
        ),
        bars(
            "Drift by kind",
            "Differences between hosts and their baselines, by kind.",
            Query(expr=f"sum by (kind) ({of('kmodmon_baseline_drift')}) > 0", legend="{{kind}}"),
            FieldStyle(no_value="No host drifted, or none has a baseline", steps=NONE_IS_GOOD),
        ),
        bars(
            "Modules by origin",
            "Where loaded modules came from.",
            Query(expr=f"sum by (origin) ({of('kmodmon_modules_by_origin')}) > 0", legend="{{origin}}"),
            FieldStyle(no_value="Module files are not examined"),
        ),
        graph(
            "Loads",
            "Modules loaded, by what was known of their signature.",
            (
                Query(
                    expr=f"sum by (signature) ({grown('kmodmon_module_loads_total')}) > 0",
                    legend="{{signature}}",
                ),
            ),
            FieldStyle(no_value="Nothing was loaded"),
            bars=True,
            width=8,
        ),
        table(
            "Last loads without a valid signature",
            "Who loaded what and when, also if it is gone by now; kept for a day.",
            (Query(expr=moment_of("kmodmon_module_load_timestamp_seconds", _NOT_VALID), table=True),),
            (
                TableColumn(source="Value", title="When", look=FieldStyle(unit="dateTimeAsIso")),
                _HOST,
                TableColumn(source="module", title="Module"),
                TableColumn(source="taints", title="Taints", width=80),
                TableColumn(source="actor", title="By"),
            ),
            Shape(
                no_value="None within a day",
                width=16,
                height=8,
                sort="When",
                descending=True,
            ),
        ),
    ),
)
_KERNELS = PanelRow(
    title="Kernels",
    panels=(
        bars(
            "Hosts by kernel",
            "How many hosts run each kernel release.",
            Query(expr=f"count by (release) ({of('kmodmon_kernel_info')})", legend="{{release}}"),
            FieldStyle(no_value="No host answers"),
        ),
        graph(
            "Kernel reports",
            "What kernels reported of themselves, by kind, repeats included.",
            (
                Query(
                    expr=f"sum by (signature) ({grown('kmodmon_kernel_reports_total')}) > 0",
                    legend="{{signature}}",
                ),
            ),
            FieldStyle(no_value="No kernel reported anything"),
            bars=True,
            width=8,
        ),
        table(
            "Last kernel reports",
            "Which kernel reported what and when; kept for a day.",
            (Query(expr=moment_of("kmodmon_kernel_report_timestamp_seconds"), table=True),),
            (
                TableColumn(source="Value", title="When", look=FieldStyle(unit="dateTimeAsIso")),
                _HOST,
                TableColumn(source="signature", title="Report"),
                TableColumn(source="module", title="Module"),
            ),
            Shape(
                no_value="None within a day",
                width=8,
                height=8,
                sort="When",
                descending=True,
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid=FLEET,
    title="kmodmon / Fleet",
    description="The kernels of all hosts: posture, taint, modules, reports.",
    rows=(_SUMMARY, _ALERTS, _POSTURE, _TAINT, _MODULES, _KERNELS),
)
