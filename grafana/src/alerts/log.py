"""Alerts on the kernel log as evidence: what was lost of it, and what was put into it."""

from grafana.src.alerts.alert import Alert, Group, Level, Runbook
from grafana.src.alerts.promql import CLEARS, GREW_CLEARS, KEEP, grew

ALERTS = (
    Alert(
        name="KmodKernelLogForged",
        level=Level.CRITICAL,
        expr=grew("kmodmon_kernel_log_forged_total"),
        keep_firing=KEEP,
        summary="Somebody wrote kernel reports into the kernel log from user space.",
        description="On {{ $labels.instance }} lines in the words of the kernel were written to /dev/kmsg by a "
        "program.",
        attack=("T1565", "T1562"),
        runbook=Runbook(
            meaning="The kernel marks what it says itself, and these lines lack the mark. kmodmon does not believe "
            "them; other readers of the log may.",
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
        level=Level.WARNING,
        expr=grew("kmodmon_kernel_log_lost_total"),
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
            clears=GREW_CLEARS,
        ),
    ),
    Alert(
        name="KmodKernelLogMalformed",
        level=Level.WARNING,
        expr=grew("kmodmon_kernel_log_malformed_total"),
        summary="What comes from the kernel log is not of its form.",
        description="On {{ $labels.instance }} /dev/kmsg gives records that cannot be understood.",
        runbook=Runbook(
            meaning="The path leads to something else than the kernel's log, or the kernel writes a form that kmodmon "
            "does not know.",
            impact="Reports in those records are not recognised.",
            commands=("kmodmon doctor", "ls -l /dev/kmsg", "kmodmon status"),
            clears=GREW_CLEARS,
        ),
    ),
    Alert(
        name="KmodLockdownDenied",
        level=Level.INFO,
        expr=grew("kmodmon_events_total", 'type="LockdownDenied"'),
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
            clears=GREW_CLEARS,
        ),
    ),
)

GROUP = Group(name="kmodmon.log", alerts=ALERTS)
