"""Alerts on the origin of modules, and on files that decide which modules may be loaded."""

from grafana.src.alerts.alert import Alert, AlertSeverity, Group, Runbook
from grafana.src.alerts.promql import CLEARS, KEEP_FIRING, matcher, recent, selector

TRUST_TREES = ("policy", "baseline", "certificates")
MODULE_TREES = ("modules", "kernels", "loaded", "modprobe.d", "modules-load.d", "dkms")
_CHANGED_AT = "kmodmon_file_change_timestamp_seconds"
DIFFERS_RULE = "differs-from-disk"
# The finding, not kmodmon_module_differs_from_disk: that has a series for every module of every host.
_DIFFERS_FROM_DISK = selector("kmodmon_policy_finding", f'rule="{DIFFERS_RULE}"')
_MODULE_NAMES = (
    '{{ range printf `kmodmon_policy_finding{rule="' + DIFFERS_RULE + '", instance=%q}` $labels.instance | query '
    "| sortByLabel `module` }} {{ .Labels.module }}{{ end }}"
)

ALERTS = (
    Alert(
        name="KmodModuleFromMemory",
        severity=AlertSeverity.CRITICAL,
        expr='kmodmon_module_info{origin="memory"}',
        summary="A module was loaded from memory, not from a file.",
        description="Module {{ $labels.module }} on {{ $labels.instance }} was handed to the kernel by a program that "
        "named no file.",
        attack=("T1547.006", "T1620"),
        runbook=Runbook(
            meaning="Whoever loaded it used init_module() with bytes of its own, or a file that has no name.",
            impact="There is no file to look at. No package does this; loaders of rootkits do.",
            commands=("kmodmon events --since 1d --module NAME", "kmodmon modules NAME", "kmodmon check"),
            clears="When the module is unloaded.",
        ),
    ),
    Alert(
        name="KmodModuleDiffersFromDisk",
        severity=AlertSeverity.WARNING,
        expr=f"count by (job, instance) ({_DIFFERS_FROM_DISK})",
        hold="15m",
        summary="Loaded modules are not what their files hold.",
        description="On {{ $labels.instance }} {{ $value }} loaded modules are another build than the file of their "
        f"name:{_MODULE_NAMES}.",
        attack=("T1547.006", "T1036"),
        runbook=Runbook(
            meaning="The file was replaced after the module was loaded, or the module came from another file.",
            impact="After an upgrade that is usual, and the fix is not in force until the module is loaded anew. "
            "Otherwise somebody loaded his own in its place.",
            commands=("kmodmon check", "kmodmon modules NAME", "kmodmon events --since 1d --type FileChanged"),
            clears="When they are the same again, or unloaded.",
        ),
    ),
    Alert(
        name="KmodModuleBlacklisted",
        severity=AlertSeverity.WARNING,
        expr="kmodmon_module_blacklisted == 1",
        hold="5m",
        summary="A module is loaded that the configuration refuses.",
        description="Module {{ $labels.module }} is loaded on {{ $labels.instance }}, and {{ $labels.by }} refuses it.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="modprobe.d or the kernel command line name it as not to be loaded. A `blacklist` line only stops "
            "loading by hardware.",
            impact="Whatever it was refused for is possible again.",
            commands=("kmodmon events --since 1d --module NAME", "kmodmon check", "modprobe --showconfig"),
            clears="When it is unloaded, or refused no more.",
        ),
    ),
    Alert(
        name="KmodKernelPending",
        severity=AlertSeverity.INFO,
        expr="kmodmon_kernel_installed_newer == 1",
        hold="1d",
        summary="A newer kernel is installed and not running.",
        description="{{ $labels.instance }} has had a newer kernel than the one that runs for a day: a reboot is due.",
        runbook=Runbook(
            meaning="A kernel of the same flavour with a higher version lies in /lib/modules.",
            impact="What it mends is still broken, and modules of the running kernel may be removed from disk soon.",
            commands=("kmodmon status", "uname -r", "ls /lib/modules"),
            clears="With the reboot into it.",
        ),
    ),
    Alert(
        name="KmodTrustFilesChanged",
        severity=AlertSeverity.WARNING,
        expr=recent(_CHANGED_AT, matcher("tree", TRUST_TREES)),
        keep_firing_for=KEEP_FIRING,
        summary="What decides over modules was changed on disk.",
        description="On {{ $labels.instance }} files of kind {{ $labels.tree }} were changed at "
        "{{ $value | humanizeTimestamp }}.",
        attack=("T1562", "T1553"),
        runbook=Runbook(
            meaning="The policy, the baseline or a trusted certificate is another one than before.",
            impact="What was refused may be allowed now. Check that it was you.",
            commands=("kmodmon events --since 1h --type FileChanged", "kmodmon check", "ls -l /etc/kmodmon"),
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodModuleFilesChanged",
        severity=AlertSeverity.INFO,
        expr=recent(_CHANGED_AT, matcher("tree", MODULE_TREES)),
        keep_firing_for=KEEP_FIRING,
        summary="Module files or their configuration were changed on disk.",
        description="On {{ $labels.instance }} files of kind {{ $labels.tree }} were changed at "
        "{{ $value | humanizeTimestamp }}{{ with $labels.module }}, module {{ . }}{{ end }}.",
        attack=("T1547.006",),
        runbook=Runbook(
            meaning="Something in the module tree, in modprobe.d, modules-load.d or DKMS, or the file of a loaded "
            "module.",
            impact="Upgrades do that. What is new there may be loaded at the next boot.",
            commands=("kmodmon events --since 1h --type FileChanged", "kmodmon check", "kmodmon modules"),
            clears=CLEARS,
        ),
    ),
)

GROUP = Group(name="kmodmon.provenance", alerts=ALERTS)
