"""Alerts on the kernel log as evidence: records that were lost, and text of user space that imitates reports."""

from grafana.src.alerts.alert import Alert, AlertSeverity, Group, Runbook
from grafana.src.alerts.promql import CLEARS, INCREASE_CLEARS, KEEP_FIRING, increased

ALERTS = (
    Alert(
        name="KmodKernelLogForged",
        severity=AlertSeverity.CRITICAL,
        expr=increased("kmodmon_kernel_log_forged_total"),
        keep_firing_for=KEEP_FIRING,
        summary="Somebody brought false kernel reports into the kernel log from user space.",
        description="On {{ $labels.instance }} lines in the words of a kernel report came into the kernel log "
        "from a program.",
        attack=("T1565", "T1562"),
        runbook=Runbook(
            meaning="A program wrote to /dev/kmsg, or chose a name or an option that the kernel prints: of a task, a "
            "mount, a disk. kmodmon does not believe it; other readers of the log may. The event has the text; "
            "facility 0 means that the kernel printed it.",
            impact="A test, or somebody who wants to mislead you or to hide a real report in false ones.",
            commands=(
                "kmodmon events --since 1h --type LogForged",
                "dmesg --decode --userspace",
                "kmodmon events --since 1h --type KernelReport",
            ),
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodKernelLogLost",
        severity=AlertSeverity.WARNING,
        expr=increased("kmodmon_kernel_log_lost_total"),
        summary="Records of the kernel log were lost.",
        description="On {{ $labels.instance }} records of the kernel log were overwritten before kmodmon had read "
        "them.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="More was written than the ring holds while kmodmon was not running or had no time. The number is "
            "exact.",
            impact="A report may be among what was lost: compare with oops_count and warn_count.",
            commands=(
                "kmodmon events --since 1h --type LogLost",
                "kmodmon doctor",
                "dmesg --level emerg,alert,crit,err,warn",
            ),
            clears=INCREASE_CLEARS,
        ),
    ),
    Alert(
        name="KmodKernelLogMalformed",
        severity=AlertSeverity.WARNING,
        expr=increased("kmodmon_kernel_log_malformed_total"),
        summary="What comes from the kernel log is not of its form.",
        description="On {{ $labels.instance }} /dev/kmsg gives records that cannot be understood.",
        runbook=Runbook(
            meaning="The path leads to something else than the kernel's log, or the kernel writes a form that kmodmon "
            "does not know.",
            impact="Reports in those records are not recognised.",
            commands=("kmodmon doctor", "ls -l /dev/kmsg", "kmodmon status"),
            clears=INCREASE_CLEARS,
        ),
    ),
    Alert(
        name="KmodLockdownDenied",
        severity=AlertSeverity.INFO,
        expr=increased("kmodmon_events_total", 'type="LockdownDenied"'),
        summary="Lockdown refused something.",
        description="On {{ $labels.instance }} a program tried what lockdown forbids; the kernel's log names it.",
        attack=("T1014",),
        runbook=Runbook(
            meaning="Reading kernel memory, raw port access, hibernation or the like was refused. Refused modules have "
            "an alert of their own.",
            impact="None; who tried is worth knowing.",
            commands=(
                "kmodmon events --since 1h --type LockdownDenied",
                "kmodmon status",
                "dmesg | kmodmon explain --all --log -",
            ),
            clears=INCREASE_CLEARS,
        ),
    ),
)

GROUP = Group(name="kmodmon.log", alerts=ALERTS)
