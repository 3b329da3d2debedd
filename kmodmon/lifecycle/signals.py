"""What uevents and trace events told of modules: hints with a time and a task, to be reconciled with the module list.

The source has looked up the task behind a trace event at once, before it exits; judging is left to `lifecycle`.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from kmodmon.events.event import Actor
from kmodmon.lifecycle.inventory import Module
from kmodmon.types.outcome import Observation
from kmodmon.types.units import Usec


class TraceKind(enum.StrEnum):
    """Which trace event it was."""

    LOAD = "module_load"
    FREE = "module_free"
    REQUEST = "module_request"
    INIT = "initcall_finish"
    EXEC = "sched_process_exec"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """One trace event. `module`: its name, for a request the alias asked for, empty where the event names none."""

    kind: TraceKind
    monotonic_usec: Usec
    tid: int
    module: str = ""
    taint: str = ""  # letters in bit order; only of a load
    ret: int | None = None  # what init returned
    actor: Actor | None = None  # None: it was not looked up (init), or lookups are off and the name is unknown
    asked_for: str | None = None  # the module or alias that a modprobe started by the kernel was told to load


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRead(Observation):
    """What a read of trace_pipe gave, in the order of time.

    `began`: from now on every load and unload is seen. `adopted`: entries an earlier run left in the buffer unread.
    `intact`: the trace was looked after, and records all it should; nothing else was heard. `at_usec`: when this was
    read, on CLOCK_MONOTONIC; 0: just now.
    """

    entries: tuple[TraceEntry, ...] = ()
    began: bool = False
    adopted: bool = False
    intact: bool = False
    tells_init: bool = True  # this kernel traces what init returned
    at_usec: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleUevent:
    """One uevent about a module, sent by the kernel itself."""

    action: str
    module: str
    synthetic: bool = False  # somebody wrote it into a `uevent` file: nothing was loaded or removed
    moved_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UeventsRead(Observation):
    """Uevents in the order received. `missed`: gap in SEQNUM, which network namespaces make too."""

    events: tuple[ModuleUevent, ...] = ()
    began: bool = False
    missed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulesRead(Observation):
    """/proc/modules with the attributes of /sys/module/NAME. The same object again means that nothing changed."""

    modules: Mapping[str, Module]
    skipped: int = 0  # lines that could not be understood


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinRead(Observation):
    """Names of the modules built into the kernel (modules.builtin, /sys/module directories without initstate)."""

    names: frozenset[str]
