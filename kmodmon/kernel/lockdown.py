"""/sys/kernel/security/lockdown and /sys/kernel/security/lsm: how far the kernel is locked down.

Interface: security/lockdown/lockdown.c, security/inode.c (kernel_lockdown(7)). Both are world readable and need
securityfs mounted. The content is every level in rising order, the active one in brackets:
`none [integrity] confidentiality`. A running kernel can raise the level and never lower it.

Absent: mainline before Linux kernel commit 000d388ed3bb ("security: Add a static lockdown policy LSM") (in v5.4),
Ubuntu's 4.18 (own boolean lockdown, no file), CONFIG_SECURITY_LOCKDOWN_LSM=n, securityfs not mounted. Without
CONFIG_SECURITY_LOCKDOWN_LSM_EARLY and with `lsm=` omitting it, kernels up to 6.12 show and accept levels that nothing
enforces: the file means something only if `lockdown` is among the active LSMs.
"""

import re
from dataclasses import dataclass

from kmodmon.kernel.selection import parse_selection
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

LOCKDOWN = "/sys/kernel/security/lockdown"
LSM = "/sys/kernel/security/lsm"
INTEGRITY, CONFIDENTIALITY = "integrity", "confidentiality"  # the levels above `none`
_LEVEL = re.compile(rb"[a-z_]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockdown:
    """Levels of lockdown."""

    mode: str  # the active level
    available: tuple[str, ...]  # every level of this kernel, in rising order

    def is_at_least(self, mode: str) -> bool:
        """Whether the active level is `mode` or above it; False for a level this kernel does not have."""
        return mode in self.available and self.available.index(self.mode) >= self.available.index(mode)


def parse_lockdown(raw: bytes) -> Lockdown:
    """Read the lockdown file; raises ParseError unless exactly one word is in brackets."""
    mode, available = parse_selection(raw, LOCKDOWN, _LEVEL)
    return Lockdown(mode=mode, available=available)


def parse_lsm(raw: bytes) -> tuple[str, ...]:
    """Read the list of active security modules, in the order of their calls; raises ParseError."""
    names = raw.strip().split(b",") if raw.strip() else []
    if not all(re.fullmatch(rb"[\w.-]{1,32}", name) for name in names):
        raise ParseError(LSM, raw, "not a list of names with commas between")
    return tuple(safe_text(name) for name in names)
