"""Decides what happened to a module, from three signals that are read in any order and may be missing.

signal                 reports                                   read after       can be lost
/proc/modules          what is loaded now, and its state         poll or uevent   what came and went between two reads
trace module_load,     who and when; what init returned, unless  milliseconds     overrun of the ring buffer (counted),
initcall_finish, _free the module has no init                                     all before the trace was opened
uevent add, remove,    /sys/module/NAME appeared, vanished       milliseconds     overrun of the socket; a remove that
move                                                                              was written into its `uevent` file too

Order of the signals in the kernel (`load_module`, `do_init_module`, `free_module` in kernel/module/main.c, up to 5.18
kernel/module.c). A load has one task from module_load to the end.

load             listed Loading, module_load, init, initcall_finish, listed Live, uevent add
init fails       listed Loading, module_load, init, initcall_finish ret < 0, listed Unloading, module_free
refused earlier  listed Loading, listed Unloading (a parameter value that is refused: no trace event, no uevent)
unload           listed Unloading, exit, module_free, uevent remove, not listed

Commit 38dc717e9715 ("module: delay kobject uevent until after module init call") (v5.11, and in stable branches) put
the add uevent after init. Before it, add comes before module_load, and a load whose init fails has an add and a remove.

The first row of a table that applies decides. The trace is *on* while it is open or about to be opened, *complete since
T* if it was open a second before T and lost nothing since, and *confirmed* if it was read to its end and found intact
after that moment. It *would have an unload* if it is complete since the last reading that had the module, or since its
module_load. The list was *read since* if a reading is more than a second younger. Pending loads and discrepancies count
their time from their first signal.

A load is pending, and L1, L4, N1 or I2 applied to it, or trace events were lost (`decide_pending`):

row  listed     module_load  and                                                 decision
P1   Live       any          listed at the first reading of this boot            LOADED (which is no event then)
P2   Loading    any          for INIT_USEC, by the list or a confirmed trace     LOADED
P3   Live       traced       init returned, or listed after module_load          LOADED
P4   any        traced       -                                                   WAIT
P5   any        not traced   the trace is on                                     WAIT
P6   Live       not traced   -                                                   LOADED
P7   no longer  not traced   last listed Live, or uevent add                     LOADED_AND_LEFT
P8   no longer  not traced   last listed Loading or Unloading                    FAILED
P9   any        not traced   -                                                   WAIT

A load has been pending for SETTLE_USEC (`decide_pending_after_wait`):

row  listed     module_load  and                                                 decision
S1   no         traced       list not read since; init returned or uevent add    LOADED
S2   no         traced       list not read since; pending for INIT_USEC          LOADED
S3   no         traced       list not read since                                 WAIT
S4   no         traced       trace not confirmed                                 WAIT
S5   no         traced       trace events were lost after it                     LOADED_AND_LEFT
S6   no         traced       -                                                   LOADED_NOT_LISTED
S7   no longer  not traced   last listed Live, or uevent add                     LOADED_AND_LEFT
S8   no         not traced   trace open: refused earlier, or its uevent is late  DROPPED
S9   no longer  not traced   last listed Loading or Unloading                    FAILED
S10  never      not traced   uevent remove                                       LOADED_AND_REMOVED
S11  never      not traced   list read since; pending for 2 * SETTLE_USEC        CONTRADICTED
S12  never      not traced   -                                                   WAIT
S13  yes        traced       -                                                   as P1 to P9
S14  not Live   not traced   -                                                   as P1 to P9
S15  Live       not traced   trace about to be opened; pending for < INIT_USEC   WAIT
S16  Live       not traced   trace not complete since a reading without it       LOADED
S17  Live       not traced   trace confirmed                                     LOADED_NOT_TRACED
S18  Live       not traced   -                                                   WAIT

A discrepancy has lasted for SETTLE_USEC, or trace events were lost (`decide_discrepancy`):

row  kind       trace                                                            decision
D1   any        -                             the module is not loaded           RESOLVED
D2   any        would have an unload          trace confirmed                    CONTRADICTED
D3   any        would have an unload          -                                  WAIT
D4   left_list  may have lost it              -                                  UNLOADED
D5   remade     may have lost it              listed                             RELOADED
D6   any        may have lost it              -                                  RESOLVED

/proc/modules shows a module that is new or changed, or that something is open about (`decide_listed`):

row  record     discrepancy                   and                                decision
L1   pending    -                             -                                  PENDING
L2   unloaded   -                             listed Unloading                   IGNORE
L3   unloaded   -                             for less than SETTLE_USEC          IGNORE
L4   none       -                             -                                  PENDING
L5   loaded     left_list, never_listed       -                                  RETURNED
L6   loaded     -                             other inode, the trace is off      RELOADED
L7   loaded     remade                        other inode                        WAIT
L8   loaded     -                             other inode                        DISCREPANCY
L9   loaded     -                             other taint or build               CHANGED
L10  loaded     -                             -                                  UPDATED

/proc/modules does not show a module (`decide_not_listed`):

row  record     discrepancy                   and                                decision
N1   pending    -                             -                                  PENDING
N2   none       -                             -                                  IGNORE
N3   loaded     left_list, never_listed       -                                  WAIT
N4   loaded     -                             the trace is on                    DISCREPANCY
N5   loaded     removed                       -                                  REMOVED
N6   loaded     -                             uevents on, not the first reading  DISCREPANCY
N7   loaded     -                             -                                  UNLOADED

A module_load was traced; what becomes of the load before it. But for M1 and M5 a new load is pending then
(`decide_module_load`):

row  record     discrepancy                   and                                decision
M1   pending    -                             not traced yet                     PENDING
M2   pending    -                             init returned                      LOADED_AND_UNLOADED
M3   pending    -                             -                                  FAILED
M4   none       -                             -                                  PENDING
M5   loaded     -                             not traced; it is the late event   UPDATED
M6   loaded     none                          trace complete since it is loaded  CONTRADICTED
M7   loaded     -                             -                                  UNLOADED

An initcall_finish was traced; the record is the newest traced load of its task with init running
(`decide_initcall_finish`):

row  record     discrepancy                   and                                decision
I1   pending    -                             error                              FAILED
I2   pending    -                             -                                  PENDING
I3   none       -                             error                              REMEMBERED
I4   none       -                             -                                  IGNORE

A module_free was traced (`decide_module_free`):

row  record     discrepancy                   and                                decision
F1   pending    -                             init returned                      LOADED_AND_UNLOADED
F2   pending    -                             uevent add before it               LOADED_AND_UNLOADED
F3   pending    -                             listed Live or Unloading before    LOADED_AND_UNLOADED
F4   pending    -                             traced in another task             LOADED_AND_UNLOADED
F5   pending    -                             -                                  FAILED
F6   loaded     -                             init was still running             FAILED_LATE
F7   loaded     -                             -                                  UNLOADED
F8   unloaded   -                             init failed: its module_free       UPDATED
F9   none       -                             an init of its task failed (I3)    FAILED_UNSEEN
F10  none       -                             -                                  UNLOADED_UNSEEN

The kernel sent a uevent (`decide_uevent`):

row  record     discrepancy                   and                                decision
U1   pending    -                             add                                PENDING
U2   unloaded   -                             add, the trace is on               IGNORE
U3   none       -                             add                                PENDING
U4   loaded     removed                       add, the trace is off              REMOVED (then a load is pending)
U5   pending    -                             remove after add, trace off        LOADED_AND_REMOVED
U6   pending    -                             remove after add                   PENDING
U7   loaded     none                          remove                             DISCREPANCY
U8   pending    -                             move away                          CONTRADICTED
U9   loaded     -                             move away                          CONTRADICTED
U10  any        moved                         move from nowhere                  RESOLVED
U11  any        -                             -                                  IGNORE
"""

