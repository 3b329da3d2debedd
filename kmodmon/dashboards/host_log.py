"""The parts of the host's dashboard that are about parameters, kernel reports and the kernel log."""

from kmodmon.dashboards.dashboard import Row
from kmodmon.dashboards.happened import STAMPS, WHEN, WHOSE, happened
from kmodmon.dashboards.panel import NONE_IS_VITAL, Column, Look, Query, Shape, graph, stat, table
from kmodmon.dashboards.queries import MODULE, grown, of

REPORTS = Row(
    title="What the kernel reported",
    panels=(
        graph(
            "Kernel reports",
            "Crashes, warnings, stalls and the like, by kind, repeats included.",
            (Query(expr=f"sum by (signature) ({grown('kmodmon_kernel_reports_total')}) > 0", legend="{{signature}}"),),
            Look(no_value="The kernel reported nothing"),
            bars=True,
        ),
        table(
            "Last kernel reports",
            f"What was reported, when, and which module it names; {STAMPS}.",
            happened("kmodmon_kernel_report_timestamp_seconds"),
            (WHEN, WHOSE, Column(source="signature", title="Report"), Column(source="module", title="Module")),
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
                Column(source="Value", title="Found", look=Look(unit="dateTimeAsIso"), width=190),
                WHOSE,
                Column(source="signature", title="Report"),
                Column(source="module", title="Module"),
            ),
            Shape(no_value="Nothing was found within a day", width=8, height=8, sort="Found", descending=True),
        ),
        stat(
            "Oopses",
            "Crashes of this kernel since boot, by its own count.",
            of("kmodmon_kernel_oops_count"),
            Look(steps=NONE_IS_VITAL, no_value="kernel before 6.2"),
            width=2,
        ),
        stat(
            "Warnings",
            "Warnings of this kernel since boot, by its own count.",
            of("kmodmon_kernel_warn_count"),
            Look(steps=NONE_IS_VITAL, no_value="kernel before 6.2"),
            width=2,
        ),
    ),
)
PARAMETERS = Row(
    title="Parameters",
    panels=(
        table(
            "Parameters changed",
            f"Which parameters were changed while their module was loaded; {STAMPS}.",
            happened("kmodmon_module_parameter_change_timestamp_seconds"),
            (WHEN, WHOSE, Column(source="module", title="Module"), Column(source="parameter", title="Parameter")),
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
                Column(source="module", title="Module"),
                Column(source="parameter", title="Parameter"),
                Column(source="Value", title="Value", look=Look(unit="none")),
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
LOG = Row(
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
            Look(no_value="The log is not read"),
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
            Look(steps=NONE_IS_VITAL, no_value="The log is not read"),
            bars=True,
        ),
    ),
)
