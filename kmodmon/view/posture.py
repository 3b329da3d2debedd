"""The trust posture: lockdown, signature enforcement, Secure Boot, hardening settings, live patches."""

from kmodmon.subjects.posture import Posture
from kmodmon.types.units import JsonObject


def posture_view(posture: Posture) -> JsonObject:
    """The posture; null where the kernel does not offer the interface or it was not read yet."""
    switches, enforcement = posture.switches, posture.enforcement
    return {
        "lockdown": None if posture.lockdown is None else posture.lockdown.mode,
        "signature_enforced": None if enforcement is None else enforcement.enforced,
        "signature_enforced_by": [] if enforcement is None else list(enforcement.deciders),
        "signature_enforcement": None if enforcement is None else enforcement.explanation,
        "secure_boot": None if posture.secure_boot is None else posture.secure_boot.value,
        "modules_disabled": None if switches is None else switches.modules_disabled,
        "modprobe": None if switches is None else switches.modprobe,
        "settings": {} if switches is None else dict(switches.settings),
        "livepatches": {name: patch.state.value for name, patch in (posture.livepatches or {}).items()},
        "counters": dict(posture.counters),
    }
