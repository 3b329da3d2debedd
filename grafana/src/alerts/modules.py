"""Alerts on modules that were loaded, that the kernel refused, or that were loaded and unloaded repeatedly."""

from grafana.src.alerts.alert import Alert, AlertSeverity, Group, InhibitRule, Runbook
from grafana.src.alerts.promql import CLEARS, INCREASE_CLEARS, KEEP_FIRING, increased, matcher, recent, selector
from kmodmon.events.report import LoadFailure

_LOADED_AT = "kmodmon_module_load_timestamp_seconds"
_FAILED_AT = "kmodmon_module_load_failure_timestamp_seconds"
_LOADED_BY = "{{ $labels.actor }} loaded it on {{ $labels.instance }} at {{ $value | humanizeTimestamp }}"
_INHIBIT_TAINT = InhibitRule(targets="KmodTaint.+", equal=("instance", "module"))

# Refusals by which the kernel kept out code that it does not trust; the other reasons are mistakes and bugs.
SECURITY_REASONS = (
    LoadFailure.UNSIGNED,
    LoadFailure.KEY_UNAVAILABLE,
    LoadFailure.KEY_REJECTED,
    LoadFailure.UNSUPPORTED_CRYPTO,
    LoadFailure.BAD_SIGNATURE,
    LoadFailure.HASH_REVOKED,
    LoadFailure.LOCKDOWN,
    LoadFailure.LSM,
    LoadFailure.BLACKLISTED,
)
_SECURITY_REASON = matcher("reason", (reason.value for reason in SECURITY_REASONS))
_OTHER_REASON = _SECURITY_REASON.replace("=~", "!~")

