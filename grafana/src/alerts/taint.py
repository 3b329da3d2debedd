"""Alerts on the kernel's taint, in three tiers: not all taint is equal."""

from grafana.src.alerts.alert import Alert, Group, Inhibit, Level, Runbook
from grafana.src.alerts.promql import CLEARS, KEEP, labelled, one_of, recent, series
from kmodmon.kernel.taint import Tier
from kmodmon.kernel.taint_vendor import every_flag

_SET = "kmodmon_kernel_taint_set_timestamp_seconds"
_WHAT = (
    "Taint {{ $labels.flag }} was set on {{ $labels.instance }} at {{ $value | humanizeTimestamp }}; cause: "
    "{{ $labels.cause }}."
)
_COMMANDS = ("kmodmon taint", "kmodmon events --since 1h --type TaintAdded", "kmodmon status")


def flags(tier: Tier) -> tuple[str, ...]:
    """Names of the flags of one tier; a bit that no table names counts as degraded, because nobody knows better."""
    known = tuple(flag.label for flag in every_flag() if flag.tier is tier)
    return (*known, "bit_.+") if tier is Tier.DEGRADED else known


def _set(tier: Tier) -> str:
    # The cause as labels, so that the alert about the cause can inhibit the one about the taint.
    found = recent(_SET, one_of("flag", flags(tier)))
    return labelled(labelled(found, "module", "cause", "module:(.*)"), "signature", "cause", "report:(.*)")


def _tier(tier: Tier, level: Level, summary: str, runbook: Runbook, attack: tuple[str, ...] = ()) -> Alert:
    return Alert(
        name=f"KmodTaint{tier.value.capitalize()}",
        level=level,
        expr=_set(tier),
        keep_firing=KEEP,
        summary=summary,
        description=_WHAT,
        attack=attack,
        runbook=runbook,
    )


ALERTS = (
    _tier(
        Tier.SECURITY,
        Level.CRITICAL,
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
    _tier(
        Tier.DEGRADED,
        Level.WARNING,
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
    _tier(
        Tier.INFORMATIONAL,
        Level.INFO,
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
        level=Level.WARNING,
        expr=recent(_SET, 'cause="unexplained"'),
        keep_firing=KEEP,
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
        level=Level.CRITICAL,
        expr="kmodmon_kernel_taint_cleared_total > 0",
        keep_firing=KEEP,
        summary="A taint flag was cleared, which the kernel never does.",
        description="{{ $value }} taint flags fell on {{ $labels.instance }} in this boot: somebody writes kernel "
        "memory.",
        attack=("T1014", "T1562"),
        inhibits=(Inhibit(targets="KmodTaint.+", equal=("instance",), levels=(Level.WARNING, Level.INFO)),),
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
        level=Level.INFO,
        expr=series("kmodmon_kernel_taint", one_of("flag", flags(Tier.SECURITY))) + " == 1",
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
