"""Alerts on taint flags of the kernel, by their tier."""

from grafana.src.alerts.alert import BELOW_CRITICAL, Alert, AlertSeverity, Group, InhibitRule, Runbook
from grafana.src.alerts.promql import CLEARS, KEEP_FIRING, label_replace, matcher, recent, selector
from kmodmon.kernel.taint import Tier
from kmodmon.kernel.taint_vendor import every_flag

_SET_AT = "kmodmon_kernel_taint_set_timestamp_seconds"
_DESCRIPTION = (
    "Taint {{ $labels.flag }} was set on {{ $labels.instance }} at {{ $value | humanizeTimestamp }}; cause: "
    "{{ $labels.cause }}."
)
_COMMANDS = ("kmodmon taint", "kmodmon events --since 1h --type TaintAdded", "kmodmon status")


def flags(tier: Tier) -> tuple[str, ...]:
    """Names of the flags of one tier; a bit that no table names counts as degraded, because its meaning is unknown."""
    names = tuple(flag.label for flag in every_flag() if flag.tier is tier)
    return (*names, "bit_.+") if tier is Tier.DEGRADED else names


def _set_expr(tier: Tier) -> str:
    # The cause becomes labels, so that the alert about the cause can inhibit the one about the taint.
    expr = recent(_SET_AT, matcher("flag", flags(tier)))
    return label_replace(label_replace(expr, "module", "cause", "module:(.*)"), "signature", "cause", "report:(.*)")


def _tier_alert(
    tier: Tier, severity: AlertSeverity, summary: str, runbook: Runbook, attack: tuple[str, ...] = ()
) -> Alert:
    return Alert(
        name=f"KmodTaint{tier.value.capitalize()}",
        severity=severity,
        expr=_set_expr(tier),
        keep_firing_for=KEEP_FIRING,
        summary=summary,
        description=_DESCRIPTION,
        attack=attack,
        runbook=runbook,
    )


ALERTS = (
    _tier_alert(
        Tier.SECURITY,
        AlertSeverity.CRITICAL,
        "The kernel can no longer be trusted: a grave taint was set.",
        Runbook(
            meaning="A taint flag was set that means foreign code, a kernel that died, or corrupted memory: "
            + ", ".join(flags(Tier.SECURITY))
            + ".",
            impact="What this kernel says, kmodmon's readings included, may be wrong from now on.",
            commands=_COMMANDS,
            clears=CLEARS + " The flag itself stays until reboot.",
        ),
        ("T1547.006",),
    ),
    _tier_alert(
        Tier.DEGRADED,
        AlertSeverity.WARNING,
        "The kernel is degraded: a taint was set.",
        Runbook(
            meaning="A taint flag was set that means a warning, a lockup, failing hardware or the like: "
            + ", ".join(name.replace("bit_.+", "bits that no table names") for name in flags(Tier.DEGRADED))
            + ".",
            impact="Something that should not happen did; the kernel went on. Faults that follow may come of it.",
            commands=_COMMANDS,
            clears=CLEARS + " The flag itself stays until reboot.",
        ),
    ),
    _tier_alert(
        Tier.INFORMATIONAL,
        AlertSeverity.INFO,
        "A taint was set that is usual on many hosts.",
        Runbook(
            meaning="A taint flag was set that tells of a choice, not of a fault: "
            + ", ".join(flags(Tier.INFORMATIONAL))
            + ".",
            impact="None by itself; it matters when something else goes wrong.",
            commands=_COMMANDS,
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodTaintUnexplained",
        severity=AlertSeverity.WARNING,
        expr=recent(_SET_AT, 'cause="unexplained"'),
        keep_firing_for=KEEP_FIRING,
        summary="A taint was set and nothing explains it.",
        description="Taint {{ $labels.flag }} was set on {{ $labels.instance }} at {{ $value | humanizeTimestamp }}, "
        "and neither a module nor a kernel report accounts for it.",
        attack=("T1014",),
        runbook=Runbook(
            meaning="kmodmon ties each flag to the module or report that set it. Here there was none: a source is "
            "missing (`kmodmon doctor`), records were lost, somebody wrote /proc/sys/kernel/tainted, or what set it "
            "hides.",
            impact="Unknown, which is the point.",
            commands=("kmodmon taint", "kmodmon doctor", "kmodmon events --since 1h"),
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodTaintFell",
        severity=AlertSeverity.CRITICAL,
        expr="kmodmon_kernel_taint_cleared_total > 0",
        keep_firing_for=KEEP_FIRING,
        summary="A taint flag was cleared, which the kernel never does.",
        description="{{ $value }} taint flags fell on {{ $labels.instance }} in this boot: somebody writes kernel "
        "memory.",
        attack=("T1014", "T1562"),
        inhibit_rules=(InhibitRule(targets="KmodTaint.+", equal=("instance",), severities=BELOW_CRITICAL),),
        runbook=Runbook(
            meaning="The taint number is smaller than it was earlier in the same boot. The kernel has no code that "
            "does that; rootkits reset it to hide that they were loaded.",
            impact="Treat the host as compromised. Keep its memory if you can, and the history elsewhere.",
            commands=("kmodmon taint", "kmodmon events --type TaintCleared", "kmodmon events --verify"),
            clears="With the reboot, and not before.",
        ),
    ),
    Alert(
        name="KmodKernelTainted",
        severity=AlertSeverity.INFO,
        expr=selector("kmodmon_kernel_taint", matcher("flag", flags(Tier.SECURITY))) + " == 1",
        hold="15m",
        summary="The kernel is tainted by something grave.",
        description="The kernel of {{ $labels.instance }} carries the taint {{ $labels.flag }} ({{ $labels.letter }}), "
        "set in this boot.",
        runbook=Runbook(
            meaning="The standing state behind KmodTaintSecurity; also where the flag was set before kmodmon started.",
            impact="As for KmodTaintSecurity.",
            commands=("kmodmon taint", "kmodmon modules --tainted", "kmodmon status"),
            clears="With the reboot.",
        ),
    ),
)

GROUP = Group(name="kmodmon.taint", alerts=ALERTS)
