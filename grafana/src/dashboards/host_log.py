"""The rows of the Host dashboard about kernel reports, module parameters and the kernel log."""

from grafana.src.dashboards.dashboard import PanelRow
from grafana.src.dashboards.event_table import HOST_COLUMN, MODULE_COLUMN, RETENTION, TIME_COLUMN, event_table
from grafana.src.dashboards.panel import (
    BAD_FROM_ONE,
    FieldStyle,
    Query,
    TableColumn,
    TableOptions,
    stat,
    table,
    timeseries,
)
from grafana.src.dashboards.queries import (
    MODULE_MATCHER,
    increase_per_step,
    increase_query,
    select,
    sum_query,
    timestamp_ms,
)

REPORTS = PanelRow(
    title="What the kernel reported",
    panels=(
        timeseries(
            "Kernel reports",
            "Crashes, warnings, stalls and the like, by kind, repeats included.",
            (sum_query("signature", increase_per_step("kmodmon_kernel_reports_total")),),
            FieldStyle(no_value="The kernel reported nothing"),
            bars=True,
        ),
        event_table(
            "Last kernel reports",
            f"What was reported, when, and which module it names; {RETENTION}.",
            timestamp_ms("kmodmon_kernel_report_timestamp_seconds"),
            (TIME_COLUMN, HOST_COLUMN, TableColumn(source="signature", title="Report"), MODULE_COLUMN),
            TableOptions(no_value="Nothing was reported within a day", width=8, height=8),
        ),
        event_table(
            "Reports of earlier boots",
            "What the kernel said before it was booted this time, found in pstore within a day.",
            timestamp_ms("kmodmon_previous_boot_report_timestamp_seconds"),
            (
                TableColumn(source="Value", title="Found", style=FieldStyle(unit="dateTimeAsIso"), width=190),
                HOST_COLUMN,
                TableColumn(source="signature", title="Report"),
                MODULE_COLUMN,
            ),
            TableOptions(no_value="Nothing was found within a day", width=8, height=8),
        ),
        stat(
            "Oopses",
            "Crashes of this kernel since boot, by its own count.",
            select("kmodmon_kernel_oops_count"),
            FieldStyle(steps=BAD_FROM_ONE, no_value="kernel before 6.2"),
            width=2,
        ),
        stat(
            "Warnings",
            "Warnings of this kernel since boot, by its own count.",
            select("kmodmon_kernel_warn_count"),
            FieldStyle(steps=BAD_FROM_ONE, no_value="kernel before 6.2"),
            width=2,
        ),
    ),
)
PARAMETERS = PanelRow(
    title="Parameters",
    panels=(
        event_table(
            "Parameters changed",
            f"Which parameters were changed while their module was loaded; {RETENTION}.",
            timestamp_ms("kmodmon_module_parameter_change_timestamp_seconds"),
            (TIME_COLUMN, HOST_COLUMN, MODULE_COLUMN, TableColumn(source="parameter", title="Parameter")),
            TableOptions(no_value="None was changed within a day", width=10, height=8),
        ),
        table(
            "Parameters",
            "Numbers and switches as they are now. Choose a module above to see less.",
            (select("kmodmon_module_parameter", MODULE_MATCHER),),
            (
                HOST_COLUMN,
                MODULE_COLUMN,
                TableColumn(source="parameter", title="Parameter"),
                TableColumn(source="Value", title="Value", style=FieldStyle(unit="none")),
            ),
            TableOptions(no_value="No parameter can be read", width=14, height=8, sort="Module"),
        ),
    ),
)
LOG = PanelRow(
    title="Kernel log",
    panels=(
        timeseries(
            "Records by level",
            "What the kernel wrote into its log.",
            (
                Query(
                    expr=f"sum by (level) ({increase_per_step('kmodmon_kernel_log_records_total', origin='kernel')})",
                    legend="{{level}}",
                ),
            ),
            FieldStyle(no_value="The log is not read"),
            bars=True,
        ),
        timeseries(
            "Lost, forged, malformed",
            "Records that were overwritten before they were read, lines of user space in the kernel's words, and "
            "records of no known form. All should be 0.",
            (
                increase_query("kmodmon_kernel_log_lost_total", "lost"),
                increase_query("kmodmon_kernel_log_forged_total", "forged"),
                increase_query("kmodmon_kernel_log_malformed_total", "malformed"),
            ),
            FieldStyle(steps=BAD_FROM_ONE, no_value="The log is not read"),
            bars=True,
        ),
    ),
)
