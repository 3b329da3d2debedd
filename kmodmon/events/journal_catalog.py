"""The journal's catalog: what `journalctl -x` adds below an event, and what to do about it.

Interface: systemd's message catalog (systemd.io/CATALOG), one entry for a MESSAGE_ID: headers, a blank line, text; in
it `@FIELD@` stands for a field of the entry. Only fields that each event of a type has are named here.
"""

import textwrap
from collections.abc import Mapping

from kmodmon.events.event import EventType
from kmodmon.events.message_id import MESSAGE_IDS

_WIDTH = 79
_ONE = "`kmodmon modules @KMODMON_MODULE@` shows it, `kmodmon events --module @KMODMON_MODULE@` its history."

# Subject, and text; of each event what it means and what comes next.
EXPLANATIONS: Mapping[EventType, tuple[str, str]] = {
    EventType.MODULE_LOADED: (
        "Module @KMODMON_MODULE@ was loaded",
        "Foreign code is part of the kernel now. Who loaded it is in KMODMON_ACTOR_*, what taints it has and whether "
        "it is signed in KMODMON_FIELDS.\n" + _ONE,
    ),
    EventType.MODULE_UNLOADED: (
        "Module @KMODMON_MODULE@ was unloaded",
        "What it did to the kernel's taint stays until reboot; `kmodmon taint` names it as cause.",
    ),
    EventType.MODULE_TRANSIENT: (
        "Module @KMODMON_MODULE@ came and went",
        "Its whole life passed between two looks at the list of modules; the trace or a uevent told of it. A module "
        "that unloads itself at once may have left code or hooks behind.\n"
        "`kmodmon events --module @KMODMON_MODULE@` shows who loaded it.",
    ),
    EventType.MODULE_LOAD_FAILED: (
        "A module could not be loaded",
        "The kernel refused it, or its init function failed; the reason is in KMODMON_FIELDS.\n"
        "`kmodmon explain 'MESSAGE'` says what the kernel's line means; `kmodmon preflight FILE.ko` lists every "
        "obstacle.",
    ),
    EventType.MODULE_CHANGED: (
        "Module @KMODMON_MODULE@ is another build than before",
        "The name is the same, srcversion or build-id is not: an upgrade, a rebuild, or a replacement. A change while "
        "the module stays loaded is none of these: somebody wrote kernel memory.\n" + _ONE,
    ),
    EventType.MODULE_HIDDEN: (
        "Module @KMODMON_MODULE@ hides",
        "Some views of the kernel show the module and others, which must show it, do not; both are in "
        "KMODMON_EVIDENCE. This is what rootkits do.\n"
        "Treat the host as compromised: take it off the network and save its memory before it reboots. "
        "`kmodmon modules --hidden` shows what is known.",
    ),
    EventType.MODULE_UNHIDDEN: (
        "Module @KMODMON_MODULE@ is not hidden any more",
        "What hid it may come back, and may have done more than hide.\n"
        "`kmodmon events --module @KMODMON_MODULE@` shows since when it was hidden.",
    ),
    EventType.MODULE_REQUESTED: (
        "A process made the kernel ask for a module",
        "Mounting a file system or opening a socket of an unknown kind does that; users without privileges can do it, "
        "to reach code that is seldom used.\n"
        "The requester is in KMODMON_ACTOR_*. What nobody needs is refused with `install NAME /bin/false` in "
        "modprobe.d.",
    ),
    EventType.WITNESS_CONTRADICTED: (
        "What the kernel says of its modules is contradictory",
        "List, uevents and trace tell of the same lives; here they do not agree, as KMODMON_EVIDENCE says. Something "
        "is hidden or forged, or a witness was switched off for a while.\n"
        "`kmodmon modules --hidden`, `kmodmon doctor`.",
    ),
    EventType.TAINT_ADDED: (
        "A taint flag was set",
        "The kernel marks for good that something bears on its trust. Flag and cause are in KMODMON_FIELDS.\n"
        "`kmodmon taint` explains each flag and names its cause.",
    ),
    EventType.TAINT_CLEARED: (
        "A taint flag fell",
        "The kernel never clears a flag, and a write to /proc/sys/kernel/tainted only adds: somebody changed kernel "
        "memory to hide a trace.\n"
        "Treat the host as compromised. `kmodmon events --type TaintAdded` shows what the flag told of.",
    ),
    EventType.LOCKDOWN_CHANGED: (
        "The kernel's lockdown mode changed",
        "It can only be tightened while the kernel runs. A weaker mode means a reboot with other options, or a changed "
        "kernel.\n`kmodmon status`.",
    ),
    EventType.LOCKDOWN_DENIED: (
        "Lockdown refused something",
        "A process wanted what a locked-down kernel does not allow even root. KMODMON_FIELDS says what, and who.",
    ),
    EventType.MODULES_DISABLED: (
        "Loading of modules was switched off, or is possible again",
        "kernel.modules_disabled stays set until reboot; that it fell within one means a reboot or a changed kernel.",
    ),
    EventType.SIGNATURE_ENFORCEMENT_CHANGED: (
        "Enforcement of module signatures changed",
        "KMODMON_FIELDS says which of parameter, command line, configuration and lockdown decides now.\n"
        "`kmodmon status`.",
    ),
    EventType.POSTURE_CHANGED: (
        "A setting that bears on the kernel's trust changed",
        "Setting, old and new value and the direction are in KMODMON_FIELDS. `kmodmon status`.",
    ),
    EventType.PARAMETER_CHANGED: (
        "A parameter of module @KMODMON_MODULE@ changed",
        "Parameters change how a module works while it runs. Old and new value are in KMODMON_FIELDS, hidden if the "
        "name sounds like a secret.",
    ),
    EventType.KERNEL_REPORT: (
        "The kernel reported a failure of its own",
        "Class, signature, the module at fault and why it is that are in KMODMON_FIELDS, the first lines in "
        "KMODMON_EVIDENCE.\n`kmodmon events --type KernelReport --since 1h`, `dmesg`.",
    ),
    EventType.LOG_FORGED: (
        "A process wrote words of a kernel report into the kernel log",
        "It was no report of the kernel, and nothing was counted as one. Whoever may write /dev/kmsg tries to mislead "
        "monitoring, or a program repeats what it read.",
    ),
    EventType.LOG_LOST: (
        "Records of the kernel log were overwritten before they were read",
        "A flood, or kmodmon was held up; reports may have been among them.\n"
        "A larger ring (`log_buf_len=`) holds more; `kmodmon doctor` shows how the source does.",
    ),
    EventType.SOURCE_LOST: (
        "kmodmon lost sight of something",
        "An interface that could be read cannot be read any more; what it would tell is not known meanwhile.\n"
        "`kmodmon doctor` says why and what to change.",
    ),
    EventType.SOURCE_RECOVERED: (
        "kmodmon sees again what it had lost sight of",
        "KMODMON_FIELDS says why it was lost, and what was lost meanwhile as far as that is known.",
    ),
    EventType.POLICY_VIOLATED: (
        "Something is not allowed here",
        "A rule of the policy denies it: which one, and why, is in KMODMON_FIELDS.\n"
        "`kmodmon check --verbose` shows all findings and what to do about each.",
    ),
    EventType.BASELINE_DRIFTED: (
        "Something is not as it was signed off",
        "`kmodmon baseline diff` shows all differences, `kmodmon baseline accept` signs them off.",
    ),
    EventType.FILE_CHANGED: (
        "A file that bears on modules changed",
        "Module files, modprobe.d, DKMS, certificates, policy or baseline: the path is in KMODMON_FIELDS. What is "
        "loaded stays as it is until it is loaded anew.",
    ),
    EventType.CONFIG_REFUSED: (
        "New settings of kmodmon were refused",
        "The file has an error, which KMODMON_EVIDENCE names with file, key and hint; the earlier settings stay in "
        "force.",
    ),
    EventType.STARTED: ("kmodmon started", "From here on it sees what happens; what it finds was there before."),
    EventType.STOPPED: (
        "kmodmon stopped",
        "Until it starts again nobody watches; what happens meanwhile is told later as far as it left traces.",
    ),
}


def catalog() -> str:
    """The catalog's file."""
    lines = ["# Explanations for `journalctl -x`, generated by `make generate`; do not edit.", ""]
    for kind, (subject, text) in EXPLANATIONS.items():
        lines += [f"-- {MESSAGE_IDS[kind]}", f"Subject: {subject}", "Defined-By: kmodmon", ""]
        for paragraph in text.splitlines():
            lines += textwrap.wrap(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)
        lines.append("")
    return "\n".join(lines)