import enum

from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.coverage import SignalCoverage
from kmodmon.lifecycle.inventory import Build, Loaded, Module, build_of
from kmodmon.lifecycle.module_events import is_other_build
from kmodmon.lifecycle.pending import (
    INIT_USEC,
    LEFT,
    MOVED,
    NEVER_LISTED,
    REMADE,
    REMOVED,
    SETTLE_USEC,
    Discrepancy,
    ModuleRecord,
    PendingLoad,
)
from kmodmon.lifecycle.signals import ModuleUevent, TraceEntry

_UNLISTED = (LEFT, NEVER_LISTED)


class Decision(enum.StrEnum):
    """What follows from a signal, or from the time that passed without one."""

    WAIT = "wait"  # another signal may still report it
    IGNORE = "ignore"  # the signal is old, or about nothing that is recorded
    PENDING = "pending"  # the signal is added to the pending load; to a new one, if there is none
    UPDATED = "updated"  # the signal adds to what is recorded, and is no event
    REMEMBERED = "remembered"  # the failed init is kept for the module_free that follows it
    RESOLVED = "resolved"  # there is no discrepancy any more
    DROPPED = "dropped"  # there is no pending load any more, and it is no event
    DISCREPANCY = "discrepancy"  # the signal disagrees, and other signals may still explain it
    CONTRADICTED = "contradicted"  # signals disagree, and no signal is missing that could explain it
    RETURNED = "returned"  # the module is listed again: the discrepancy is resolved
    CHANGED = "changed"  # the module is another build than before, though it was not reloaded
    RELOADED = "reloaded"  # unloaded and loaded again between two readings
    LOADED = "loaded"
    LOADED_NOT_TRACED = "loaded_not_traced"  # loaded, and contradicted: there is no module_load
    LOADED_NOT_LISTED = "loaded_not_listed"  # loaded, and a discrepancy: /proc/modules does not show it
    LOADED_AND_LEFT = "loaded_and_left"  # loaded, and unloaded when the list no longer showed it
    LOADED_AND_REMOVED = "loaded_and_removed"  # loaded, and unloaded at its remove uevent
    LOADED_AND_UNLOADED = "loaded_and_unloaded"  # loaded, and unloaded at the trace event
    UNLOADED = "unloaded"
    UNLOADED_UNSEEN = "unloaded_unseen"  # unloaded; its load was not seen
    REMOVED = "removed"  # unloaded at its remove uevent
    FAILED = "failed"  # the load failed
    FAILED_LATE = "failed_late"  # the load failed after it had been reported as loaded, with its init running
    FAILED_UNSEEN = "failed_unseen"  # a load failed that was not seen