_LOADS = (
    Alert(
        name="KmodUnsignedModuleLoaded",
        severity=AlertSeverity.CRITICAL,
        expr=recent(_LOADED_AT, 'signature="unsigned"'),
        keep_firing_for=KEEP_FIRING,
        summary="A module without a trusted signature was loaded.",
        description="Module {{ $labels.module }} carries no signature that this kernel trusts (taints "
        f"{{{{ $labels.taints }}}}). {_LOADED_BY}.",
        attack=("T1547.006", "T1014"),
        inhibit_rules=(_INHIBIT_TAINT,),
        runbook=Runbook(
            meaning="The kernel took in a module that nothing vouches for: it is unsigned, or signed with a key that "
            "the kernel does not hold. The module may be gone again; the event stays.",
            impact="Code in the kernel can read and change everything, kmodmon included. A driver that you built "
            "yourself is the harmless case, a rootkit the other one.",
            commands=(
                "kmodmon events --since 1h --module NAME",
                "kmodmon modules --unsigned",
                "kmodmon explain unsigned_module",
            ),
            clears=CLEARS + " The taint E stays until reboot. A module that belongs there: sign it and enrol the key.",
        ),
    ),
    Alert(
        name="KmodInvalidSignatureModuleLoaded",
        severity=AlertSeverity.CRITICAL,
        expr=recent(_LOADED_AT, 'signature="invalid"'),
        keep_firing_for=KEEP_FIRING,
        summary="A module whose signature does not verify was loaded.",
        description=f"The signature of module {{{{ $labels.module }}}} does not fit its content. {_LOADED_BY}.",
        attack=("T1547.006", "T1553"),
        inhibit_rules=(_INHIBIT_TAINT,),
        runbook=Runbook(
            meaning="The file carries a signature, and it is not one of this content: the module was changed after it "
            "was signed, or the file is damaged.",
            impact="Somebody changed code that runs in the kernel, or the disk did. Treat the host as compromised "
            "until you know which.",
            commands=("kmodmon events --since 1h --module NAME", "kmodmon modules NAME", "kmodmon check"),
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodForcedModuleLoaded",
        severity=AlertSeverity.CRITICAL,
        expr=recent(_LOADED_AT, 'taints=~".*F.*"'),
        keep_firing_for=KEEP_FIRING,
        summary="A module was loaded by force.",
        description=f"Module {{{{ $labels.module }}}} was loaded with its version checks ignored. {_LOADED_BY}.",
        attack=("T1547.006",),
        inhibit_rules=(_INHIBIT_TAINT,),
        runbook=Runbook(
            meaning="insmod --force or modprobe --force: the kernel was told to ignore that the module was built for "
            "another kernel.",
            impact="Structures may have another layout than the module thinks; it corrupts memory silently.",
            commands=(
                "kmodmon events --since 1h --module NAME",
                "kmodmon modules --tainted",
                "kmodmon explain forced_module",
            ),
            clears=CLEARS + " The taint F stays until reboot, and a reboot is advised.",
        ),
    ),
    Alert(
        name="KmodOutOfTreeModuleLoaded",
        severity=AlertSeverity.WARNING,
        expr=recent(_LOADED_AT, 'taints=~".*O.*"'),
        keep_firing_for=KEEP_FIRING,
        summary="A module from outside the kernel tree was loaded.",
        description=f"Module {{{{ $labels.module }}}} was not built with this kernel. {_LOADED_BY}.",
        attack=("T1547.006",),
        inhibit_rules=(_INHIBIT_TAINT,),
        runbook=Runbook(
            meaning="A module built elsewhere than in the kernel's own tree: a vendor driver, DKMS, or your own.",
            impact="Nobody tested it with this kernel. Faults that follow are likely to be its.",
            commands=(
                "kmodmon modules --out-of-tree",
                "kmodmon events --since 1h --module NAME",
                "kmodmon explain out_of_tree_module",
            ),
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodProprietaryModuleLoaded",
        severity=AlertSeverity.WARNING,
        expr=recent(_LOADED_AT, 'taints=~".*P.*"'),
        keep_firing_for=KEEP_FIRING,
        summary="A proprietary module was loaded.",
        description=f"Module {{{{ $labels.module }}}} has a licence that is not GPL-compatible. {_LOADED_BY}.",
        attack=("T1547.006",),
        inhibit_rules=(_INHIBIT_TAINT,),
        runbook=Runbook(
            meaning="A module without source code under the kernel's licence is in the kernel.",
            impact="Only its vendor can say what it does, and kernel developers will not look at faults with it "
            "loaded.",
            commands=(
                "kmodmon modules --tainted",
                "kmodmon events --since 1h --module NAME",
                "kmodmon explain proprietary_module",
            ),
            clears=CLEARS,
        ),
    ),
)

_FAILURES = (
    Alert(
        name="KmodModuleLoadRefused",
        severity=AlertSeverity.WARNING,
        expr=recent(_FAILED_AT, _SECURITY_REASON),
        keep_firing_for=KEEP_FIRING,
        summary="The kernel refused a module for reasons of trust.",
        description="{{ $labels.actor }} tried to load a module ({{ $labels.module }}) on {{ $labels.instance }} at "
        "{{ $value | humanizeTimestamp }}; the kernel refused it: {{ $labels.reason }}.",
        attack=("T1547.006",),
        runbook=Runbook(
            meaning="Lockdown, signature enforcement, a revoked hash, a blacklist or a security module kept it out. "
            "The kernel often does not say which module it was; the tool that was started tells, where it was seen.",
            impact="None to the kernel. Somebody with root tried, or an update left a module behind that is not "
            "signed.",
            commands=(
                "kmodmon events --since 1h --type ModuleLoadFailed",
                "kmodmon explain 'Key was rejected by service'",
                "kmodmon status",
            ),
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodModuleLoadFailing",
        severity=AlertSeverity.WARNING,
        expr=f"changes({selector(_FAILED_AT, _OTHER_REASON)}[15m]) >= 3",
        summary="Loads of modules fail again and again.",
        description="Loads of a module ({{ $labels.module }}) failed again and again within 15 minutes on "
        "{{ $labels.instance }}: {{ $labels.reason }}, tried by {{ $labels.actor }}.",
        runbook=Runbook(
            meaning="Something keeps trying to load a module that cannot be loaded: built for another kernel, with "
            "missing symbols, wrong parameters, or without its device.",
            impact="Whatever needs the module does not work.",
            commands=(
                "kmodmon events --since 1h --type ModuleLoadFailed",
                "kmodmon explain 'Unknown symbol in module'",
                "kmodmon doctor",
            ),
            clears="15 minutes after it failed often enough for the last time.",
        ),
    ),
)

_ACTIVITY = (
    Alert(
        name="KmodModuleFlapping",
        severity=AlertSeverity.WARNING,
        expr=f"changes({_LOADED_AT}[15m]) >= 3",
        summary="A module is loaded again and again.",
        description="Module {{ $labels.module }} was loaded at least four times within 15 minutes on "
        "{{ $labels.instance }}, by {{ $labels.actor }}.",
        runbook=Runbook(
            meaning="The same module comes and goes: a service that restarts, a device that falls off its bus, a "
            "script that loads and removes.",
            impact="The device is not usable meanwhile, and each load is a chance to fail.",
            commands=(
                "kmodmon events --since 1h --module NAME",
                "kmodmon modules NAME",
                "kmodmon events --since 1h --type KernelReport",
            ),
            clears="15 minutes after it was loaded often enough for the last time.",
        ),
    ),
    Alert(
        name="KmodModuleTransient",
        severity=AlertSeverity.INFO,
        expr=increased("kmodmon_module_transients_total"),
        summary="A module was loaded and removed between two looks.",
        description="On {{ $labels.instance }} at least one module came and went before a look at the module list "
        "could show it. What it was and who did it is in the history.",
        attack=("T1014", "T1070"),
        runbook=Runbook(
            meaning="Trace and uevents told of a module that the module list never showed.",
            impact="Tests and some tools do that. So does an exploit that needs the kernel for a moment only.",
            commands=(
                "kmodmon events --since 1h --type ModuleTransient",
                "kmodmon events --since 1h --type ModuleLoaded",
                "kmodmon status",
            ),
            clears=INCREASE_CLEARS,
        ),
    ),
    Alert(
        name="KmodModuleReplaced",
        severity=AlertSeverity.INFO,
        expr=increased("kmodmon_events_total", 'type="ModuleChanged"'),
        summary="A module is another build than the one of that name before.",
        description="On {{ $labels.instance }} a module was loaded whose build differs from the one of the same name "
        "that was there earlier in this boot, or a loaded module gained a taint.",
        attack=("T1547.006",),
        runbook=Runbook(
            meaning="Same name, other srcversion or build id, or other taint letters.",
            impact="An update that reloads its driver does that. So does somebody who puts his own in its place.",
            commands=(
                "kmodmon events --since 1h --type ModuleChanged",
                "kmodmon modules NAME",
                "kmodmon events --since 1h --module NAME",
            ),
            clears=INCREASE_CLEARS,
        ),
    ),
    Alert(
        name="KmodModuleRequestedByUser",
        severity=AlertSeverity.INFO,
        expr=recent("kmodmon_module_request_timestamp_seconds", 'user="unprivileged"'),
        keep_firing_for=KEEP_FIRING,
        summary="A user without privilege made the kernel load a module, or try to.",
        description="On {{ $labels.instance }} a process that is not root's made the kernel ask for "
        "{{ $labels.request }} at {{ $value | humanizeTimestamp }}.",
        attack=("T1068",),
        runbook=Runbook(
            meaning="Opening a socket of a rare family, a device or a file system type makes the kernel run modprobe, "
            "for any user. The history names the process.",
            impact="Usual on desktops. Elsewhere it is how exploits bring in a module with a hole: blacklist what "
            "nobody needs.",
            commands=(
                "kmodmon events --since 1h --type ModuleRequested",
                "kmodmon events --since 1h --type ModuleLoaded",
                "kmodmon modules",
            ),
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodModuleListDamaged",
        severity=AlertSeverity.WARNING,
        expr=selector("kmodmon_modules_skipped_lines") + " > 0",
        hold="5m",
        summary="Lines of the module list cannot be understood.",
        description="{{ $value }} lines of /proc/modules on {{ $labels.instance }} are of no known form; the modules "
        "in them are not watched.",
        attack=("T1014",),
        runbook=Runbook(
            meaning="The kernel prints the list in a form that kmodmon does not know, or a module has a name made to "
            "break readers.",
            impact="Modules in those lines are in no metric and no event.",
            commands=("kmodmon doctor", "kmodmon modules", "cat -A /proc/modules"),
            clears="When every line can be read again.",
        ),
    ),
)

GROUP = Group(name="kmodmon.modules", alerts=(*_LOADS, *_FAILURES, *_ACTIVITY))
