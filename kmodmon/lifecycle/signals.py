"""What the sources read about modules: /proc/modules, the trace and uevents. `decision` says what each is worth.

The source looks up the task behind a trace event at once, before it exits.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from kmodmon.events.event import Actor
from kmodmon.lifecycle.inventory import Module
from kmodmon.types.outcome import Observation
from kmodmon.types.units import Usec


class TraceKind(enum.StrEnum):
    """The kernel's name of a trace event (include/trace/events/{module,initcall,sched}.h)."""

    LOAD = "module_load"
    FREE = "module_free"
    REQUEST = "module_request"
    INIT = "initcall_finish"
    EXEC = "sched_process_exec"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """One trace event."""

    kind: TraceKind
    monotonic_usec: Usec
    tid: int  # thread id in the initial pid namespace
    module: str = ""  # of a request: the requested name or alias; empty: the event names none (init, exec)
    taint: str = ""  # letters in bit order; of a load only
    ret: int | None = None  # of an init: what it returned
    actor: Actor | None = None  # None: not looked up (init), or look-ups are off and the name is unknown
    requested_name: str | None = None  # what the kernel told its own modprobe to load; None: another task
    answered: bool = False  # of an exec: a load by this task was traced, or a refusal attributed to it


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRead(Observation):
    """What was read from the trace, in the order of time."""

    entries: tuple[TraceEntry, ...] = ()
    began: bool = False  # from now on the trace has every load and unload
    adopted: bool = False  # the entries were left in the buffer by an earlier run
    intact: bool = False  # nothing to read, and the trace was checked: it still records all that it should
    at_usec: int = 0  # when it was read, CLOCK_MONOTONIC; 0: when it is processed


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleUevent:
    """One uevent of subsystem `module`, sent by the kernel (lib/kobject_uevent.c)."""

    action: str  # add, remove, move; the kernel sends others only as synthetic ones
    module: str  # the directory in /sys/module: the name with `!` for each `/`; empty: it was moved out
    synthetic: bool = False  # it has SYNTH_UUID: somebody wrote it into a `uevent` file, nothing was loaded or removed
    moved_from: str | None = None  # of a move: the directory before; None: it was not in /sys/module


@dataclass(frozen=True, slots=True, kw_only=True)
class UeventsRead(Observation):
    """Uevents in the order received."""

    events: tuple[ModuleUevent, ...] = ()
    began: bool = False  # from now on uevents are received
    missed: int = 0  # gap in SEQNUM; uevents of other network namespaces make gaps too


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulesRead(Observation):
    """/proc/modules with the attributes of /sys/module/NAME. The same object again means that nothing changed."""

    modules: Mapping[str, Module]
    skipped: int = 0  # lines that could not be parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinRead(Observation):
    """Names of the modules built into the kernel (modules.builtin, /sys/module directories without initstate)."""

    names: frozenset[str]
