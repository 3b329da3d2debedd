"""The policy of a host without a policy file; with one, these rules follow those of the file.

It finds nothing on a stock installation of a distribution, and everything there that needs a person's doing. The rules
are in order of severity: a module is reported once, by the first rule that matches.
"""

from kmodmon.events.event import Severity
from kmodmon.subjects.rules import Action, Check, Policy, Rule, RuleMatch

_DENY, _ALLOW = Action.DENY, Action.ALLOW

RULES: tuple[Rule, ...] = (
    Rule(
        name="hidden-module", action=_DENY, check=Check.HIDDEN, severity=Severity.CRITICAL,
        match=RuleMatch(kind=("certain", "likely")),
        reason="A module is loaded, and the kernel's own lists deny it.",
        advice="Treat the host as compromised: take it off the network, save its memory, do not reboot it yet.",
    ),
    Rule(
        name="possibly-hidden-module", action=_DENY, check=Check.HIDDEN, severity=Severity.WARNING,
        reason="Numbers of the kernel do not add up: a module may be loaded that its lists deny.",
        advice="kmodmon doctor says which views there are to compare; give kmodmon those that it lacks.",
    ),
    Rule(
        name="forced-module", action=_DENY, match=RuleMatch(taint=("F",)), severity=Severity.ERROR,
        reason="The module was loaded by force: it was not built for this kernel.",
        advice="Unload it, install one that was built for this kernel, and reboot.",
    ),
    Rule(
        name="invalid-signature", action=_DENY, match=RuleMatch(signature=("invalid",)), severity=Severity.ERROR,
        reason="The module's signature does not fit its content: it was changed after it was signed.",
        advice="Compare its file with the package's; find out who loaded it (kmodmon events --module NAME).",
    ),
    Rule(
        name="module-from-memory", action=_DENY, match=RuleMatch(origin=("memory",)), severity=Severity.ERROR,
        reason="Whoever loaded the module named no file: it was handed to the kernel from memory.",
        advice="Look at the process that loaded it (kmodmon events --module NAME); no package does this.",
    ),
    Rule(
        # A kernel without CONFIG_MODULE_SIG has unsigned modules and does not taint itself by loading them.
        name="built-without-signatures", action=_ALLOW,
        match=RuleMatch(
            signature=("unsigned",), without_taint=tuple("EOFP"), origin=("kernel",), on_disk=("same", "unknown")
        ),
        reason="The kernel was built without module signatures, and this is one of its own modules.",
    ),
    Rule(
        name="unsigned-module", action=_DENY, match=RuleMatch(signature=("unsigned",)), severity=Severity.ERROR,
        reason="Nothing that this kernel trusts vouches for the module.",
        advice="Sign it with a key of yours and enrol that, or allow it by a rule; explain every other one.",
    ),
    Rule(
        name="file-tampered", action=_DENY, match=RuleMatch(file_signature=("invalid",)), severity=Severity.ERROR,
        reason="The file of a loaded module has a signature that does not fit its content.",
        advice="Reinstall the package that it belongs to, and find out who changed it.",
    ),
    Rule(
        name="module-file-deleted", action=_DENY, match=RuleMatch(origin=("deleted",)), severity=Severity.WARNING,
        reason="The file that the module was loaded from is not there any more.",
        advice="After an upgrade of the kernel a reboot is due; else find out who removed it.",
    ),
    Rule(
        name="differs-from-disk", action=_DENY, match=RuleMatch(on_disk=("replaced", "elsewhere")),
        severity=Severity.WARNING,
        reason="What is loaded is not what the file of its name holds.",
        advice="After an upgrade load the module anew or reboot; else find out which file it came from.",
    ),
    Rule(
        name="module-from-elsewhere", action=_DENY, match=RuleMatch(origin=("elsewhere",)), severity=Severity.WARNING,
        reason="The module was not loaded from the module tree of this kernel.",
        advice="Install it where depmod finds it, or allow it by a rule of your own.",
    ),
    Rule(
        name="out-of-tree-module", action=_DENY, match=RuleMatch(taint=("O",)), severity=Severity.WARNING,
        reason="The module was built outside the kernel's own tree, and no rule allows it.",
        advice="Allow those that you installed by a rule of your own: by signer, package or name.",
    ),
    Rule(
        name="proprietary-module", action=_DENY, match=RuleMatch(taint=("P",)), severity=Severity.WARNING,
        reason="The module's licence is not GPL-compatible, and no rule allows it.",
        advice="Allow those that you installed by a rule of your own.",
    ),
    Rule(
        name="unknown-signer", action=_DENY, match=RuleMatch(signature=("signed",)), severity=Severity.NOTICE,
        reason="The module is signed, and there is no certificate here to verify it with.",
        advice="Put the signer's certificate where certificates.directory says.",
    ),
    Rule(
        name="blacklisted-module", action=_DENY, check=Check.BLACKLISTED, severity=Severity.WARNING,
        reason="The module is loaded although the configuration refuses it.",
        advice="A blacklist only stops loading by hardware: write `install NAME /bin/false` as well, and unload it.",
    ),
    Rule(
        name="missing-module", action=_DENY, check=Check.MISSING, severity=Severity.ERROR,
        reason="A module that is expected on this host is not loaded.",
        advice="kmodmon preflight says whether it would load; kmodmon events --module NAME what became of it.",
    ),
    Rule(
        name="writable-parameter", action=_DENY, check=Check.PARAMETER, severity=Severity.WARNING,
        reason="Every user may change a parameter of a module.",
        advice="chmod o-w its file at each boot, and report it to the module's author.",
    ),
    Rule(
        name="writable-entry", action=_DENY, check=Check.ENTRY, severity=Severity.WARNING,
        reason="Every user may write to a file that a module from outside the kernel tree made in /proc or /sys.",
        advice="Ask the module's vendor what it takes from there; restrict it until you know.",
    ),
    Rule(
        name="modprobe-helper", action=_DENY, check=Check.HELPER, severity=Severity.ERROR,
        reason="The kernel runs another program than modprobe, as root, whenever it wants a module.",
        advice="Set kernel.modprobe back to /sbin/modprobe and find out who changed it.",
    ),
    Rule(
        # Taint by firmware or by the operator is harmless; that of an unsigned module counts even after its unload.
        name="harmless-taint", action=_ALLOW, check=Check.TAINT, match=RuleMatch(tier=("informational",)),
        reason="These flags say what a kernel is, not that something is wrong with it.",
    ),
    Rule(
        name="kernel-untrusted", action=_DENY, check=Check.TAINT, match=RuleMatch(tier=("security",)),
        severity=Severity.ERROR,
        reason="The kernel is tainted by something that puts its integrity in doubt.",
        advice="kmodmon taint says what it was; only a reboot clears it.",
    ),
    Rule(
        name="kernel-degraded", action=_DENY, check=Check.TAINT, severity=Severity.WARNING,
        reason="The kernel is tainted.",
        advice="kmodmon taint says by what; only a reboot clears it.",
    ),
    Rule(
        name="baseline-drift", action=_DENY, check=Check.DRIFT, severity=Severity.WARNING,
        reason="The host is not as it was signed off.",
        advice="kmodmon baseline diff shows all differences; kmodmon baseline accept signs them off.",
    ),
    Rule(
        name="refused-file", action=_DENY, check=Check.REFUSED, severity=Severity.ERROR,
        reason="A file of rules has an error, and what it says is not in force.",
        advice="Mend the line that the evidence names.",
    ),
)  # fmt: skip

POLICY = Policy(rules=RULES)
