"""Whether an unsigned module would be refused: the decision over parameter, lockdown, command line and configuration.

Facts the code below is written from (kernel/module/signing.c `module_sig_check`, security/lockdown):

- The kernel itself checks the variable behind /sys/module/module/parameters/sig_enforce, which can only be switched on.
  The file is absent with CONFIG_MODULE_SIG=n, where no signature is ever checked.
- The parameter stays `N` while lockdown (integrity or above) refuses unsigned modules (6.1, 6.12, 7.2).
- lockdown refuses only where the LSM is active: /sys/kernel/security/lsm lists it, and needs securityfs mounted.
- The command line and the configuration count only where the kernel's own file cannot be read. The firmware's Secure
  Boot can lock the kernel down too (a distribution's patch), which only the lockdown file shows.

`modules_disabled`, LoadPin, IMA appraisal and blacklists refuse modules for other reasons than a missing signature:
they are separate settings.
"""

from dataclasses import dataclass

from kmodmon.kernel.cmdline import CommandLineFacts
from kmodmon.kernel.kconfig import Kconfig
from kmodmon.kernel.lockdown import INTEGRITY, Lockdown

PARAMETER, LOCKDOWN, CMDLINE, CONFIG = "sig_enforce", "lockdown", "cmdline", "config"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureEvidence:
    """The facts that decide; None: absent or not readable."""

    param: bool | None = None  # /sys/module/module/parameters/sig_enforce
    lockdown: Lockdown | None = None  # /sys/kernel/security/lockdown
    lsm: tuple[str, ...] | None = None  # /sys/kernel/security/lsm
    cmdline: CommandLineFacts | None = None  # /proc/cmdline
    config: Kconfig | None = None  # /proc/config.gz or a file of the distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """Whether unsigned modules are refused, and why."""

    enforced: bool | None  # None: cannot be decided from the evidence
    deciders: tuple[str, ...]  # PARAMETER, LOCKDOWN, CMDLINE or CONFIG; empty: nothing decides
    explanation: str  # one sentence


def signature_enforcement(evidence: SignatureEvidence) -> Enforcement:
    """Decide whether unsigned modules are refused."""
    if _no_modules(evidence):
        return Enforcement(enforced=None, deciders=(), explanation="The kernel was built without loadable modules.")
    yes = _reasons(evidence)
    if yes:
        reasons = " and ".join(yes.values())
        return Enforcement(enforced=True, deciders=tuple(yes), explanation=f"Unsigned modules are refused: {reasons}.")
    if _never_checked(evidence):
        why = "Signatures are never checked: the kernel was built without CONFIG_MODULE_SIG."
        return Enforcement(enforced=False, deciders=(CONFIG,), explanation=why)
    unknown = _unknown(evidence)
    if unknown:
        return Enforcement(enforced=None, deciders=(), explanation=f"It cannot be told: {' and '.join(unknown)}.")
    why = "Unsigned modules load (and taint): sig_enforce is N and no lockdown is in force."
    return Enforcement(enforced=False, deciders=(PARAMETER, LOCKDOWN), explanation=why)


def locked_down(evidence: SignatureEvidence) -> bool | None:
    """Whether lockdown is in force at integrity or above; None when the evidence does not decide."""
    if evidence.lsm is not None and "lockdown" not in evidence.lsm:
        return False
    if evidence.lockdown is not None:
        return evidence.lockdown.is_at_least(INTEGRITY)
    if evidence.config is not None and not evidence.config.is_on("CONFIG_SECURITY_LOCKDOWN_LSM"):
        return False
    return True if _built_locked(evidence.config) or _booted_locked(evidence) else None


def _reasons(evidence: SignatureEvidence) -> dict[str, str]:
    reasons: dict[str, str] = {}
    if evidence.param:
        reasons[PARAMETER] = "sig_enforce is Y"
    elif evidence.param is None and not _never_checked(evidence):
        if evidence.config is not None and evidence.config.is_on("CONFIG_MODULE_SIG_FORCE"):
            reasons[CONFIG] = "the kernel was built with CONFIG_MODULE_SIG_FORCE"
        elif evidence.config is not None and evidence.cmdline is not None and evidence.cmdline.sig_enforce:
            reasons[CMDLINE] = "module.sig_enforce is on the kernel command line"
    if locked_down(evidence):
        mode = f"is {evidence.lockdown.mode}" if evidence.lockdown is not None else "was set at boot"
        reasons[LOCKDOWN] = f"lockdown {mode}"
    return reasons


def _unknown(evidence: SignatureEvidence) -> list[str]:
    missing = []
    if evidence.param is None:
        missing.append("/sys/module/module/parameters/sig_enforce cannot be read")
    if locked_down(evidence) is None:
        missing.append("/sys/kernel/security/lockdown cannot be read (is securityfs mounted?)")
    return missing


def _no_modules(evidence: SignatureEvidence) -> bool:
    return evidence.param is None and evidence.config is not None and not evidence.config.is_on("CONFIG_MODULES")


def _never_checked(evidence: SignatureEvidence) -> bool:
    return evidence.param is None and evidence.config is not None and not evidence.config.is_on("CONFIG_MODULE_SIG")


def _built_locked(config: Kconfig | None) -> bool:
    names = ("CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY", "CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY")
    return config is not None and any(map(config.is_on, names))


def _booted_locked(evidence: SignatureEvidence) -> bool:
    # Without the configuration it is unknown whether this kernel has the option at all.
    return evidence.config is not None and evidence.cmdline is not None and evidence.cmdline.lockdown is not None
