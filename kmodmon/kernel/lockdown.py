"""/sys/kernel/security/lockdown and /sys/kernel/security/lsm: how far the kernel is locked down.

Interface: security/lockdown/lockdown.c, security/inode.c. Both are world readable and need securityfs mounted. The
content is every level in rising order, the active one in brackets: `none [integrity] confidentiality`. A level can be
raised while running and never lowered.

Absent: mainline before 5.4, Ubuntu's 4.18 (own boolean lockdown, no file), CONFIG_SECURITY_LOCKDOWN_LSM=n, securityfs
not mounted. Without CONFIG_SECURITY_LOCKDOWN_LSM_EARLY and with `lsm=` omitting it, kernels up to 6.12 show and accept
levels that nothing enforces: `lockdown` must be among the active LSMs for the file to mean anything.
"""

import re
from dataclasses import dataclass

from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

LOCKDOWN = "/sys/kernel/security/lockdown"
LSM = "/sys/kernel/security/lsm"
NONE, INTEGRITY, CONFIDENTIALITY = "none", "integrity", "confidentiality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockdown:
    """The active level and all that this kernel knows, in rising order."""

    mode: str
    available: tuple[str, ...]

    def is_at_least(self, mode: str) -> bool:
        """Whether the active level is `mode` or above it; False for a level this kernel does not have."""
        return mode in self.available and self.available.index(self.mode) >= self.available.index(mode)


def parse_lockdown(raw: bytes) -> Lockdown:
    """Read the lockdown file; raises ParseError unless exactly one word is in brackets."""
    words = raw.split()
    active = [word for word in words if word.startswith(b"[") and word.endswith(b"]")]
    names = [word.strip(b"[]") for word in words]
    if len(active) != 1 or not all(re.fullmatch(rb"[a-z_]{1,32}", name) for name in names):
        raise ParseError(LOCKDOWN, raw, "not a list of words with the active one in brackets")
    return Lockdown(mode=active[0].strip(b"[]").decode(), available=tuple(name.decode() for name in names))


def parse_lsm(raw: bytes) -> tuple[str, ...]:
    """Read the list of active security modules, in the order of their calls; raises ParseError."""
    names = raw.strip().split(b",") if raw.strip() else []
    if not all(re.fullmatch(rb"[\w.-]{1,32}", name) for name in names):
        raise ParseError(LSM, raw, "not a list of names with commas between")
    return tuple(safe_text(name) for name in names)