def decide_pending(load: PendingLoad, coverage: SignalCoverage) -> Decision:
    """Rows P1 to P9."""
    state = None if load.listed is None else load.listed.state
    if state is ModuleState.LIVE and load.before_start:
        return Decision.LOADED  # P1
    if state is ModuleState.COMING and coverage.init_time(load.since) >= INIT_USEC:
        return Decision.LOADED  # P2
    if load.module_load is not None:
        is_over = load.init_ret is not None or _is_listed_after(load, load.module_load)
        return Decision.LOADED if state is ModuleState.LIVE and is_over else Decision.WAIT  # P3, P4
    if coverage.may_trace_report:
        return Decision.WAIT  # P5
    if state is ModuleState.LIVE:
        return Decision.LOADED  # P6
    if state is None and load.last_listed is not None:
        return Decision.LOADED_AND_LEFT if _was_live(load) else Decision.FAILED  # P7, P8
    return Decision.WAIT  # P9


def _is_listed_after(load: PendingLoad, module_load: TraceEntry) -> bool:
    # An earlier reading may show the load before it, of the same name.
    return load.last_listed_at is not None and load.last_listed_at.monotonic_usec > module_load.monotonic_usec


def _was_live(load: PendingLoad) -> bool:
    is_live = load.last_listed is not None and load.last_listed.state is ModuleState.LIVE
    return is_live or load.add_uevent_at is not None


def decide_pending_after_wait(load: PendingLoad, coverage: SignalCoverage) -> Decision:
    """Rows S1 to S18."""
    if load.listed is None:
        if load.module_load is not None:
            return _decide_traced_unlisted(load, load.module_load, coverage)
        return _decide_untraced_unlisted(load, coverage)
    if load.module_load is not None or load.listed.state is not ModuleState.LIVE:
        return decide_pending(load, coverage)  # S13, S14
    if not coverage.is_trace_read and coverage.may_trace_report and coverage.age(load.since) < INIT_USEC:
        return Decision.WAIT  # S15
    if load.not_listed_at is None or not coverage.is_trace_complete_since(load.not_listed_at):
        return Decision.LOADED  # S16
    return Decision.LOADED_NOT_TRACED if coverage.is_trace_confirmed_past(load.since) else Decision.WAIT  # S17, S18


