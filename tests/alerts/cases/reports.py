from tests.alerts.case import Case, Input, always, happened, moment, series, since, steps

_AT = "kmodmon_kernel_report_timestamp_seconds"
_COUNT = "kmodmon_kernel_reports_total"
_SUPPRESSED = series("kmodmon_kernel_reports_suppressed_total")
_OOPSES = series("kmodmon_kernel_oops_count")
_KMSG = series("kmodmon_source_up", source="kmsg")

# A signature of each alert, and one that is of another alert and might be taken for it.
SIGNATURES = {
    "KmodKernelPanic": ("panic_soft_lockup", "soft_lockup"),
    "KmodKernelOops": ("null_pointer", "warning"),
    "KmodKernelMemoryCorrupted": ("list_corruption", "kmsan"),
    "KmodKernelLockup": ("soft_lockup", "panic_soft_lockup"),
    "KmodKernelStall": ("rcu_stall", "soft_lockup"),
    "KmodKernelHungTask": ("hung_task", "panic_hung_task"),
    "KmodKernelWarning": ("warning", "bug_on"),
    "KmodKernelSanitizerReport": ("ubsan", "kasan"),
    "KmodHardwareFault": ("mce", "panic_machine_check"),
    "KmodStorageFault": ("ext4_error", "panic_filesystem"),
    "KmodMemoryExhausted": ("oom_kill", "panic_oom"),
    "KmodKernelReport": ("nobody_cared", "nmi_unknown"),
}


def reported(signature: str, module: str) -> Input:
    return {series(_AT, signature=signature, module=module): happened(10)}


def report_case(alert: str, signature: str, other: str) -> Case:
    return Case(
        alert=alert,
        fires=reported(signature, "hello"),
        at="10m",
        labels={"signature": signature, "module": "hello"},
        description=f"{signature} on db1:10069 at {moment(10)}, module hello.",
        clears="31m",
        miss=f"{other} is another kind of report",
        near=reported(other, "hello"),
    )


CASES = (
    *(report_case(alert, *names) for alert, names in SIGNATURES.items()),
    Case(
        alert="KmodKernelWarning",
        fires=reported("warning", ""),
        at="10m",
        labels={"signature": "warning"},
        description=f"warning on db1:10069 at {moment(10)}.",
        clears="31m",
        miss="it is an hour old when the host is first scraped",
        near={series(_AT, signature="warning", module=""): always(-3600)},
    ),
    Case(
        alert="KmodKernelReportRepeating",
        fires={series(_COUNT, signature="nobody_cared"): steps((0, 10), (30, 60))},
        at="10m",
        labels={"signature": "nobody_cared"},
        description="nobody_cared was reported ten times or more within 15 minutes on db1:10069.",
        clears="26m",
        miss="five times",
        near={series(_COUNT, signature="nobody_cared"): steps((0, 10), (5, 60))},
        near_at="12m",
    ),
    Case(
        alert="KmodKernelReportRepeating",
        fires={series(_COUNT, signature="warning"): since(10, 500)},
        at="10m",
        labels={"signature": "warning"},
        description="warning was reported ten times or more within 15 minutes on db1:10069.",
        clears="26m",
        miss="it was counted long before",
        near={series(_COUNT, signature="warning"): always(500)},
        near_at="20m",
    ),
    Case(
        alert="KmodKernelReportsSuppressed",
        fires={_SUPPRESSED: steps((0, 10), (3, 60))},
        at="10m",
        description="On db1:10069 kernel reports came in a storm; some are only counted.",
        clears="26m",
        miss="the storm was long ago",
        near={_SUPPRESSED: always(3)},
        near_at="20m",
    ),
    Case(
        alert="KmodKernelOopsUnread",
        fires={_OOPSES: always(1), _KMSG: since(30, 1, before=0)},
        at="10m",
        description="The kernel of db1:10069 has counted 1 crashes in this boot, and kmodmon cannot read its log.",
        clears="31m",
        miss="the log is read, so the report has its own alert",
        near={_OOPSES: always(1), _KMSG: always(1)},
    ),
)
