"""Alerts on the kernel log as evidence: records that were lost, and records that are forged."""

from grafana.src.alerts.alert import Alert, AlertSeverity, Group, Runbook
from grafana.src.alerts.promql import CLEARS, INCREASE_CLEARS, KEEP_FIRING, increased

ALERTS = (
    Alert(
        name="KmodKernelLogForged",
        # No user is to wake the person on call: with luck a user has the kernel print such lines.
        severity=AlertSeverity.WARNING,
        expr=increased("kmodmon_kernel_log_forged_total"),
        keep_firing_for=KEEP_FIRING,
        summary="Somebody forged kernel reports in the kernel log.",
        description="On {{ $labels.instance }} lines in the words of the kernel are in its log that are no reports of "
        "the kernel.",
        attack=("T1565", "T1562"),
        runbook=Runbook(
            meaning="A program wrote them to /dev/kmsg, where the kernel's mark is missing, or a user had the kernel "
            "print them, and the kernel's counters and taint bits know of no such report. kmodmon does not believe "
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
        name="KmodKernelReportUnconfirmed",
        severity=AlertSeverity.WARNING,
        expr=increased("kmodmon_kernel_reports_unconfirmed_total"),
        keep_firing_for=KEEP_FIRING,
        summary="The kernel log has a report that the kernel's own counters do not confirm.",
        description="On {{ $labels.instance }} the kernel log has a report {{ $labels.signature }}, and the kernel "
        "counted none.",
        attack=("T1565", "T1562"),
        runbook=Runbook(
            meaning="A real report of this kind raises a counter in /sys/kernel or sets a taint bit, and within a "
            "second neither happened. As a rule a user had the kernel print a text of the user's choice.",
            impact="None by itself; the module that the text names is innocent. Find who does it, and what it is to "
            "hide.",
            commands=(
                "kmodmon events --since 1h --type KernelReport",
                "grep . /sys/kernel/oops_count /sys/kernel/warn_count",
                "kmodmon taint",
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
        name="KmodEventsSuppressed",
        severity=AlertSeverity.WARNING,
        expr=increased("kmodmon_events_suppressed_total"),
        summary="More events came that users can cause than are told.",
        description="On {{ $labels.instance }} events {{ $labels.type }} were only counted.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="The same event is told once in ten minutes, and a hundred different ones of a kind are; the rest "
            "is counted, so that nobody can push other events out of the history.",
            impact="A program in a loop, or somebody who hides one event among many. Refused loads of root's own tools "
            "have a share of their own, which users do not use up.",
            commands=(
                "kmodmon events --since 1h --type EventsSuppressed",
                "kmodmon events --since 1h --type ModuleLoadFailed",
                "kmodmon events --since 1h --type ModuleRequested",
            ),
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