def _decide_traced_unlisted(load: PendingLoad, module_load: TraceEntry, coverage: SignalCoverage) -> Decision:
    moment = coverage.time_of(module_load)
    if not coverage.is_list_read_since(moment):
        if load.init_ret is not None or load.add_uevent_at is not None:
            return Decision.LOADED  # S1
        return Decision.LOADED if coverage.age(load.since) >= INIT_USEC else Decision.WAIT  # S2, S3
    if not coverage.is_trace_confirmed_past(moment):
        return Decision.WAIT  # S4
    return Decision.LOADED_AND_LEFT if load.trace_lost_after else Decision.LOADED_NOT_LISTED  # S5, S6


def _decide_untraced_unlisted(load: PendingLoad, coverage: SignalCoverage) -> Decision:
    if load.last_listed is not None and _was_live(load):
        return Decision.LOADED_AND_LEFT  # S7
    if coverage.is_trace_read:
        return Decision.DROPPED  # S8
    if load.last_listed is not None:
        return Decision.FAILED  # S9
    if load.remove_uevent_at is not None:
        return Decision.LOADED_AND_REMOVED  # S10
    if coverage.age(load.since) >= 2 * SETTLE_USEC and coverage.is_list_read_since(load.since):
        return Decision.CONTRADICTED  # S11
    return Decision.WAIT  # S12


def decide_discrepancy(
    discrepancy: Discrepancy, loaded: Loaded | None, listed: Module | None, coverage: SignalCoverage
) -> Decision:
    """Rows D1 to D6."""
    if loaded is None:
        return Decision.RESOLVED  # D1
    if coverage.is_end_traced(loaded, discrepancy):
        return Decision.CONTRADICTED if coverage.is_trace_confirmed_past(discrepancy.since) else Decision.WAIT  # D2, D3
    if discrepancy.kind == LEFT:
        return Decision.UNLOADED  # D4
    if discrepancy.kind == REMADE and listed is not None:
        return Decision.RELOADED  # D5
    return Decision.RESOLVED  # D6


def decide_listed(record: ModuleRecord, module: Module, coverage: SignalCoverage) -> Decision:
    """Rows L1 to L10."""
    if record.pending is not None:
        return Decision.PENDING  # L1
    ended = record.recent_unload
    if ended is not None and (module.state is ModuleState.GOING or coverage.age(ended.since) < SETTLE_USEC):
        return Decision.IGNORE  # L2, L3: it is still listed, or the trace event of a new load is to come
    if record.loaded is None:
        return Decision.PENDING  # L4
    return _decide_listed_again(record.loaded.build, record.discrepancy, module, coverage)


def _decide_listed_again(
    before: Build, discrepancy: Discrepancy | None, module: Module, coverage: SignalCoverage
) -> Decision:
    now = build_of(module)
    if discrepancy is not None and discrepancy.kind in _UNLISTED:
        return Decision.RETURNED  # L5
    if None not in (before.instance, now.instance) and before.instance != now.instance:
        if not coverage.may_trace_report:
            return Decision.RELOADED  # L6
        is_open = discrepancy is not None and discrepancy.kind == REMADE
        return Decision.WAIT if is_open else Decision.DISCREPANCY  # L7, L8
    if before.taint != now.taint or is_other_build(before, now):
        return Decision.CHANGED  # L9
    return Decision.UPDATED  # L10


def decide_not_listed(record: ModuleRecord, coverage: SignalCoverage) -> Decision:
    """Rows N1 to N7."""
    if record.pending is not None:
        return Decision.PENDING  # N1
    if record.loaded is None:
        return Decision.IGNORE  # N2
    kind = None if record.discrepancy is None else record.discrepancy.kind
    if kind in _UNLISTED:
        return Decision.WAIT  # N3
    if coverage.may_trace_report:
        return Decision.DISCREPANCY  # N4
    if kind == REMOVED:
        return Decision.REMOVED  # N5
    if coverage.lifecycle.uevents and not coverage.is_first_reading:
        return Decision.DISCREPANCY  # N6
    return Decision.UNLOADED  # N7


