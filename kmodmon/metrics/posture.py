"""Metrics of the trust posture. A setting that cannot be read has no series: unknown is not the same as off."""

from collections.abc import Iterable

from kmodmon.events.kinds.posture import SettingChanged
from kmodmon.kernel.efivar import SecureBoot
from kmodmon.kernel.sysctl import HARDENING
from kmodmon.metrics.metric import CountOf, LatestOf, Metric, MetricType, Sample, single
from kmodmon.state.state import State


def _lockdown(state: State) -> Iterable[Sample]:
    lockdown = state.posture.lockdown
    if lockdown is None:
        return ()
    return [((mode,), float(mode == lockdown.mode)) for mode in lockdown.available]


def _secure_boot(state: State) -> Iterable[Sample]:
    value = state.posture.secure_boot
    return single(None if value in (None, SecureBoot.UNKNOWN) else value is SecureBoot.ENABLED)


def _settings(state: State) -> Iterable[Sample]:
    switches = state.posture.switches
    return [] if switches is None else [((name,), float(value)) for name, value in switches.settings.items()]


def _livepatches(state: State) -> Iterable[Sample]:
    return [((name, patch.state.value), 1.0) for name, patch in (state.posture.livepatches or {}).items()]


_SETTINGS = tuple((name,) for name in ("lockdown", "modules_disabled", "signature_enforced", "modprobe")) + tuple(
    (setting.name,) for setting in HARDENING
)


def _counter(name: str, help: str, absent: str) -> Metric:
    return Metric(
        name=f"kmodmon_kernel_{name}",
        kind=MetricType.UNTYPED,
        help=help,
        interface=f"/sys/kernel/{name}",
        absent=absent,
        of=("posture",),
        samples=lambda state: single(state.posture.counters.get(name)),
    )


METRICS: tuple[Metric, ...] = (
    Metric(
        name="kmodmon_kernel_info",
        help="Identity of the running kernel.",
        labels=("release", "version", "machine"),
        interface="/proc/version, /proc/sys/kernel/arch",
        absent="unreadable",
        of=("kernel",),
        samples=lambda state: (
            [] if state.kernel is None else [((state.kernel.release, state.kernel.version, state.kernel.machine), 1.0)]
        ),
    ),
    Metric(
        name="kmodmon_kernel_boot_timestamp_seconds",
        help="When the kernel was booted, in seconds since the epoch (btime of /proc/stat).",
        interface="/proc/stat",
        absent="unreadable",
        of=("kernel",),
        samples=lambda state: single(None if state.kernel is None else state.kernel.boot_time),
    ),
    Metric(
        name="kmodmon_lockdown",
        help="1 for the lockdown mode in force, 0 for the others this kernel has (/sys/kernel/security/lockdown).",
        labels=("mode",),
        interface="/sys/kernel/security/lockdown",
        absent="no lockdown in this kernel, or securityfs not mounted",
        bound="3 modes",
        of=("posture",),
        samples=_lockdown,
    ),
    Metric(
        name="kmodmon_modules_disabled",
        help="1 if no module can be loaded or unloaded until reboot (/proc/sys/kernel/modules_disabled).",
        interface="/proc/sys/kernel/modules_disabled",
        absent="kernel without module support, or unreadable",
        of=("posture",),
        samples=lambda state: single(
            None if state.posture.switches is None else state.posture.switches.modules_disabled
        ),
    ),
    Metric(
        name="kmodmon_signature_enforced",
        help="1 if unsigned modules are refused, by whatever decides (sig_enforce, lockdown, configuration).",
        interface="/sys/module/module/parameters/sig_enforce, lockdown, command line, configuration",
        absent="cannot be told",
        of=("posture",),
        samples=lambda state: single(None if state.posture.enforcement is None else state.posture.enforcement.enforced),
    ),
    Metric(
        name="kmodmon_secure_boot",
        help="1 if UEFI Secure Boot is on and shim verifies, else 0 (efivars).",
        interface="/sys/firmware/efi/efivars",
        absent="no EFI, efivarfs not mounted, or undecided",
        of=("posture",),
        samples=_secure_boot,
    ),
    Metric(
        name="kmodmon_hardening",
        help="Numeric settings that harden the kernel, as /proc/sys shows them.",
        labels=("setting",),
        interface="/proc/sys/kernel/*, /sys/module/kfence/parameters/sample_interval",
        absent="the kernel has no such setting",
        bound=f"{len(HARDENING)} settings",
        of=("posture",),
        samples=_settings,
    ),
    Metric(
        name="kmodmon_livepatch",
        help="1 for each livepatch in the kernel, with its state (/sys/kernel/livepatch).",
        labels=("module", "state"),
        interface="/sys/kernel/livepatch/<patch>/{enabled,transition}",
        absent="no livepatch is loaded",
        bound="livepatches loaded",
        of=("posture",),
        samples=_livepatches,
    ),
    _counter("oops_count", "Oopses since boot, as the kernel counts them.", "kernel before 6.2 without the backport"),
    _counter("warn_count", "Warnings since boot, as the kernel counts them.", "kernel before 6.2 without the backport"),
    Metric(
        name="kmodmon_posture_changes_total",
        kind=MetricType.COUNTER,
        help="Changes of the trust posture seen in this boot, in either direction.",
        labels=("setting",),
        interface="all of the above",
        bound=f"{len(_SETTINGS)} settings",
        of=("counts",),
        events=CountOf(kinds=(SettingChanged,), initial=_SETTINGS),
    ),
    Metric(
        name="kmodmon_posture_change_timestamp_seconds",
        help="When a part of the trust posture last changed, kept for retention.recent.",
        labels=("setting",),
        interface="all of the above",
        absent="no change within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(SettingChanged,)),
    ),
)
