"""/sys/kernel/livepatch/PATCH/: patches in the running kernel.

Interface: kernel/livepatch/core.c (Documentation/ABI/testing/sysfs-kernel-livepatch); PATCH is the module's name.
`enabled` is 0644, the others 0444; `replace` came with 6.11, `stack_order` with 6.14. Absent: CONFIG_LIVEPATCH off;
without patches the directory is there and empty. While a transition runs, some tasks still use the old code; one that
does not end means a task that never leaves the patched function.
"""

import enum
from dataclasses import dataclass

from kmodmon.kernel.sysctl import parse_counter, parse_switch

_INTERFACE = "/sys/kernel/livepatch/<patch>/"


class PatchState(enum.StrEnum):
    """Where a patch stands, from `enabled` and `transition` together."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    ENABLING = "enabling"
    DISABLING = "disabling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Livepatch:
    """One patch; None: this kernel does not say."""

    state: PatchState
    replace: bool | None = None
    stack_order: int | None = None


def parse_livepatch(
    enabled: bytes, transition: bytes, replace: bytes | None = None, stack_order: bytes | None = None
) -> Livepatch:
    """Read the files of one patch, None for those that are not there; raises ParseError."""
    on = parse_switch(enabled, _INTERFACE + "enabled")
    if parse_switch(transition, _INTERFACE + "transition"):
        state = PatchState.ENABLING if on else PatchState.DISABLING
    else:
        state = PatchState.ENABLED if on else PatchState.DISABLED
    return Livepatch(
        state=state,
        replace=None if replace is None else parse_switch(replace, _INTERFACE + "replace"),
        stack_order=None if stack_order is None else parse_counter(stack_order, _INTERFACE + "stack_order"),
    )
