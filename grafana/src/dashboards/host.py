"""The Host dashboard: posture, taint and modules of one kernel, and what it reported."""

from grafana.src.dashboards.dashboard import HOST, Annotation, Dashboard, PanelRow, label_variable, web_link
from grafana.src.dashboards.event_table import HOST_COLUMN, RETENTION, TIME_COLUMN, event_table
from grafana.src.dashboards.host_log import LOG, PARAMETERS, REPORTS
from grafana.src.dashboards.host_modules import MODULES
from grafana.src.dashboards.panel import (
    BAD,
    BAD_FROM_ONE,
    GOOD,
    NEUTRAL,
    WARN,
    WARN_FROM_ONE,
    FieldStyle,
    Query,
    TableColumn,
    TableOptions,
    stat,
    state_timeline,
    table,
)
from grafana.src.dashboards.queries import LOCKDOWN, UNTRUSTED, select, timestamp_ms

_SUMMARY = PanelRow(
    title="Can this kernel be trusted?",
    panels=(
        stat(
            "Taint",
            "The kernel's taint number. 0: nothing happened to it. What each flag means and who set it is below.",
            select("kmodmon_kernel_tainted"),
            FieldStyle(
                unit="none", mappings={"0": ("not tainted", GOOD)}, steps=WARN_FROM_ONE, no_value="not readable"
            ),
        ),
        stat(
            "Lockdown",
            "What lockdown keeps even root from doing to the kernel.",
            LOCKDOWN,
            FieldStyle(
                mappings={"0": ("none", WARN), "1": ("integrity", GOOD), "2": ("confidentiality", GOOD)},
                no_value="not in this kernel",
            ),
        ),
        stat(
            "Unsigned modules refused",
            "Whether the kernel refuses unsigned modules, by whatever decides it.",
            select("kmodmon_signature_enforced"),
            FieldStyle(mappings={"0": ("no", WARN), "1": ("yes", GOOD)}, no_value="cannot be told"),
        ),
        stat(
            "Secure Boot",
            "Whether the firmware verified what it booted.",
            select("kmodmon_secure_boot"),
            FieldStyle(mappings={"0": ("off", WARN), "1": ("on", GOOD)}, no_value="no EFI"),
        ),
        stat(
            "Closed to modules",
            "Whether modules can neither be loaded nor removed until reboot.",
            select("kmodmon_modules_disabled"),
            FieldStyle(mappings={"0": ("no", NEUTRAL), "1": ("yes", GOOD)}, no_value="no modules"),
        ),
        stat(
            "Modules",
            "Modules that the kernel lists now.",
            f"sum without (state) ({select('kmodmon_modules')})",
            FieldStyle(no_value="no modules"),
        ),
        stat(
            "Unsigned modules",
            "Loaded modules that carry no signature the kernel trusts.",
            f"sum without (signature) ({select('kmodmon_modules_by_trust', signature=UNTRUSTED)})",
            FieldStyle(steps=BAD_FROM_ONE),
        ),
        stat(
            "Up since",
            "When this kernel was booted.",
            timestamp_ms("kmodmon_kernel_boot_timestamp_seconds"),
            FieldStyle(unit="dateTimeFromNow"),
        ),
    ),
)
_TAINT_FLAGS = select("kmodmon_kernel_taint")
_TAINT = PanelRow(
    title="Taint",
    panels=(
        state_timeline(
            "Taint ledger",
            "Every flag that was set at some time in the time shown. The kernel never clears one: a flag that ends "
            "without a reboot was cleared by somebody who writes kernel memory.",
            Query(
                expr=f"{_TAINT_FLAGS}\n  and max_over_time({_TAINT_FLAGS}[$__range]) == 1",
                legend="{{flag}} ({{letter}})",
            ),
            FieldStyle(mappings={"0": ("clear", GOOD), "1": ("set", BAD)}, no_value="Not tainted in this time"),
        ),
        event_table(
            "Who set it",
            f"What explains each flag that was set while kmodmon watched; {RETENTION}. `kmodmon taint` shows the rest.",
            timestamp_ms("kmodmon_kernel_taint_set_timestamp_seconds"),
            (
                TIME_COLUMN,
                HOST_COLUMN,
                TableColumn(source="flag", title="Taint"),
                TableColumn(source="cause", title="Cause"),
            ),
            TableOptions(no_value="No flag was set within a day", width=12, height=7),
        ),
        event_table(
            "Posture changes",
            f"Settings that were changed, in either direction; {RETENTION}.",
            timestamp_ms("kmodmon_posture_change_timestamp_seconds"),
            (TIME_COLUMN, HOST_COLUMN, TableColumn(source="setting", title="Setting")),
            TableOptions(no_value="Nothing changed within a day", width=6, height=7),
        ),
        table(
            "Hardening",
            "Settings that harden the kernel, as /proc/sys shows them.",
            (select("kmodmon_hardening"),),
            (
                HOST_COLUMN,
                TableColumn(source="setting", title="Setting"),
                TableColumn(source="Value", title="Value", style=FieldStyle(unit="none")),
            ),
            TableOptions(no_value="Not readable", width=6, height=7, sort="Setting"),
        ),
    ),
)
_ANNOTATIONS = (
    Annotation(
        name="Modules loaded",
        expr=timestamp_ms("kmodmon_module_load_timestamp_seconds"),
        title="{{module}} was loaded",
        text="by {{actor}}, signature {{signature}}, taints {{taints}}",
        colour="blue",
    ),
    Annotation(
        name="Taint",
        expr=timestamp_ms("kmodmon_kernel_taint_set_timestamp_seconds"),
        title="Taint {{flag}}",
        text="{{cause}}",
        colour="orange",
    ),
    Annotation(
        name="Kernel reports",
        expr=timestamp_ms("kmodmon_kernel_report_timestamp_seconds"),
        title="{{signature}}",
        text="module {{module}}",
        colour="red",
    ),
    Annotation(
        name="Hidden modules",
        expr=timestamp_ms("kmodmon_module_hidden_timestamp_seconds"),
        title="{{module}} hides",
        text="{{confidence}}",
        colour="dark-red",
    ),
    Annotation(
        name="Posture and parameters",
        expr=f"{timestamp_ms('kmodmon_posture_change_timestamp_seconds')} or "
        + timestamp_ms("kmodmon_module_parameter_change_timestamp_seconds"),
        title="{{setting}}{{module}} {{parameter}} changed",
        text="",
        colour="purple",
    ),
)
DASHBOARD = Dashboard(
    uid=HOST,
    title="kmodmon / Host",
    description="One kernel: its posture, what tainted it, its modules, and what it said.",
    rows=(_SUMMARY, _TAINT, MODULES, REPORTS, PARAMETERS, LOG),
    annotations=_ANNOTATIONS,
    variables=(
        label_variable(
            "module", f"label_values({select('kmodmon_module_size_bytes')}, module)", "Modules to show in the tables."
        ),
    ),
    links=(
        web_link("Status page", "http://${instance:raw}/", "The page of the host's own kmodmon, if it can be reached."),
    ),
)
