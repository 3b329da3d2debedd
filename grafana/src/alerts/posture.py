"""Alerts on protections of the kernel that are weaker than they were: lockdown, signatures, Secure Boot, sysctls."""

from grafana.src.alerts.alert import Alert, AlertSeverity, Group, Recording, Runbook
from grafana.src.alerts.promql import CLEARS, KEEP_FIRING, decreased, matcher, recent, sampled_state, selector
from kmodmon.kernel.sysctl import HARDENING

_CHANGED_AT = "kmodmon_posture_change_timestamp_seconds"
_LOCKDOWN_LEVEL = "instance:kmodmon_lockdown:level"
_CLEARS_WHEN_RESTORED = "When it is as it was, or a day after it fell."
_DISABLED = "kmodmon_modules_disabled"

# Settings of which a lower value is always weaker. The others have no such order: masks, limits where 0 means none.
ORDERED = (
    "kptr_restrict",
    "dmesg_restrict",
    "kexec_load_disabled",
    "perf_event_paranoid",
    "randomize_va_space",
    "ptrace_scope",
    "bpf_jit_harden",
    "loadpin_enforce",
)
BPF = "unprivileged_bpf_disabled"  # 0: every user, 1: nobody until reboot, 2: nobody, can be changed
_BPF_MATCHER = f'setting="{BPF}"'
_SETTINGS = "; ".join(f"{setting.name} ({setting.meaning})" for setting in HARDENING if setting.name in (*ORDERED, BPF))

RECORDINGS = (
    Recording(
        name=_LOCKDOWN_LEVEL,
        expr='max without (mode) (\n  0 * kmodmon_lockdown{mode="none"}\n  or kmodmon_lockdown{mode="integrity"}\n'
        '  or 2 * kmodmon_lockdown{mode="confidentiality"}\n)',
        description="Lockdown of each host as a number: 0 none, 1 integrity, 2 confidentiality.",
    ),
)

