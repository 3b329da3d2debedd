"""What a step changed, by part: whoever judges, counts or renders can follow the change instead of the whole."""

import enum
from dataclasses import dataclass


class StatePart(enum.Enum):
    """Parts of the state. A change of something that nothing is derived from (a time of reading) is none."""

    KERNEL = enum.auto()
    MODULES = enum.auto()  # listed modules: taint, state or attributes; not how often one is used, or by which
    LOADED = enum.auto()  # which modules are known as loaded, and how each came
    BUILTIN = enum.auto()
    MODULE_SUPPORT = enum.auto()
    HIDDEN = enum.auto()
    TAINT = enum.auto()  # the number, the ledger, or what waits for its cause
    POSTURE = enum.auto()  # its facts, or the switches behind them
    COUNTERS = enum.auto()  # the kernel's own counts of oopses and the like
    PARAMETERS = enum.auto()
    FILES = enum.auto()
    MODPROBE = enum.auto()
    POLICY = enum.auto()
    BASELINE = enum.auto()


@dataclass(frozen=True, slots=True)
class Change:
    """One changed part; `names` of the modules concerned, None where modules are not told apart."""

    part: StatePart
    names: frozenset[str] | None = None
