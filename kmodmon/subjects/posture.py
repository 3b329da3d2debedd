"""The kernel's trust posture: lockdown, signature enforcement, Secure Boot, and settings that harden the kernel.

Each part is reduced to a named fact, a number or a text. A fact that changes is one event with its old and new value.
The facts are in the checkpoint, so a change while kmodmon was not running is an event too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.posture import (
    LockdownChanged,
    ModulesDisabled,
    PostureChanged,
    SettingChanged,
    SignatureEnforcementChanged,
)
from kmodmon.kernel.efivar import SecureBoot
from kmodmon.kernel.livepatch import Livepatch
from kmodmon.kernel.lockdown import Lockdown
from kmodmon.kernel.posture import Enforcement, SignatureEvidence, signature_enforcement
from kmodmon.subjects.kernel import Kernel
from kmodmon.types.outcome import Observation
from kmodmon.types.units import Instant, JsonObject

Fact: TypeAlias = int | str
Facts: TypeAlias = Mapping[str, Fact]
NO_FACTS: Facts = MappingProxyType({})

_OWN_KINDS = frozenset({"lockdown", "modules_disabled", "signature_enforced"})  # each has an event kind of its own
_HIGHER_IS_WEAKER = frozenset({"sysrq", "kexec_load_limit_panic", "kexec_load_limit_reboot", "oops_limit"})
_NO_ORDER = frozenset({"kfence_sample_interval", "panic_on_oops", "panic_on_warn", "warn_limit", "ftrace_enabled"})
_LOCKDOWN_ORDER = ("none", "integrity", "confidentiality")


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """/proc/sys/kernel and /sys/module/module/parameters, at one moment; None: the kernel has no such file."""

    settings: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # `kernel.sysctl.HARDENING`
    modules_disabled: bool | None = None  # None: also without CONFIG_MODULES
    sig_enforce: bool | None = None  # the parameter, of CONFIG_MODULE_SIG; `Posture.enforcement` is what is in effect
    modprobe: str | None = None  # path of the program that loads modules; empty: autoloading is off
    printk_devkmsg: str | None = None  # on, off or ratelimit: writes of user space to /dev/kmsg


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """All parts of the posture; None: not read yet, or the kernel does not have the interface."""

    switches: Switches | None = None
    lockdown: Lockdown | None = None  # CONFIG_SECURITY_LOCKDOWN_LSM, and securityfs is mounted
    lsm: tuple[str, ...] | None = None  # names in /sys/kernel/security/lsm
    secure_boot: SecureBoot | None = None  # needs efivarfs
    livepatches: Mapping[str, Livepatch] | None = None  # by module name; CONFIG_LIVEPATCH
    counters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # /sys/kernel/NAME, since boot
    enforcement: Enforcement | None = None  # derived from the other parts
    facts: Facts = field(default_factory=lambda: NO_FACTS)  # the last value of each fact that could be read


UNREAD_POSTURE = Posture()


def posture_changed(posture: Posture, kernel: Kernel | None, at: Instant) -> tuple[Posture, tuple[Event, ...]]:
    """Derive enforcement and facts again; give an event for each changed fact, none for one that is read first."""
    enforcement = None
    if posture.switches is not None:
        enforcement = signature_enforcement(
            SignatureEvidence(
                param=posture.switches.sig_enforce,
                lockdown=posture.lockdown,
                lsm=posture.lsm,
                cmdline=None if kernel is None else kernel.cmdline,
                config=None if kernel is None else kernel.config,
            )
        )
    current = _facts(replace(posture, enforcement=enforcement))
    # A fact that cannot be read keeps its last value, so that a change in the meantime is an event when it is read.
    facts = MappingProxyType({**posture.facts, **current})
    changed = [(name, posture.facts[name], new) for name, new in current.items() if posture.facts.get(name, new) != new]
    after = replace(posture, enforcement=enforcement, facts=posture.facts if facts == posture.facts else facts)
    return after, tuple(_event(name, old, new, after, at) for name, old, new in changed)


def _facts(posture: Posture) -> Facts:
    facts: dict[str, Fact | None] = {
        "lockdown": None if posture.lockdown is None else posture.lockdown.mode,
        "secure_boot": None if posture.secure_boot is None else posture.secure_boot.value,
    }
    if posture.enforcement is not None and posture.enforcement.enforced is not None:
        facts["signature_enforced"] = int(posture.enforcement.enforced)
    if posture.switches is not None:
        disabled = posture.switches.modules_disabled
        facts["modules_disabled"] = None if disabled is None else int(disabled)
        facts["modprobe"] = posture.switches.modprobe
        facts["printk_devkmsg"] = posture.switches.printk_devkmsg
        facts.update(posture.switches.settings)
    if posture.livepatches is not None:
        facts["livepatches"] = ",".join(
            f"{name}:{patch.state.value}" for name, patch in sorted(posture.livepatches.items())
        )
    return {name: value for name, value in facts.items() if value is not None}


def _event(name: str, old: Fact, new: Fact, posture: Posture, at: Instant) -> Event:
    direction = _direction(name, old, new)
    severity = {
        "weakened": Severity.ERROR if name in _OWN_KINDS else Severity.WARNING,
        "hardened": Severity.NOTICE,
    }.get(direction, Severity.WARNING if name == "modprobe" else Severity.NOTICE)
    return Event(details=_details(name, old, new, direction, posture.enforcement), at=at, severity=severity)


def _details(name: str, old: Fact, new: Fact, direction: str, enforcement: Enforcement | None) -> SettingChanged:
    match name:
        case "lockdown":
            return LockdownChanged(setting=name, old=old, new=new, direction=direction)
        case "modules_disabled":
            return ModulesDisabled(setting=name, old=old, new=new, direction=direction)
        case "signature_enforced" if enforcement is not None:
            return SignatureEnforcementChanged(
                setting=name,
                old=old,
                new=new,
                direction=direction,
                deciders=enforcement.deciders,
                explanation=enforcement.explanation,
            )
        case _:
            return PostureChanged(setting=name, old=old, new=new, direction=direction)


def _direction(name: str, old: Fact, new: Fact) -> str:
    if name == "lockdown" and old in _LOCKDOWN_ORDER and new in _LOCKDOWN_ORDER:
        return "hardened" if _LOCKDOWN_ORDER.index(str(new)) > _LOCKDOWN_ORDER.index(str(old)) else "weakened"
    if isinstance(old, int) and isinstance(new, int) and name not in _NO_ORDER:
        return "hardened" if (new > old) != (name in _HIGHER_IS_WEAKER) else "weakened"
    return "changed"


def facts_from_json(document: JsonObject) -> Facts:
    """The last facts of an earlier run of this boot; entries of another shape are dropped."""
    return MappingProxyType(
        {
            name: value
            for name, value in document.items()
            if isinstance(value, int | str) and not isinstance(value, bool)
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LockdownRead(Observation):
    """/sys/kernel/security/lockdown and lsm."""

    lockdown: Lockdown
    lsm: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchesRead(Observation):
    """/proc/sys/kernel and /sys/module/module/parameters/sig_enforce."""

    switches: Switches


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureBootRead(Observation):
    """The EFI variables SecureBoot, SetupMode and shim's."""

    state: SecureBoot


@dataclass(frozen=True, slots=True, kw_only=True)
class CountersRead(Observation):
    """/sys/kernel/oops_count and warn_count, since 6.2 and in stable releases of older kernels."""

    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LivepatchesRead(Observation):
    """/sys/kernel/livepatch."""

    patches: Mapping[str, Livepatch]
