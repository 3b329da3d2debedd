"""What was seen: the only thing that flows from a source into the pipeline. Facts of one moment, no judgement."""

from dataclasses import dataclass
from typing import TypeAlias

from kmodmon.lifecycle.signals import BuiltinRead, ModulesRead, TraceRead, UeventsRead
from kmodmon.subjects.crossview import CrossViewRead
from kmodmon.subjects.file_changes import FileChangesRead
from kmodmon.subjects.files import ModuleFilesRead
from kmodmon.subjects.kernel import KernelRead
from kmodmon.subjects.log import LogRead, PstoreRead
from kmodmon.subjects.modprobe import ModprobeRead
from kmodmon.subjects.parameters import ParametersRead
from kmodmon.subjects.posture import CountersRead, LivepatchesRead, LockdownRead, SecureBootRead, SwitchesRead
from kmodmon.subjects.rules import RulesFileRead
from kmodmon.subjects.taint import TaintRead
from kmodmon.types.outcome import Outcome
from kmodmon.types.units import Instant


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
    | FileChangesRead
    | LogRead
    | PstoreRead
    | TraceRead
    | UeventsRead
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
