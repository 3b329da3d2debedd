"""Every list in which the kernel names modules, compared: a module that one list has and another lacks is hidden.

Interfaces: /proc/modules, /sys/module, /proc/kallsyms (world readable); tracefs available_filter_functions and
dyn_ftrace_total_info, debugfs kprobes/list, /proc/vmallocinfo (root). Their documents and formats are in
`kernel.modules`, `kernel.crossview` and `kernel.vmallocinfo`. Each may be absent or unreadable: the rest is compared,
and the missing view is reported with the reason.

Facts the code below is written from:

- No list is atomic, and a module that is loaded or unloaded is in some lists before others. The module list is read
  before and after the other views, and a discrepancy is checked again a second later.
- A module that is loaded and unloaded eight times a second can look hidden twice. Each load and unload is a uevent
  (/sys/kernel/uevent_seqnum counts them): two passes without any uevent are enough, otherwise more are made.
- A directory of /sys/module is a loaded module's if it has `initstate`; a listed module's directory counts without it.
- st_nlink of /sys/module counts its sub-directories, listed or not.
- kallsyms and the function list cost tens of milliseconds. They are read when a cheap view has changed (the list, the
  directories, the loader's memory, ftrace's count of functions, which each load and unload of a traceable module
  changes), and once in _FULL_EVERY reads even if none has.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmodmon.kernel.crossview import filter_function_modules, kallsyms_modules, kprobe_modules
from kmodmon.kernel.modules import ModuleLine, ModuleState, is_complete, merge_passes, parse_modules
from kmodmon.kernel.sysmodule import sysfs_name
from kmodmon.kernel.vmallocinfo import parse_module_areas
from kmodmon.sources.source import PollSource, Reading, SourceContext
from kmodmon.subjects.crossview import CrossViewRead, Pass, View, ViewRead, strays_of, suspects
from kmodmon.system.root import NUMBER, PAGE, TABLE, Root, outcome_of
from kmodmon.types.outcome import Absent, Failed, Outcome, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import safe_text

_PAGE = os.sysconf("SC_PAGESIZE")  # bytes
_PAUSES = (1.0, 0.35, 0.8, 0.55, 1.15)  # seconds between passes; uneven, so that no periodic load is in step with them
_QUIET_PASSES = 2  # passes without a uevent that are enough
_FULL_EVERY = 15  # reads after which the costly views are read even if no cheap one has changed
_LIST_PASSES = 5  # over /proc/modules, until two agree

Listed = Mapping[str, ModuleLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Directories:
    """The directories of /sys/module."""

    modules: frozenset[str]  # names of the loaded modules that have one
    listing: frozenset[bytes]  # all names as listed
    counted: int  # number by st_nlink


class CrossViewReader:
    """Compares the views. It reads megabytes and sleeps between passes, so it runs in a worker thread."""

    def __init__(self, root: Root, sleep: Callable[[float], None] = time.sleep) -> None:
        self._root = root
        self._sleep = sleep
        self._costly: Mapping[View, ViewRead] = MappingProxyType({})
        self._cheap: object = None
        self._reused = 0

    def __call__(self) -> Reading:
        """Make one pass, and more while they show a discrepancy."""
        passes: list[Pass] = []
        quiet: list[Pass] = []
        for pause in (None, *_PAUSES):
            if pause is not None:
                self._sleep(pause)
            uevents = self._uevents()
            outcome = self._pass(again=bool(passes))
            if not isinstance(outcome, Read):
                return Reading(outcome=outcome)
            passes.append(outcome.value)
            if uevents is not None and uevents == self._uevents():
                quiet.append(outcome.value)
            if len(quiet) == _QUIET_PASSES:
                return Reading(outcome=Read(CrossViewRead(passes=tuple(quiet))))
            if not suspects(outcome.value) and not outcome.value.uncounted:
                break
        return Reading(outcome=Read(CrossViewRead(passes=tuple(passes))))

    def _uevents(self) -> str | None:
        return self._root.text(self._root.sys(b"kernel", b"uevent_seqnum"), NUMBER)

    def _pass(self, *, again: bool) -> Outcome[Pass]:
        before = self._list()
        if not isinstance(before, Read):
            return before
        directories = self._directories(before.value)
        if not isinstance(directories, Read):
            return directories
        areas = self._areas()
        cheap = (frozenset(before.value), directories.value, areas, self._function_count())
        costly = self._costly_views(cheap, again=again)
        after = self._list()
        if not isinstance(after, Read):
            return after
        return Read(self._compared(before.value, after.value, directories.value, areas, costly))

    def _compared(
        self,
        before: Listed,
        after: Listed,
        directories: _Directories,
        areas: tuple[int, ...] | None,
        costly: Mapping[View, ViewRead],
    ) -> Pass:
        users = frozenset(user for line in after.values() for user in line.holders)
        views = {
            View.SYSFS: ViewRead(names=directories.modules),
            View.HOLDERS: ViewRead(names=users),
            **costly,
        }
        named = frozenset[str]().union(*(view.names for view in views.values() if view.names is not None))
        unlistable = frozenset(name for name in named | after.keys() if self._is_unlistable(name, directories))
        unchanged = areas is not None and before.keys() == after.keys()
        strays = strays_of(areas or (), after.values(), _PAGE) if unchanged else None
        return Pass(
            listed=_states(before),
            relisted=_states(after),
            views=MappingProxyType({**views, View.MEMORY: _memory(areas, strays)}),
            unlistable=unlistable,
            uncounted=max(0, directories.counted - len(directories.listing)),
            strays=strays,
        )

    # The cheap views

    def _list(self) -> Outcome[Listed]:
        path = self._root.proc(b"modules")
        outcome = self._root.read(path, TABLE)
        if not isinstance(outcome, Read):
            return outcome
        file = parse_modules(outcome.value)
        raw = outcome.value
        for _ in range(0 if is_complete(raw) else _LIST_PASSES):
            outcome = self._root.read(path, TABLE)
            if not isinstance(outcome, Read):
                return outcome
            merged = merge_passes(file, parse_modules(outcome.value))
            if not merged.doubtful:
                break
            file = parse_modules(outcome.value)
        return Read(MappingProxyType({line.name: line for line in file.lines}))

    def _directories(self, listed: Listed) -> Outcome[_Directories]:
        top = self._root.sys(b"module")
        outcome = self._root.directories(top)
        if not isinstance(outcome, Read):
            return outcome
        try:
            counted = os.stat(top).st_nlink - 2
        except OSError as error:
            return outcome_of(error, top)
        names = {sysfs_name(name): name for name in listed}
        modules = (
            names.get(directory) or safe_text(directory)
            for directory in outcome.value
            if directory in names or self._root.exists(b"/".join((top, directory, b"initstate")))
        )
        return Read(_Directories(modules=frozenset(modules), listing=frozenset(outcome.value), counted=counted))

    def _is_unlistable(self, name: str, directories: _Directories) -> bool:
        directory = sysfs_name(name)
        if directory is None or directory in directories.listing:
            return False
        return self._root.exists(self._root.sys(b"module", directory, b"initstate"))

    def _areas(self) -> tuple[int, ...] | None:
        outcome = self._root.read(self._root.proc(b"vmallocinfo"), TABLE)
        if not isinstance(outcome, Read):
            return None
        return tuple(sorted(area.size for area in parse_module_areas((outcome.value,))))

    def _function_count(self) -> bytes | None:
        for place in self._tracing():
            outcome = self._root.read(place + b"/dyn_ftrace_total_info", PAGE)
            if isinstance(outcome, Read):
                return outcome.value
        return None

    # The costly ones

    def _costly_views(self, cheap: object, *, again: bool) -> Mapping[View, ViewRead]:
        self._reused += 1
        if again or cheap != self._cheap or self._reused >= _FULL_EVERY:
            self._costly = MappingProxyType(
                {
                    View.KALLSYMS: self._scan((self._root.kallsyms,), kallsyms_modules),
                    View.FTRACE: self._scan(
                        (place + b"/available_filter_functions" for place in self._tracing()), filter_function_modules
                    ),
                    View.KPROBES: self._scan((self._root.debugfs + b"/kprobes/list",), _kprobes),
                }
            )
            self._cheap, self._reused = cheap, 0
        return self._costly

    def _tracing(self) -> tuple[bytes, ...]:
        return self._root.tracefs, self._root.debugfs + b"/tracing"

    def _scan(self, paths: Iterable[bytes], parse: Callable[[Iterable[bytes]], frozenset[str]]) -> ViewRead:
        why = ""
        for path in paths:
            try:
                return ViewRead(names=parse(self._root.chunks(path)))
            except OSError as error:
                match outcome_of(error, path):
                    case Absent(reason) | Failed(reason):
                        why = why or reason
        return ViewRead(names=None, why=why)


def _memory(areas: tuple[int, ...] | None, strays: tuple[int, ...] | None) -> ViewRead:
    if areas is None:
        return ViewRead(why="/proc/vmallocinfo could not be read")
    if strays is None:
        return ViewRead(why="the areas in /proc/vmallocinfo are not one a module, on this kernel or at this moment")
    return ViewRead(names=frozenset())


def _kprobes(chunks: Iterable[bytes]) -> frozenset[str]:
    return kprobe_modules(b"".join(chunks))


def _states(listed: Listed) -> Mapping[str, ModuleState]:
    return MappingProxyType({name: line.state for name, line in listed.items()})


def _make(context: SourceContext) -> CrossViewReader:
    return CrossViewReader(context.root)


SOURCE = PollSource(
    name=SourceName.CROSSVIEW,
    make=_make,
    every=lambda settings: settings.poll.crossview,
    threaded=True,
    interfaces=(
        "/proc/modules",
        "/sys/module",
        "/proc/kallsyms",
        "tracefs available_filter_functions",
        "/sys/kernel/debug/kprobes/list",
        "/proc/vmallocinfo",
    ),
    remedy="CAP_DAC_READ_SEARCH, as in the packaged unit: without it only /proc/modules, /sys/module and "
    "/proc/kallsyms are compared",
)
