"""The parts of the state that a step changed, so that policy and metrics need not compare whole states."""

import enum
from dataclasses import dataclass


class StatePart(enum.Enum):
    """Parts of the state. A value from which nothing is derived, such as the time of a reading, belongs to no part."""

    KERNEL = enum.auto()
    MODULES = enum.auto()  # listed modules with taint, state and attributes, without refcnt and holders
    LOADED = enum.auto()  # which modules count as loaded, and how each was loaded
    BUILTIN = enum.auto()
    MODULE_SUPPORT = enum.auto()
    HIDDEN = enum.auto()
    TAINT = enum.auto()  # the value, the ledger, or the bits that wait for a cause
    POSTURE = enum.auto()  # its facts, or the switches that they are derived from
    COUNTERS = enum.auto()  # /sys/kernel/oops_count and warn_count
    PARAMETERS = enum.auto()
    FILES = enum.auto()
    MODPROBE = enum.auto()
    POLICY = enum.auto()
    BASELINE = enum.auto()


@dataclass(frozen=True, slots=True)
class Change:
    """One changed part."""

    part: StatePart
    names: frozenset[str] | None = None  # of the changed modules; None: the part is not divided by modules
