"""The parts of the host's dashboard that are about parameters, kernel reports and the kernel log."""

from grafana.src.dashboards.dashboard import PanelRow
from grafana.src.dashboards.event_table import STAMPS, WHEN, WHOSE, happened
from grafana.src.dashboards.panel import NONE_IS_VITAL, FieldStyle, Query, Shape, TableColumn, graph, stat, table
from grafana.src.dashboards.queries import MODULE, grown, of

REPORTS = PanelRow(
    title="What the kernel reported",
    panels=(
        graph(
            "Kernel reports",
            "Crashes, warnings, stalls and the like, by kind, repeats included.",
            (Query(expr=f"sum by (signature) ({grown('kmodmon_kernel_reports_total')}) > 0", legend="{{signature}}"),),
            FieldStyle(no_value="The kernel reported nothing"),
            bars=True,
        ),
        table(
            "Last kernel reports",
            f"What was reported, when, and which module it names; {STAMPS}.",
            happened("kmodmon_kernel_report_timestamp_seconds"),
            (
                WHEN,
                WHOSE,
                TableColumn(source="signature", title="Report"),
                TableColumn(source="module", title="Module"),
            ),
            Shape(
                no_value="Nothing was reported within a day",
                width=8,
                height=8,
                sort="When",
                descending=True,
            ),
        ),
        table(
            "Reports of earlier boots",
            "What the kernel said before it was booted this time, found in pstore within a day.",
            happened("kmodmon_previous_boot_report_timestamp_seconds"),
            (
                TableColumn(source="Value", title="Found", look=FieldStyle(unit="dateTimeAsIso"), width=190),
                WHOSE,
                TableColumn(source="signature", title="Report"),
                TableColumn(source="module", title="Module"),
            ),
            Shape(no_value="Nothing was found within a day", width=8, height=8, sort="Found", descending=True),
        ),
        stat(
            "Oopses",
            "Crashes of this kernel since boot, by its own count.",
            of("kmodmon_kernel_oops_count"),
            FieldStyle(steps=NONE_IS_VITAL, no_value="kernel before 6.2"),
            width=2,
        ),
        stat(
            "Warnings",
            "Warnings of this kernel since boot, by its own count.",
            of("kmodmon_kernel_warn_count"),
            FieldStyle(steps=NONE_IS_VITAL, no_value="kernel before 6.2"),
            width=2,
        ),
    ),
)
PARAMETERS = PanelRow(
    title="Parameters",
    panels=(
        table(
            "Parameters changed",
            f"Which parameters were changed while their module was loaded; {STAMPS}.",
            happened("kmodmon_module_parameter_change_timestamp_seconds"),
            (
                WHEN,
                WHOSE,
                TableColumn(source="module", title="Module"),
                TableColumn(source="parameter", title="Parameter"),
            ),
            Shape(
                no_value="None was changed within a day",
                width=10,
                height=8,
                sort="When",
                descending=True,
            ),
        ),
        table(
            "Parameters",
            "Numbers and switches as they are now. Choose a module above to see less.",
            (Query(expr=of("kmodmon_module_parameter", MODULE), table=True),),
            (
                WHOSE,
                TableColumn(source="module", title="Module"),
                TableColumn(source="parameter", title="Parameter"),
                TableColumn(source="Value", title="Value", look=FieldStyle(unit="none")),
            ),
            Shape(
                no_value="No parameter can be read",
                width=14,
                height=8,
                sort="Module",
            ),
        ),
    ),
)
LOG = PanelRow(
    title="Kernel log",
    panels=(
        graph(
            "Records by level",
            "What the kernel wrote into its log.",
            (
                Query(
                    expr=f"sum by (level) ({grown('kmodmon_kernel_log_records_total', origin='kernel')})",
                    legend="{{level}}",
                ),
            ),
            FieldStyle(no_value="The log is not read"),
            bars=True,
        ),
        graph(
            "Lost, forged, malformed",
            "Records that were overwritten before they were read, lines of user space in the kernel's words, and "
            "records of no known form. All should be 0.",
            (
                Query(expr=f"sum({grown('kmodmon_kernel_log_lost_total')})", legend="lost"),
                Query(expr=f"sum({grown('kmodmon_kernel_log_forged_total')})", legend="forged"),
                Query(expr=f"sum({grown('kmodmon_kernel_log_malformed_total')})", legend="malformed"),
            ),
            FieldStyle(steps=NONE_IS_VITAL, no_value="The log is not read"),
            bars=True,
        ),
    ),
)
