"""Alerts on kernel reports in the log. Each signature of the table belongs to exactly one alert."""

from grafana.src.alerts.alert import Alert, AlertSeverity, Group, InhibitRule, Runbook
from grafana.src.alerts.promql import CLEARS, KEEP_FIRING, increased, matcher, recent
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.table import SIGNATURES

_REPORTED_AT = "kmodmon_kernel_report_timestamp_seconds"
_DESCRIPTION = (
    "{{ $labels.signature }} on {{ $labels.instance }} at {{ $value | humanizeTimestamp }}{{ with $labels.module }}, "
    "module {{ . }}{{ end }}."
)
_COMMANDS = ("kmodmon events --since 1h --type KernelReport", "dmesg | kmodmon explain --log -", "kmodmon taint")
_INHIBIT_TAINT = InhibitRule(targets="KmodTaint.+", equal=("instance", "signature"))
_PANIC = "panic"


def signatures(*classes: ReportClass) -> tuple[str, ...]:
    """Names of the signatures of these classes, without those of a panic: see panics()."""
    return tuple(
        dict.fromkeys(
            signature.name
            for signature in SIGNATURES
            if signature.report_class in classes and not signature.name.startswith(_PANIC)
        )
    )


def panics() -> tuple[str, ...]:
    """Names of the signatures of a panic, whatever class of report led to it."""
    return tuple(dict.fromkeys(signature.name for signature in SIGNATURES if signature.name.startswith(_PANIC)))


def _report(
    name: str, severity: AlertSeverity, names: tuple[str, ...], summary: str, runbook: tuple[str, str], *attack: str
) -> Alert:
    meaning, impact = runbook
    return Alert(
        name=name,
        severity=severity,
        expr=recent(_REPORTED_AT, matcher("signature", names)),
        keep_firing_for=KEEP_FIRING,
        summary=summary,
        description=_DESCRIPTION,
        attack=attack,
        inhibit_rules=(_INHIBIT_TAINT,),
        runbook=Runbook(meaning=meaning, impact=impact, commands=_COMMANDS, clears=CLEARS),
    )


_REPORTS = (
    _report(
        "KmodKernelPanic",
        AlertSeverity.CRITICAL,
        panics(),
        "The kernel panicked.",
        (
            "The kernel gave up. It was heard because it took a moment to end, or because the log of it was read.",
            "The host is down or was down; what it did is lost.",
        ),
        "T1499",
    ),
    _report(
        "KmodKernelOops",
        AlertSeverity.CRITICAL,
        signatures(ReportClass.OOPS, ReportClass.BUG),
        "The kernel crashed in one task and went on.",
        (
            "A bad access or a failed assertion in kernel code; the task that ran it was killed in the middle.",
            "Locks may be held for ever and data may be half written. Save the report and reboot soon. Failed exploits "
            "look like this.",
        ),
        "T1068",
    ),
    _report(
        "KmodKernelMemoryCorrupted",
        AlertSeverity.CRITICAL,
        signatures(
            ReportClass.CORRUPTION,
            ReportClass.STACK_OVERFLOW,
            ReportClass.REFCOUNT,
            ReportClass.KASAN,
            ReportClass.KFENCE,
        ),
        "Kernel memory was found corrupted.",
        (
            "A check found memory that was used after it was freed, overwritten, or counted wrongly.",
            "Data in memory, and what is written to disk from it, may be wrong; an attacker may be at work.",
        ),
        "T1068",
    ),
    _report(
        "KmodKernelLockup",
        AlertSeverity.CRITICAL,
        signatures(ReportClass.SOFT_LOCKUP, ReportClass.HARD_LOCKUP),
        "A processor is stuck in the kernel.",
        (
            "A processor ran kernel code for many seconds without scheduling, or without interrupts.",
            "What waits for that processor or the lock it holds stands still; the host may hang.",
        ),
    ),
    _report(
        "KmodKernelStall",
        AlertSeverity.WARNING,
        signatures(ReportClass.RCU_STALL, ReportClass.WORKQUEUE_STALL),
        "The kernel's housekeeping is stuck.",
        (
            "RCU or a workqueue has waited for too long for a processor.",
            "Memory is not freed and deferred work is not done; often a lockup follows, or the host is starved by its "
            "hypervisor.",
        ),
    ),
    _report(
        "KmodKernelHungTask",
        AlertSeverity.WARNING,
        signatures(ReportClass.HUNG_TASK),
        "A task is blocked in the kernel.",
        (
            "A task has waited without being able to be interrupted for minutes: a disk, a network file system, a "
            "lock.",
            "The task and what waits for it stand still; it cannot be killed.",
        ),
    ),
    _report(
        "KmodKernelWarning",
        AlertSeverity.WARNING,
        signatures(ReportClass.WARNING),
        "The kernel warned about itself.",
        (
            "Kernel code met something that its developers hold to be impossible, and went on.",
            "Often harmless, sometimes the first sign; the module named is the first suspect.",
        ),
    ),
    _report(
        "KmodKernelSanitizerReport",
        AlertSeverity.WARNING,
        signatures(
            ReportClass.KMSAN,
            ReportClass.KCSAN,
            ReportClass.UBSAN,
            ReportClass.LOCKDEP,
            ReportClass.ATOMIC_SLEEP,
            ReportClass.LEAK,
        ),
        "A checker in the kernel reported a bug.",
        (
            "A sanitizer, the lock validator or the leak detector found a fault in kernel code.",
            "A bug that is there on every host with this kernel; report it to whoever built it.",
        ),
    ),
    _report(
        "KmodHardwareFault",
        AlertSeverity.WARNING,
        signatures(ReportClass.MACHINE_CHECK, ReportClass.NMI),
        "The kernel reported faulty hardware.",
        (
            "A machine check, an uncorrected memory error, a bus error or an interrupt nobody can explain.",
            "Data may be wrong, and the part will fail again.",
        ),
    ),
    _report(
        "KmodStorageFault",
        AlertSeverity.WARNING,
        signatures(ReportClass.IO_ERROR, ReportClass.FILESYSTEM),
        "The kernel reported errors of a disk or a file system.",
        (
            "A block device did not do what it was asked, or a file system found its structures damaged.",
            "Data may be lost, and a file system may be read-only from now on.",
        ),
    ),
    _report(
        "KmodMemoryExhausted",
        AlertSeverity.INFO,
        signatures(ReportClass.OOM, ReportClass.PAGE_ALLOCATION),
        "The kernel ran out of memory.",
        (
            "A process was killed for want of memory, or the kernel could not get the pages it wanted.",
            "Whatever was killed is gone; a driver that got no pages may have dropped data.",
        ),
    ),
    _report(
        "KmodKernelReport",
        AlertSeverity.INFO,
        signatures(ReportClass.OTHER, ReportClass.NETDEV_REFCOUNT),
        "The kernel reported a fault of a device or a driver.",
        (
            "A report that is none of the graver classes: an interrupt nobody wanted, a hung GPU, crashed firmware.",
            "The device named, or what uses it.",
        ),
    ),
)

