from tests.alerts.case import Case, series, since, steps


def counter_case(
    alert: str, metric: str, description: str, clears: str = "26m", first: bool = False, **labels: str
) -> Case:
    """`first`: it had grown already when the host was first scraped."""
    counter = series(metric, **labels)
    return Case(
        alert=alert,
        fires={counter: since(10, 3) if first else steps((0, 10), (3, 60))},
        at="10m",
        labels=labels,
        description=description,
        clears=clears,
        miss="it grew long ago",
        near={counter: steps((3, 70))},
        near_at="20m",
    )


_FORGED = "On db1:10069 lines in the words of the kernel are in its log that are no reports of the kernel."

CASES = (
    counter_case("KmodKernelLogForged", "kmodmon_kernel_log_forged_total", _FORGED, clears="31m"),
    counter_case("KmodKernelLogForged", "kmodmon_kernel_log_forged_total", _FORGED, clears="31m", first=True),
    counter_case(
        "KmodKernelReportUnconfirmed",
        "kmodmon_kernel_reports_unconfirmed_total",
        "On db1:10069 the kernel log has a report null_pointer, and the kernel counted none.",
        clears="31m",
        signature="null_pointer",
    ),
    counter_case(
        "KmodEventsSuppressed",
        "kmodmon_events_suppressed_total",
        "On db1:10069 events ModuleLoadFailed were only counted.",
        type="ModuleLoadFailed",
    ),
    counter_case(
        "KmodKernelLogLost",
        "kmodmon_kernel_log_lost_total",
        "On db1:10069 records of the kernel log were overwritten before kmodmon had read them.",
    ),
    counter_case(
        "KmodKernelLogMalformed",
        "kmodmon_kernel_log_malformed_total",
        "On db1:10069 /dev/kmsg gives records that cannot be understood.",
    ),
    counter_case(
        "KmodLockdownDenied",
        "kmodmon_events_total",
        "On db1:10069 a program tried what lockdown forbids; the kernel's log names it.",
        type="LockdownDenied",
    ),
)
