"""Whether an unsigned module would be refused: the decision over parameter, lockdown, command line and configuration.

Facts the code below is written from (kernel/module/signing.c `module_sig_check`, security/lockdown):

- /sys/module/module/parameters/sig_enforce is what the kernel itself asks; it can only be switched on. It is absent
  with CONFIG_MODULE_SIG=n, where no signature is ever looked at.
- The parameter stays `N` while lockdown (integrity or above) refuses unsigned modules all the same (6.1, 6.12, 7.2).
- lockdown refuses only where the LSM is active; /sys/kernel/security/lsm tells, and needs securityfs mounted.
- What only the command line or the configuration say counts where the kernel's own word cannot be read. A system can
  also be locked down by its firmware's Secure Boot (a distribution's patch), which only the lockdown file shows.

`modules_disabled`, LoadPin, IMA appraisal and blacklists refuse modules too, but not for want of a signature: they are
settings of their own.
"""

from dataclasses import dataclass

from kmodmon.kernel.cmdline import CommandLineFacts
from kmodmon.kernel.kconfig import Kconfig
from kmodmon.kernel.lockdown import INTEGRITY, Lockdown

PARAMETER, LOCKDOWN, CMDLINE, CONFIG = "sig_enforce", "lockdown", "cmdline", "config"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureEvidence:
    """All that bears on it; None: not there or not readable."""

    param: bool | None = None  # /sys/module/module/parameters/sig_enforce
    lockdown: Lockdown | None = None  # /sys/kernel/security/lockdown
    lsm: tuple[str, ...] | None = None  # /sys/kernel/security/lsm
    cmdline: CommandLineFacts | None = None
    config: Kconfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """`enforced` is None when it cannot be told; `deciders` names what settled it, the explanation is one sentence."""

    enforced: bool | None
    deciders: tuple[str, ...]
    explanation: str


def signature_enforcement(seen: SignatureEvidence) -> Enforcement:
    """Decide whether unsigned modules are refused."""
    if _no_modules(seen):
        return Enforcement(enforced=None, deciders=(), explanation="The kernel was built without loadable modules.")
    yes = _reasons(seen)
    if yes:
        reasons = " and ".join(yes.values())
        return Enforcement(enforced=True, deciders=tuple(yes), explanation=f"Unsigned modules are refused: {reasons}.")
    if _never_checked(seen):
        why = "Signatures are never checked: the kernel was built without CONFIG_MODULE_SIG."
        return Enforcement(enforced=False, deciders=(CONFIG,), explanation=why)
    unknown = _unknown(seen)
    if unknown:
        return Enforcement(enforced=None, deciders=(), explanation=f"It cannot be told: {' and '.join(unknown)}.")
    why = "Unsigned modules load (and taint): sig_enforce is N and no lockdown is in force."
    return Enforcement(enforced=False, deciders=(PARAMETER, LOCKDOWN), explanation=why)


def locked_down(seen: SignatureEvidence) -> bool | None:
    """Whether lockdown is in force at integrity or above; None when it cannot be told."""
    if seen.lsm is not None and "lockdown" not in seen.lsm:
        return False
    if seen.lockdown is not None:
        return seen.lockdown.is_at_least(INTEGRITY)
    if seen.config is not None and not seen.config.is_on("CONFIG_SECURITY_LOCKDOWN_LSM"):
        return False
    return True if _built_locked(seen.config) or _booted_locked(seen) else None


def _reasons(seen: SignatureEvidence) -> dict[str, str]:
    found: dict[str, str] = {}
    if seen.param:
        found[PARAMETER] = "sig_enforce is Y"
    elif seen.param is None and not _never_checked(seen):
        if seen.config is not None and seen.config.is_on("CONFIG_MODULE_SIG_FORCE"):
            found[CONFIG] = "the kernel was built with CONFIG_MODULE_SIG_FORCE"
        elif seen.config is not None and seen.cmdline is not None and seen.cmdline.sig_enforce:
            found[CMDLINE] = "module.sig_enforce is on the kernel command line"
    if locked_down(seen):
        mode = f"is {seen.lockdown.mode}" if seen.lockdown is not None else "was set at boot"
        found[LOCKDOWN] = f"lockdown {mode}"
    return found


def _unknown(seen: SignatureEvidence) -> list[str]:
    missing = []
    if seen.param is None:
        missing.append("/sys/module/module/parameters/sig_enforce cannot be read")
    if locked_down(seen) is None:
        missing.append("/sys/kernel/security/lockdown cannot be read (is securityfs mounted?)")
    return missing


def _no_modules(seen: SignatureEvidence) -> bool:
    return seen.param is None and seen.config is not None and not seen.config.is_on("CONFIG_MODULES")


def _never_checked(seen: SignatureEvidence) -> bool:
    return seen.param is None and seen.config is not None and not seen.config.is_on("CONFIG_MODULE_SIG")


def _built_locked(config: Kconfig | None) -> bool:
    names = ("CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY", "CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY")
    return config is not None and any(map(config.is_on, names))


def _booted_locked(seen: SignatureEvidence) -> bool:
    # Without the configuration the option may be one that this kernel does not know.
    return seen.config is not None and seen.cmdline is not None and seen.cmdline.lockdown is not None