_FOUND_AT = "kmodmon_previous_boot_report_timestamp_seconds"
_PREVIOUS_BOOT = (
    Alert(
        name="KmodPreviousBootPanicked",
        severity=AlertSeverity.CRITICAL,
        expr=recent(_FOUND_AT, matcher("signature", panics())),
        keep_firing_for=KEEP_FIRING,
        summary="An earlier boot of the host ended in a panic.",
        description="The kernel of {{ $labels.instance }} panicked before it was booted this time: {{ "
        "$labels.signature }}"
        "{{ with $labels.module }}, module {{ . }}{{ end }}.",
        attack=("T1499",),
        runbook=Runbook(
            meaning="The firmware, or whatever serves as pstore, kept the last words of a kernel that died. They were "
            "found now.",
            impact="The host was down, and what brought it down is still there.",
            commands=(
                "kmodmon events --since 1h --type KernelReport",
                "ls -l /sys/fs/pstore /var/lib/systemd/pstore",
                "kmodmon taint",
            ),
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodPreviousBootReported",
        severity=AlertSeverity.INFO,
        expr=recent(_FOUND_AT, matcher("signature", panics()).replace("=~", "!~")),
        keep_firing_for=KEEP_FIRING,
        summary="Reports of an earlier boot were found.",
        description="Before {{ $labels.instance }} was booted this time, its kernel reported {{ $labels.signature }}"
        "{{ with $labels.module }}, module {{ . }}{{ end }}.",
        runbook=Runbook(
            meaning="What pstore kept of earlier boots holds a report that was not told while the host was up.",
            impact="As the same report of this boot; see the alert about it.",
            commands=_COMMANDS,
            clears=CLEARS,
        ),
    ),
)
_OVERVIEW = (
    Alert(
        name="KmodKernelReportRepeating",
        severity=AlertSeverity.WARNING,
        expr=f"changes({_REPORTED_AT}[15m]) >= 5",
        summary="The kernel makes the same report again and again.",
        description="{{ $labels.signature }} was reported in at least six different minutes of the last 15 on "
        "{{ $labels.instance }}{{ with $labels.module }}, module {{ . }}{{ end }}.",
        runbook=Runbook(
            meaning="A report that comes again within a minute is counted and not told anew; this one was told six "
            "times.",
            impact="Something is broken for good, and the log drowns in it.",
            commands=_COMMANDS,
            clears="15 minutes after it became rarer.",
        ),
    ),
    Alert(
        name="KmodKernelReportsSuppressed",
        severity=AlertSeverity.WARNING,
        expr=increased("kmodmon_kernel_reports_suppressed_total"),
        summary="More different kernel reports came than are told one by one.",
        description="On {{ $labels.instance }} kernel reports came in a storm; some are only counted.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="Hundreds of different reports within a minute.",
            impact="The kernel falls apart, or somebody wants you not to see one of them.",
            commands=_COMMANDS,
            clears="15 minutes after the storm.",
        ),
    ),
    Alert(
        name="KmodKernelOopsUnread",
        severity=AlertSeverity.CRITICAL,
        expr='kmodmon_kernel_oops_count > 0\n  unless on (job, instance) kmodmon_source_up{source="kmsg"} == 1',
        summary="The kernel counts a crash that kmodmon cannot read about.",
        description="The kernel of {{ $labels.instance }} has counted {{ $value }} crashes in this boot, and kmodmon "
        "cannot read its log.",
        runbook=Runbook(
            meaning="/sys/kernel/oops_count is not 0, and /dev/kmsg cannot be read.",
            impact="As for KmodKernelOops, with nothing known of it here.",
            commands=("kmodmon doctor", "journalctl -k -b | kmodmon explain --log -", "kmodmon taint"),
            clears="With the reboot, or when the log can be read.",
        ),
    ),
)

GROUP = Group(name="kmodmon.reports", alerts=(*_REPORTS, *_PREVIOUS_BOOT, *_OVERVIEW))