def decide_module_load(record: ModuleRecord, entry: TraceEntry, coverage: SignalCoverage) -> Decision:
    """Rows M1 to M7."""
    if record.pending is not None:
        if record.pending.module_load is None:
            return Decision.PENDING  # M1
        return Decision.FAILED if record.pending.init_ret is None else Decision.LOADED_AND_UNLOADED  # M2, M3
    loaded = record.loaded
    if loaded is None:
        return Decision.PENDING  # M4
    if "trace" not in loaded.signals:
        # The list was believed before the trace could be read: at the start, or while its reader was behind.
        reported_at = loaded.at or coverage.context.started
        if entry.monotonic_usec <= reported_at.monotonic_usec:
            return Decision.UPDATED  # M5
    if loaded.at is not None and coverage.is_trace_complete_since(loaded.at) and record.discrepancy is None:
        return Decision.CONTRADICTED  # M6
    return Decision.UNLOADED  # M7


def decide_initcall_finish(load: PendingLoad | None, entry: TraceEntry) -> Decision:
    """Rows I1 to I4; `load`: the newest traced load of the same task with its init running."""
    is_error = entry.ret is not None and entry.ret < 0
    if load is not None:
        return Decision.FAILED if is_error else Decision.PENDING  # I1, I2
    return Decision.REMEMBERED if is_error else Decision.IGNORE  # I3, I4


def decide_module_free(record: ModuleRecord, entry: TraceEntry, *, is_init_failed: bool) -> Decision:
    """Rows F1 to F10; `is_init_failed`: the same task has a failed init whose load was not seen."""
    if record.pending is not None:
        return Decision.LOADED_AND_UNLOADED if _is_freed_later(record.pending, entry) else Decision.FAILED  # F1 to F5
    if record.loaded is not None:
        return Decision.FAILED_LATE if record.loaded.coming else Decision.UNLOADED  # F6, F7
    if record.recent_unload is not None and record.recent_unload.free_expected:
        return Decision.UPDATED  # F8
    return Decision.FAILED_UNSEEN if is_init_failed else Decision.UNLOADED_UNSEEN  # F9, F10


def _is_freed_later(load: PendingLoad, module_free: TraceEntry) -> bool:
    """Whether the module was loaded before it was freed; otherwise its init failed."""
    if load.init_ret is not None:
        return True
    # What was read after the free may be about a later load of that name.
    initialised = load.last_listed is not None and load.last_listed.state is not ModuleState.COMING
    moments = (load.add_uevent_at, load.last_listed_at if initialised else None)
    if any(moment is not None and moment.monotonic_usec < module_free.monotonic_usec for moment in moments):
        return True
    return load.module_load is not None and load.module_load.tid != module_free.tid


def decide_uevent(record: ModuleRecord, event: ModuleUevent, coverage: SignalCoverage) -> Decision:
    """Rows U1 to U11; `record`: for a move with the directory it came from, of the module that had that directory."""
    discrepancy = record.discrepancy
    match event.action:
        case "add":
            return _decide_add(record, coverage)
        case "remove" if record.pending is not None and record.pending.add_uevent_at is not None:
            return Decision.PENDING if coverage.may_trace_report else Decision.LOADED_AND_REMOVED  # U5, U6
        case "remove" if record.loaded is not None and discrepancy is None:
            return Decision.DISCREPANCY  # U7
        case "move" if event.moved_from is not None:
            is_recorded = record.loaded is not None or record.pending is not None
            return Decision.CONTRADICTED if is_recorded else Decision.IGNORE  # U8, U9, U11
        case "move" if discrepancy is not None and discrepancy.kind == MOVED:
            return Decision.RESOLVED  # U10
        case _:
            return Decision.IGNORE  # U11


def _decide_add(record: ModuleRecord, coverage: SignalCoverage) -> Decision:
    if record.pending is not None:
        return Decision.PENDING  # U1
    if record.recent_unload is not None and coverage.may_trace_report:
        return Decision.IGNORE  # U2: the trace was read first, and had both load and unload
    if record.loaded is None:
        return Decision.PENDING  # U3
    is_removed = record.discrepancy is not None and record.discrepancy.kind == REMOVED
    return Decision.REMOVED if is_removed and not coverage.may_trace_report else Decision.IGNORE  # U4, U11
