"""What was seen: the only thing that flows from a source into the pipeline. Facts of one moment, no judgement."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kmodmon.kernel.efivar import SecureBoot
from kmodmon.kernel.livepatch import Livepatch
from kmodmon.kernel.lockdown import Lockdown
from kmodmon.kernel.pstore import Dump
from kmodmon.model.crossview import CrossViewRead
from kmodmon.model.files import ModuleFilesRead
from kmodmon.model.inventory import Module
from kmodmon.model.kernel import Kernel
from kmodmon.model.modprobe import ModprobeConfig
from kmodmon.model.outcome import Outcome
from kmodmon.model.parameters import ParameterTable
from kmodmon.model.posture import Switches
from kmodmon.model.rules import RulesFileRead
from kmodmon.model.touched import FilesTouched
from kmodmon.model.units import Instant
from kmodmon.model.witness import TraceHeard, UeventsHeard


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulesRead:
    """/proc/modules with the attributes of /sys/module/NAME. The same object again means that nothing changed."""

    modules: Mapping[str, Module]
    skipped: int = 0  # lines that could not be understood


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinRead:
    """Names of the modules built into the kernel (modules.builtin, /sys/module directories without initstate)."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintRead:
    """/proc/sys/kernel/tainted."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRead:
    """Identity of the running kernel, its command line and its configuration."""

    kernel: Kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class LockdownRead:
    """/sys/kernel/security/lockdown and lsm."""

    lockdown: Lockdown
    lsm: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchesRead:
    """/proc/sys/kernel and /sys/module/module/parameters/sig_enforce."""

    switches: Switches


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureBootRead:
    """What the firmware's variables say."""

    state: SecureBoot


@dataclass(frozen=True, slots=True, kw_only=True)
class CountersRead:
    """/sys/kernel/{oops,warn}_count and their kin."""

    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LivepatchesRead:
    """/sys/kernel/livepatch."""

    patches: Mapping[str, Livepatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParametersRead:
    """A sweep over /sys/module/*/parameters. The same object again means that nothing changed."""

    table: ParameterTable


@dataclass(frozen=True, slots=True, kw_only=True)
class ModprobeRead:
    """The modprobe.d files that count."""

    config: ModprobeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRead:
    """Records of /dev/kmsg as read() gave them, in order. None at all: the log could be opened, and had no more."""

    records: tuple[bytes, ...]
    end: bool = False  # nothing more was there
    live: bool = False  # and nothing had been there before: the newest of these was written just now


@dataclass(frozen=True, slots=True, kw_only=True)
class PstoreRead:
    """Dumps of earlier boots: what pstore holds, and what systemd moved out of it."""

    dumps: tuple[Dump, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passed: what waits for silence or for age is settled. Comes once a second while anything waits."""


Observation: TypeAlias = (
    ModulesRead
    | BuiltinRead
    | TaintRead
    | KernelRead
    | LockdownRead
    | SwitchesRead
    | SecureBootRead
    | CountersRead
    | LivepatchesRead
    | ParametersRead
    | ModuleFilesRead
    | ModprobeRead
    | RulesFileRead
    | FilesTouched
    | LogRead
    | PstoreRead
    | TraceHeard
    | UeventsHeard
    | CrossViewRead
    | Tick
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at one source, with the moment it was made."""

    source: str
    at: Instant
    outcome: Outcome[Observation]
    lost: int = 0  # things the kernel dropped before this look
    unreadable: int = 0  # things inside that could not be read
