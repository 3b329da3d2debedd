from tests.alerts.case import Case, Input, always, happened, moment, series, since, steps

_AT = "kmodmon_kernel_report_timestamp_seconds"
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


def earlier(signature: str) -> Input:
    return {series("kmodmon_previous_boot_report_timestamp_seconds", signature=signature, module="hello"): happened(10)}


def repeated(*minutes: int) -> Input:
    ends = (*minutes[1:], 90)
    times = ((at * 60, end - at) for at, end in zip(minutes, ends, strict=True))
    return {series(_AT, signature="warning", module="hello"): steps(*times)}


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
        alert="KmodPreviousBootPanicked",
        fires=earlier("panic"),
        at="10m",
        labels={"signature": "panic", "module": "hello"},
        description="The kernel of db1:10069 panicked before it was booted this time: panic, module hello.",
        clears="31m",
        miss="it was no panic",
        near=earlier("warning"),
    ),
    Case(
        alert="KmodPreviousBootReported",
        fires=earlier("warning"),
        at="10m",
        labels={"signature": "warning", "module": "hello"},
        description="Before db1:10069 was booted this time, its kernel reported warning, module hello.",
        clears="31m",
        miss="it was a panic, which has an alert of its own",
        near=earlier("panic"),
    ),
    Case(
        alert="KmodKernelReportRepeating",
        fires=repeated(0, 1, 2, 3, 4, 5),
        at="5m",
        labels={"signature": "warning", "module": "hello"},
        description="warning was reported in at least six different minutes of the last 15 on db1:10069, module hello.",
        clears="17m",
        miss="it was reported five times",
        near=repeated(0, 1, 2, 3, 4),
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
