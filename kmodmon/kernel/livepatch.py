"""/sys/kernel/livepatch/PATCH/: livepatches of the running kernel.

Interface: kernel/livepatch/core.c (Documentation/ABI/testing/sysfs-kernel-livepatch); PATCH is the module's name.
`enabled` is 0644, the other files 0444. Absent: kernel without CONFIG_LIVEPATCH; without patches the directory is
there and empty.

`replace` exists since Linux kernel commit adb68ed26a3e ("livepatch: Add "replace" sysfs attribute") (in v6.11),
`stack_order` since Linux kernel commit 3dae09de4061 ("livepatch: Add stack_order sysfs attribute") (in v6.14).

While a transition runs, some tasks still use the old code. A transition that does not end means that a task never
leaves the patched function.
"""

import enum
from dataclasses import dataclass

from kmodmon.kernel.sysctl import parse_counter, parse_switch

_INTERFACE = "/sys/kernel/livepatch/<patch>/"


class PatchState(enum.StrEnum):
    """State of a patch, from `enabled` and `transition` together."""

    ENABLED = "enabled"  # every task uses the new code
    DISABLED = "disabled"  # every task uses the old code
    ENABLING = "enabling"  # in transition to the new code
    DISABLING = "disabling"  # in transition back to the old code


@dataclass(frozen=True, slots=True, kw_only=True)
class Livepatch:
    """One patch."""

    state: PatchState
    replace: bool | None = None  # it replaces all patches before it; None: kernel before 6.11
    stack_order: int | None = None  # place in the sequence of applied patches; None: kernel before 6.14


def parse_livepatch(
    enabled: bytes, transition: bytes, replace: bytes | None = None, stack_order: bytes | None = None
) -> Livepatch:
    """Read the contents of one patch's files, None for absent ones; raises ParseError."""
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
