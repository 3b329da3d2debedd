"""The state of one host at one moment, as one frozen value, and the folds of observations into it.

Readers keep the whole value; only `pipeline.step` makes the next one. A part is replaced only when it changed, so that
`is` tells whether it did; the metrics rely on that.

`SUBJECT_FOLDS` has the fold of each kind of observation. A fold passes the observation and its part of the state to a
function of the subject, and says what changed. `UNREAD_FOLDS` has the folds of sources that could not be read. The
folds of the kernel log and of the files of rules are in `kmodmon/folds.py`, because they import layers above this one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Never, TypeAlias

from kmodmon.events.budget import UNSPENT, EventBudget
from kmodmon.events.counters import NO_COUNTS, Counts
from kmodmon.events.event import Event
from kmodmon.events.timestamps import NO_TIMESTAMPS, Timestamps
from kmodmon.lifecycle.inventory import EMPTY_INVENTORY, Inventory, differing_modules
from kmodmon.lifecycle.pending import NO_LIFECYCLE, Lifecycle, LifecycleContext
from kmodmon.lifecycle.reconcile import modules_read, signal_lost, trace_read, uevents_read
from kmodmon.lifecycle.signals import BuiltinRead, ModulesRead, TraceRead, UeventsRead
from kmodmon.state.change import Change, StatePart
from kmodmon.subjects.baseline import NO_BASELINE, BaselineState
from kmodmon.subjects.counter_readings import TAINTED, UNREAD_COUNTERS, CounterReadings, with_reading
from kmodmon.subjects.crossview import CrossViewRead
from kmodmon.subjects.file_changes import FileChangesRead, file_change_events
from kmodmon.subjects.files import UNREAD_FILES, FilesState, ModuleFilesRead, files_read, files_unavailable
from kmodmon.subjects.findings import NO_FINDINGS, Findings
from kmodmon.subjects.hidden import NOTHING_HIDDEN, HiddenState, crossview_read
from kmodmon.subjects.kernel import Kernel, KernelRead
from kmodmon.subjects.log import NO_LOG, LogAccount, LogMemory
from kmodmon.subjects.modprobe import UNREAD_MODPROBE, ModprobeConfig, ModprobeRead
from kmodmon.subjects.parameters import UNREAD_PARAMETERS, ParametersRead, ParameterTable, parameters_changed
from kmodmon.subjects.posture import (
    UNREAD_POSTURE,
    CountersRead,
    LivepatchesRead,
    LockdownRead,
    Posture,
    SecureBootRead,
    SwitchesRead,
    posture_changed,
)
from kmodmon.subjects.reported import ReportedFingerprint
from kmodmon.subjects.rules import NO_POLICY, PolicyState
from kmodmon.subjects.self_stats import NO_SELF_STATS, SelfStats
from kmodmon.subjects.source import SourceState, SourceStatus
from kmodmon.subjects.taint import UNREAD_TAINT, Clue, TaintRead, TaintState, loading_clues, taint_read
from kmodmon.types.outcome import Absent, AbsentReason, Failed, Observation
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state of the host, of the sources, and of kmodmon itself."""

    boot_id: str  # /proc/sys/kernel/random/boot_id
    started: Instant  # when this run started
    resumed: bool = False  # the checkpoints of an earlier run of this boot were loaded
    sources: Mapping[SourceName, SourceState] = field(default_factory=lambda: MappingProxyType({}))
    inventory: Inventory = EMPTY_INVENTORY
    lifecycle: Lifecycle = NO_LIFECYCLE
    hidden: HiddenState = NOTHING_HIDDEN
    taint: TaintState = UNREAD_TAINT
    kernel: Kernel | None = None  # None: not read yet
    posture: Posture = UNREAD_POSTURE
    parameters: ParameterTable = UNREAD_PARAMETERS
    files: FilesState = UNREAD_FILES
    modprobe: ModprobeConfig = UNREAD_MODPROBE
    policy: PolicyState = NO_POLICY
    baseline: BaselineState = NO_BASELINE
    findings: Findings = NO_FINDINGS
    log: LogAccount = NO_LOG
    log_memory: LogMemory | None = None  # None: no record was read in this run
    readings: CounterReadings = UNREAD_COUNTERS  # of the counters and the taint number that confirm reports
    reported: tuple[ReportedFingerprint, ...] = ()  # the newest reports that are in events, of any boot
    own: SelfStats = NO_SELF_STATS
    budget: EventBudget = UNSPENT  # of events that users can provoke
    counts: Counts = field(default_factory=lambda: NO_COUNTS)  # counters that events move
    stamps: Timestamps = NO_TIMESTAMPS  # gauges of when something last happened

    @property
    def waits(self) -> bool:
        """Whether something waits for time to pass, so that a tick is needed every second."""
        return (
            bool(self.taint.pending) or self.lifecycle.waits or (self.log_memory is not None and self.log_memory.waits)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldContext:
    """The circumstances of a reading."""

    source: SourceName
    at: Instant  # when it was read
    lost: int = 0  # records that the kernel dropped before it


@dataclass(frozen=True, slots=True)
class Folded:
    """The result of a fold."""

    state: State
    events: tuple[Event, ...] = ()
    changes: tuple[Change, ...] = ()
    clues: tuple[Clue, ...] = ()  # possible causes of taint bits, beside those that the events give


Fold: TypeAlias = Callable[[State, Never, FoldContext], Folded]  # the second parameter is one kind of observation
UnreadFold: TypeAlias = Callable[[State, Absent | Failed, FoldContext], Folded]


def lifecycle_context(state: State, context: FoldContext) -> LifecycleContext:
    """The context that the module tracker needs."""
    trace = state.sources.get(SourceName.TRACE)
    expected = trace is not None and trace.status is SourceStatus.NOT_READ
    return LifecycleContext(at=context.at, started=state.started, resumed=state.resumed, trace_expected=expected)


def with_lifecycle(state: State, tracked: tuple[Inventory, Lifecycle, tuple[Event, ...]]) -> Folded:
    """Put the result of the module tracker into the state."""
    inventory, lifecycle, events = tracked
    before = state.inventory
    if inventory is before and lifecycle is state.lifecycle:
        return Folded(state, events)
    changes = (
        *((Change(StatePart.LOADED),) if inventory.loaded is not before.loaded else ()),
        *((Change(StatePart.MODULE_SUPPORT),) if inventory.support is not before.support else ()),
    )
    return Folded(replace(state, inventory=inventory, lifecycle=lifecycle), events, changes)


def _modules(state: State, read: ModulesRead, context: FoldContext) -> Folded:
    tracked = modules_read(state.inventory, state.lifecycle, read, lifecycle_context(state, context))
    folded = with_lifecycle(state, tracked)
    names = differing_modules(read.modules, state.inventory.modules)
    return replace(folded, changes=(*folded.changes, Change(StatePart.MODULES, names))) if names else folded


def _trace(state: State, read: TraceRead, context: FoldContext) -> Folded:
    tracked = trace_read(state.inventory, state.lifecycle, read, context.lost, lifecycle_context(state, context))
    return replace(with_lifecycle(state, tracked), clues=loading_clues(read.entries, context.at))


def _uevents(state: State, read: UeventsRead, context: FoldContext) -> Folded:
    tracked = uevents_read(state.inventory, state.lifecycle, read, lifecycle_context(state, context))
    return with_lifecycle(state, tracked)


def _builtin(state: State, read: BuiltinRead, context: FoldContext) -> Folded:
    inventory = replace(state.inventory, builtin=read.names)
    return Folded(replace(state, inventory=inventory), changes=(Change(StatePart.BUILTIN),))


def _crossview(state: State, read: CrossViewRead, context: FoldContext) -> Folded:
    hidden, events = crossview_read(state.hidden, read, state.inventory.loaded, state.lifecycle, context.at)
    changes = (Change(StatePart.HIDDEN),) if hidden.findings is not state.hidden.findings else ()
    return Folded(replace(state, hidden=hidden), events, changes)


def _taint(state: State, read: TaintRead, context: FoldContext) -> Folded:
    taint, events = taint_read(state.taint, read.value, context.at, resumed=state.resumed)
    readings = with_reading(state.readings, {TAINTED: read.value}, context.at)
    return Folded(
        replace(state, taint=taint, readings=readings), events
    )  # `pipeline.step` compares the ledger before and after


def _kernel(state: State, read: KernelRead, context: FoldContext) -> Folded:
    taint = replace(state.taint, flags=read.kernel.taint_flags)
    folded = _with_posture(replace(state, kernel=read.kernel, taint=taint), state.posture, context)
    return replace(folded, changes=(*folded.changes, Change(StatePart.KERNEL)))


def _with_posture(state: State, posture: Posture, context: FoldContext) -> Folded:
    before = state.posture
    after, events = posture_changed(posture, state.kernel, context.at)
    if after == before:
        return Folded(state, events)  # the same object while nothing changed: readers compare with `is`
    judged = after.facts is not before.facts or after.switches is not before.switches
    changes = (
        *((Change(StatePart.POSTURE),) if judged else ()),
        *((Change(StatePart.COUNTERS),) if after.counters != before.counters else ()),
    )
    return Folded(replace(state, posture=after), events, changes)


def _lockdown(state: State, read: LockdownRead, context: FoldContext) -> Folded:
    return _with_posture(state, replace(state.posture, lockdown=read.lockdown, lsm=read.lsm), context)


def _switches(state: State, read: SwitchesRead, context: FoldContext) -> Folded:
    return _with_posture(state, replace(state.posture, switches=read.switches), context)


def _secure_boot(state: State, read: SecureBootRead, context: FoldContext) -> Folded:
    return _with_posture(state, replace(state.posture, secure_boot=read.state), context)


def _counters(state: State, read: CountersRead, context: FoldContext) -> Folded:
    state = replace(state, readings=with_reading(state.readings, read.counters, context.at))
    return _with_posture(state, replace(state.posture, counters=read.counters), context)


def _livepatches(state: State, read: LivepatchesRead, context: FoldContext) -> Folded:
    return _with_posture(state, replace(state.posture, livepatches=read.patches), context)


def _parameters(state: State, read: ParametersRead, context: FoldContext) -> Folded:
    if read.table is state.parameters:
        return Folded(state)
    events = parameters_changed(state.parameters.parameters, read.table.parameters, context.at)
    return Folded(replace(state, parameters=read.table), events, (Change(StatePart.PARAMETERS),))


def _files(state: State, read: ModuleFilesRead, context: FoldContext) -> Folded:
    boot_time = None if state.kernel is None else state.kernel.boot_time
    files, events = files_read(state.files, read, state.inventory, boot_time, context.at)
    if files is state.files:
        return Folded(state, events)
    return Folded(replace(state, files=files), events, (Change(StatePart.FILES),))


def _modprobe(state: State, read: ModprobeRead, context: FoldContext) -> Folded:
    if read.config == state.modprobe:
        return Folded(state)
    return Folded(replace(state, modprobe=read.config), changes=(Change(StatePart.MODPROBE),))


def _file_changes(state: State, read: FileChangesRead, context: FoldContext) -> Folded:
    return Folded(state, file_change_events(read, context.at))


SUBJECT_FOLDS: Mapping[type[Observation], Fold] = MappingProxyType(
    {
        KernelRead: _kernel,
        ModulesRead: _modules,
        TraceRead: _trace,
        UeventsRead: _uevents,
        BuiltinRead: _builtin,
        CrossViewRead: _crossview,
        TaintRead: _taint,
        LockdownRead: _lockdown,
        SwitchesRead: _switches,
        SecureBootRead: _secure_boot,
        CountersRead: _counters,
        LivepatchesRead: _livepatches,
        ParametersRead: _parameters,
        ModuleFilesRead: _files,
        ModprobeRead: _modprobe,
        FileChangesRead: _file_changes,
    }
)


def _no_modules(state: State, unread: Absent | Failed, context: FoldContext) -> Folded:
    # A kernel without modules has no /proc/modules; the version was read, so procfs is mounted.
    if not isinstance(unread, Absent) or state.kernel is None or state.inventory.support:
        return Folded(state)
    inventory = replace(state.inventory, support=False)
    return Folded(replace(state, inventory=inventory), changes=(Change(StatePart.MODULE_SUPPORT),))


def _no_signal(state: State, unread: Absent | Failed, context: FoldContext) -> Folded:
    tracked = signal_lost(state.inventory, state.lifecycle, context.source, lifecycle_context(state, context))
    return with_lifecycle(state, tracked)


def _no_parameters(state: State, unread: Absent | Failed, context: FoldContext) -> Folded:
    if not _is_switched_off(unread) or state.parameters is UNREAD_PARAMETERS:
        return Folded(state)
    return Folded(replace(state, parameters=UNREAD_PARAMETERS), changes=(Change(StatePart.PARAMETERS),))


def _no_files(state: State, unread: Absent | Failed, context: FoldContext) -> Folded:
    files = UNREAD_FILES if _is_switched_off(unread) else files_unavailable(state.files)
    return (
        Folded(state) if files is state.files else Folded(replace(state, files=files), (), (Change(StatePart.FILES),))
    )


def _is_switched_off(unread: Absent | Failed) -> bool:
    """Whether a setting switched the source off; then its last values are not shown any more."""
    return isinstance(unread, Absent) and unread.reason is AbsentReason.SWITCHED_OFF


UNREAD_FOLDS: Mapping[SourceName, UnreadFold] = MappingProxyType(
    {
        SourceName.MODULES: _no_modules,
        SourceName.TRACE: _no_signal,
        SourceName.UEVENT: _no_signal,
        SourceName.PARAMETERS: _no_parameters,
        SourceName.FILES: _no_files,
    }
)
"""The folds of sources that could not be read. For any other source the state stays as it is."""
