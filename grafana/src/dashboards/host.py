"""One host: what is loaded, what tainted its kernel, what happened, and what its kernel said."""

from grafana.src.dashboards.dashboard import HOST, Dashboard, Mark, PanelRow, variable, web_link
from grafana.src.dashboards.event_table import STAMPS, WHEN, WHOSE, happened
from grafana.src.dashboards.host_log import LOG, PARAMETERS, REPORTS
from grafana.src.dashboards.host_modules import MODULES
from grafana.src.dashboards.panel import (
    BAD,
    GOOD,
    NONE_IS_GOOD,
    NONE_IS_VITAL,
    QUIET,
    WARN,
    FieldStyle,
    Query,
    Shape,
    TableColumn,
    stat,
    table,
    timeline,
)
from grafana.src.dashboards.queries import FOREIGN, LOCKDOWN, SELECT, moment_of, of

_SUMMARY = PanelRow(
    title="Can this kernel be trusted?",
    panels=(
        stat(
            "Taint",
            "The kernel's taint number. 0: nothing happened to it. What each flag means and who set it is below.",
            of("kmodmon_kernel_tainted"),
            FieldStyle(unit="none", mappings={"0": ("not tainted", GOOD)}, steps=NONE_IS_GOOD, no_value="not readable"),
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
            of("kmodmon_signature_enforced"),
            FieldStyle(mappings={"0": ("no", WARN), "1": ("yes", GOOD)}, no_value="cannot be told"),
        ),
        stat(
            "Secure Boot",
            "Whether the firmware verified what it booted.",
            of("kmodmon_secure_boot"),
            FieldStyle(mappings={"0": ("off", WARN), "1": ("on", GOOD)}, no_value="no EFI"),
        ),
        stat(
            "Closed to modules",
            "Whether modules can neither be loaded nor removed until reboot.",
            of("kmodmon_modules_disabled"),
            FieldStyle(mappings={"0": ("no", QUIET), "1": ("yes", GOOD)}, no_value="no modules"),
        ),
        stat(
            "Modules",
            "Modules that the kernel lists now.",
            f"sum without (state) ({of('kmodmon_modules')})",
            FieldStyle(no_value="no modules"),
        ),
        stat(
            "Unsigned modules",
            "Loaded modules that carry no signature the kernel trusts.",
            f"sum without (signature) ({of('kmodmon_modules_by_trust', signature=FOREIGN)})",
            FieldStyle(steps=NONE_IS_VITAL),
        ),
        stat(
            "Up since",
            "When this kernel was booted.",
            moment_of("kmodmon_kernel_boot_timestamp_seconds"),
            FieldStyle(unit="dateTimeFromNow"),
        ),
    ),
)
_TAINT = PanelRow(
    title="Taint",
    panels=(
        timeline(
            "Taint ledger",
            "Every flag that was set at some time in the time shown. The kernel never clears one: a flag that ends "
            "without a reboot was cleared by somebody who writes kernel memory.",
            Query(
                expr=f"{of('kmodmon_kernel_taint')}\n  and max_over_time({of('kmodmon_kernel_taint')}[$__range]) == 1",
                legend="{{flag}} ({{letter}})",
            ),
            FieldStyle(mappings={"0": ("clear", GOOD), "1": ("set", BAD)}, no_value="Not tainted in this time"),
        ),
        table(
            "Who set it",
            f"What explains each flag that was set while kmodmon watched; {STAMPS}. `kmodmon taint` shows the rest.",
            happened("kmodmon_kernel_taint_set_timestamp_seconds"),
            (WHEN, WHOSE, TableColumn(source="flag", title="Taint"), TableColumn(source="cause", title="Cause")),
            Shape(
                no_value="No flag was set within a day",
                width=12,
                height=7,
                sort="When",
                descending=True,
            ),
        ),
        table(
            "Posture changes",
            f"Settings that were changed, in either direction; {STAMPS}.",
            happened("kmodmon_posture_change_timestamp_seconds"),
            (WHEN, WHOSE, TableColumn(source="setting", title="Setting")),
            Shape(
                no_value="Nothing changed within a day",
                width=6,
                height=7,
                sort="When",
                descending=True,
            ),
        ),
        table(
            "Hardening",
            "Settings that harden the kernel, as /proc/sys shows them.",
            (Query(expr=of("kmodmon_hardening"), table=True),),
            (
                WHOSE,
                TableColumn(source="setting", title="Setting"),
                TableColumn(source="Value", title="Value", look=FieldStyle(unit="none")),
            ),
            Shape(
                no_value="Not readable",
                width=6,
                height=7,
                sort="Setting",
            ),
        ),
    ),
)
_MARKS = (
    Mark(
        name="Modules loaded",
        expr=moment_of("kmodmon_module_load_timestamp_seconds"),
        title="{{module}} was loaded",
        text="by {{actor}}, signature {{signature}}, taints {{taints}}",
        colour="blue",
    ),
    Mark(
        name="Taint",
        expr=moment_of("kmodmon_kernel_taint_set_timestamp_seconds"),
        title="Taint {{flag}}",
        text="{{cause}}",
        colour="orange",
    ),
    Mark(
        name="Kernel reports",
        expr=moment_of("kmodmon_kernel_report_timestamp_seconds"),
        title="{{signature}}",
        text="module {{module}}",
        colour="red",
    ),
    Mark(
        name="Hidden modules",
        expr=moment_of("kmodmon_module_hidden_timestamp_seconds"),
        title="{{module}} hides",
        text="{{confidence}}",
        colour="dark-red",
    ),
    Mark(
        name="Posture and parameters",
        expr=f"{moment_of('kmodmon_posture_change_timestamp_seconds')} or "
        + moment_of("kmodmon_module_parameter_change_timestamp_seconds"),
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
    marks=_MARKS,
    variables=(
        variable(
            "module", f"label_values(kmodmon_module_size_bytes{{{SELECT}}}, module)", "Modules to show in the tables."
        ),
    ),
    links=(
        web_link("Status page", "http://${instance:raw}/", "The page of the host's own kmodmon, if it can be reached."),
    ),
)