ALERTS = (
    Alert(
        name="KmodLockdownWeakened",
        severity=AlertSeverity.CRITICAL,
        expr=decreased(_LOCKDOWN_LEVEL),
        summary="Kernel lockdown is weaker than it was.",
        description="Lockdown on {{ $labels.instance }} is at level {{ $value }} (0 none, 1 integrity, 2 "
        "confidentiality) and was higher within the last day.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="The kernel cannot lower lockdown by itself: the host was booted with less, or kernel memory was "
            "written.",
            impact="Root can put unsigned code into the kernel again, or read its memory.",
            commands=("kmodmon status", "kmodmon events --since 1d --type LockdownChanged", "cat /proc/cmdline"),
            clears=_CLEARS_WHEN_RESTORED,
        ),
    ),
    Alert(
        name="KmodSignatureEnforcementLost",
        severity=AlertSeverity.CRITICAL,
        expr=decreased("kmodmon_signature_enforced"),
        summary="Unsigned modules are no longer refused.",
        description="{{ $labels.instance }} refused unsigned modules within the last day and does so no more.",
        attack=("T1562", "T1553"),
        runbook=Runbook(
            meaning="sig_enforce, lockdown or the kernel's configuration decided that modules must be signed, and what "
            "decides now says otherwise. Within one boot the kernel offers no way to do that.",
            impact="Anybody who is root can load code of his own into the kernel.",
            commands=(
                "kmodmon status",
                "kmodmon events --since 1d --type SignatureEnforcementChanged",
                "cat /proc/cmdline",
            ),
            clears=_CLEARS_WHEN_RESTORED,
        ),
    ),
    Alert(
        name="KmodModulesDisabledFell",
        severity=AlertSeverity.CRITICAL,
        expr=f"{_DISABLED} < max_over_time({_DISABLED}[15m])\n"
        "  and on (job, instance) time() - kmodmon_kernel_boot_timestamp_seconds > 1200",
        keep_firing_for="1h",
        summary="Loading of modules was possible again without a reboot.",
        description="kernel.modules_disabled on {{ $labels.instance }} went from 1 to 0 within one boot: somebody "
        "writes kernel memory.",
        attack=("T1562", "T1014"),
        runbook=Runbook(
            meaning="The switch can only be turned on. It was on, and is off, and the host has not been rebooted.",
            impact="Treat the host as compromised.",
            commands=(
                "kmodmon status",
                "kmodmon events --since 1h --type ModulesDisabled",
                "kmodmon events --since 1h",
            ),
            clears="75m after it happened.",
        ),
    ),
    Alert(
        name="KmodModulesDisabledCleared",
        severity=AlertSeverity.WARNING,
        expr=decreased("kmodmon_modules_disabled"),
        hold="15m",
        summary="Modules can be loaded again after a reboot.",
        description="{{ $labels.instance }} had closed the kernel to modules within the last day and, after a reboot, "
        "has not done so again.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="kernel.modules_disabled was 1 and is 0. A reboot clears it; what sets it at boot did not run, or "
            "has not run for 15 minutes.",
            impact="The host is open to new modules although it is meant not to be.",
            commands=(
                "kmodmon status",
                "kmodmon events --since 1d --type ModulesDisabled",
                "sysctl kernel.modules_disabled",
            ),
            clears=_CLEARS_WHEN_RESTORED,
        ),
    ),
    Alert(
        name="KmodSecureBootLost",
        severity=AlertSeverity.WARNING,
        expr=decreased("kmodmon_secure_boot"),
        summary="Secure Boot is off where it was on.",
        description="{{ $labels.instance }} booted with Secure Boot within the last day and does so no more.",
        attack=("T1542",),
        runbook=Runbook(
            meaning="The firmware's variables say that nothing was verified at boot.",
            impact="Boot loader and kernel can be anybody's; on many distributions lockdown goes with it.",
            commands=("kmodmon status", "kmodmon events --since 1d --type PostureChanged", "mokutil --sb-state"),
            clears=_CLEARS_WHEN_RESTORED,
        ),
    ),
    Alert(
        name="KmodModprobePathChanged",
        severity=AlertSeverity.CRITICAL,
        expr=recent(_CHANGED_AT, 'setting="modprobe"'),
        keep_firing_for=KEEP_FIRING,
        summary="The program that the kernel runs to load modules was changed.",
        description="kernel.modprobe on {{ $labels.instance }} was changed at {{ $value | humanizeTimestamp }}.",
        attack=("T1547.006", "T1068"),
        runbook=Runbook(
            meaning="The kernel runs this program as root when it wants a module. Overwriting its path is a usual last "
            "step of kernel exploits.",
            impact="Whatever it names now runs as root at the next request, which any user can cause.",
            commands=("kmodmon status", "kmodmon events --since 1h --type PostureChanged", "sysctl kernel.modprobe"),
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodHardeningWeakened",
        severity=AlertSeverity.WARNING,
        expr=f"{decreased('kmodmon_hardening', matcher('setting', ORDERED))}\n"
        f"  or {selector('kmodmon_hardening', _BPF_MATCHER)} == 0 < "
        f"max_over_time({selector(sampled_state('kmodmon_hardening'), _BPF_MATCHER)}[1d])",
        hold="5m",
        summary="A setting that hardens the kernel is weaker than it was.",
        description="{{ $labels.setting }} on {{ $labels.instance }} is {{ $value }} and was higher within the last "
        "day.",
        attack=("T1562",),
        runbook=Runbook(
            meaning=f"One of: {_SETTINGS}.",
            impact="What the setting kept away is possible again.",
            commands=(
                "kmodmon status",
                "kmodmon events --since 1d --type PostureChanged",
                "sysctl kernel.kptr_restrict",
            ),
            clears=_CLEARS_WHEN_RESTORED,
        ),
    ),
    Alert(
        name="KmodPostureChanged",
        severity=AlertSeverity.INFO,
        expr=recent(_CHANGED_AT, 'setting!="modprobe"'),
        keep_firing_for=KEEP_FIRING,
        summary="A part of the trust posture changed.",
        description="{{ $labels.setting }} on {{ $labels.instance }} changed at {{ $value | humanizeTimestamp }}, in "
        "whatever direction.",
        runbook=Runbook(
            meaning="Lockdown, enforcement, Secure Boot, livepatches or a hardening setting has another value.",
            impact="None if it was you; the grave directions have alerts of their own.",
            commands=("kmodmon status", "kmodmon events --since 1h --type PostureChanged", "kmodmon check"),
            clears=CLEARS,
        ),
    ),
)

GROUP = Group(
    name="kmodmon.posture",
    alerts=ALERTS,
    recordings=RECORDINGS,
    sampled_states=(
        _LOCKDOWN_LEVEL,
        "kmodmon_signature_enforced",
        "kmodmon_modules_disabled",
        "kmodmon_secure_boot",
        "kmodmon_hardening",
    ),
)
