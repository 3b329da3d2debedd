"""tracefs events/module: every load, unload and autoload request, with its time and the task behind it.

Interfaces: include/trace/events/{module,initcall,sched}.h (Documentation/trace/events.rst) in an instance of kmodmon's
own; `tracefs` has permissions and absence, `trace_buffer` what is read. The task of an event is looked up as soon as
the event is read.

Facts the code below is written from:

- module_load comes before init(), and is the last event of a load that fails in init() except module_free.
  initcall_finish, which only modules cause after boot, says what init() returned.
- Events that an earlier run left in the buffer are older than this process; if the instance's clock was another one,
  they cannot be dated.
- Any user can cause autoload requests, each with a modprobe that the kernel starts, and start kmod's tools, without
  limit: the number of tasks looked up for them is bounded. The look-up of a load or an unload has no such limit.
"""

import asyncio
import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from kmodmon.events.event import Actor
from kmodmon.kernel.taint import letters
from kmodmon.kernel.trace import TraceEvent
from kmodmon.lifecycle.signals import TraceEntry, TraceKind, TraceRead
from kmodmon.sources.source import Emit, EventSource, Reading, SourceContext
from kmodmon.sources.timed_call import Calls, HungError, TimedCall
from kmodmon.sources.trace_buffer import TimeOrder, TraceBuffer, TraceTurn
from kmodmon.sources.trace_queue import IntegrityCheck, Item, TraceBatch, TracedEvent, TraceQueue, TraceReading
from kmodmon.sources.tracefs import Instance
from kmodmon.system.clock import Clock
from kmodmon.system.progress import note_progress
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, AbsentReason, switched_off
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Usec

if TYPE_CHECKING:
    from kmodmon.sources.actor import Actors, ProcSnapshot

log = logging.getLogger(__name__)

_BACKLOG = 4096  # events that wait for the look-up; beyond them nothing is read, and the kernel counts its losses
_WAIT = 0.1  # seconds that execs and requests, of which there may be any number, wait for others and what they cause
_RETRY = 60.0  # seconds between attempts while tracefs is absent
_PAUSE = 1.0  # seconds
_CHECK = 10.0  # seconds between integrity checks
_LATE = 0.25  # seconds after which the look-up is behind; then what any user can cause is described by its snapshot
_LOOKUPS_A_SECOND = 20  # of what any user can cause: requests whose task is read and looked up, tools looked up
_TASKS = frozenset({TraceKind.LOAD, TraceKind.FREE, TraceKind.EXEC})


class _Allowance:
    """How many events of each second may still cause work, of those that any user can cause; used by one thread."""

    def __init__(self) -> None:
        self._second, self._taken = 0, 0

    def take(self, monotonic_usec: int) -> bool:
        """Take one for an event of this time; False when there is none left."""
        second = monotonic_usec // 1_000_000
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken <= _LOOKUPS_A_SECOND


class Follower:
    """Follows the trace of an instance in two threads, and emits readings in the loop.

    One thread reads, and takes snapshots of the tasks: a task may exit within a millisecond, so neither the loop nor
    the look-up of another task may delay it. The other thread looks up the rest and appends readings, which the loop
    emits.
    """

    def __init__(self, instance: Instance, actors: "Actors", emit: Emit, clock: Clock, calls: Calls) -> None:
        self._instance = instance
        self._actors = actors
        self._clock = clock
        self._emit = emit
        self._calls = calls
        self._snapshots, self._lookups = _Allowance(), _Allowance()  # of requests; one is used by each thread
        self._starts = _Allowance()  # of tools that users start
        self._pending: deque[TraceReading] = deque()
        self._scheduled = False  # `_emit_pending` has been called into the loop and has not run yet
        self._loop = asyncio.get_running_loop()
        self._queue = TraceQueue(_BACKLOG)
        self._order = TimeOrder()
        self._buffer: TraceBuffer  # from the start of the threads on
        self._reader, self._resolver = (TimedCall(work, calls.deadline) for work in (self._follow, self._resolve))
        self._turn = threading.Lock()  # of the two that follow
        self._begun, self._left = False, False

    async def follow(self) -> None:
        """Follow until cancelled, which removes the instance.

        Raises OSError when it can no longer be read, HungError when reading it, or looking up a task, does not return.
        """
        try:
            await self._calls.run(SourceName.TRACE, self._begin)
            await self._until_one_ends()
        except BaseException as error:
            await self._leave(remove=isinstance(error, asyncio.CancelledError))
            raise

    def _begin(self) -> None:
        # In a thread, as `_end`: the kernel may not answer.
        dated = self._instance.readable_clock() or not self._instance.adopted
        self._buffer = TraceBuffer(self._instance, self._clock)
        self._resolver.start("actors")
        try:
            self._take_all(adopted=self._instance.adopted, dated=dated)
            self._instance.set_up()
        except BaseException:
            self._end_resolver()
            raise
        self._put(self._began())
        with self._turn:
            self._begun = not self._left
            if self._begun:
                self._reader.start("trace")
        if not self._begun:
            self._end_resolver()

    async def _until_one_ends(self) -> None:
        threads = {asyncio.create_task(each.answers_in_time()): each for each in (self._reader, self._resolver)}
        try:
            ended, _ = await asyncio.wait(threads, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in threads:
                task.cancel()
        for task in ended:
            if not task.result():
                raise HungError(threads[task].why())
            threads[task].result()

    async def _leave(self, *, remove: bool) -> None:
        # Where it hangs, a thread is left behind that ends what can be ended then; until then, nothing is begun anew.
        with self._turn:
            self._left = True
        if self._begun:
            try:
                await self._calls.run(SourceName.TRACE, partial(self._end, remove=remove))
            except OSError as error:
                log.debug("the trace is left as it is: %s", error)

    def _end(self, *, remove: bool) -> None:
        if remove:
            self._instance.switch_off()
        self._buffer.interrupt()
        self._reader.wait()
        if remove:
            with suppress(OSError):
                self._take_all()
        self._end_resolver()
        if remove:
            self._instance.remove()

    def _end_resolver(self) -> None:
        self._put(None)
        self._resolver.wait()
        self._buffer.close()

    # The thread that reads

    def _follow(self) -> None:
        check = time.monotonic() + _CHECK
        while not self._buffer.interrupted:
            ready = self._buffer.wait(0.0 if self._order.holds else check - time.monotonic())
            if (ready or self._order.holds) and not self._take(self._buffer.read()) and ready:
                # Readable but empty: somebody switched tracing off. Wait, so as not to spin, and switch it on again.
                self._buffer.pause(_PAUSE)
                self._instance.switch_on()
            if time.monotonic() >= check:
                self._check()
                check = time.monotonic() + _CHECK

    def _check(self) -> None:
        at = self._clock.now().monotonic_usec
        self._buffer.open_new_cpus()
        self._take(self._buffer.read(everything=True))  # events older than the check must be in the queue before it
        self._put(IntegrityCheck(at))

    def _began(self, *, lost: int = 0) -> TraceReading:
        return TraceReading(TraceRead(began=True, at_usec=self._clock.now().monotonic_usec), lost=lost)

    def _put(self, item: Item) -> None:
        while True:
            try:
                self._queue.put(item, timeout=_PAUSE)
                return
            except queue.Full:
                note_progress(b"")  # the other thread is late, not this one
                if self._resolver.ended:
                    return  # it failed, and so will follow()

    def _take_all(self, *, adopted: bool = False, dated: bool = True) -> None:
        """Read all that is there and hold nothing, while nobody else does."""
        turn = self._buffer.read(everything=True)
        self._take(replace(turn, complete_until=math.inf), adopted=adopted, dated=dated)

    def _take(self, turn: TraceTurn, *, adopted: bool = False, dated: bool = True) -> bool:
        """Take snapshots of the tasks, and put the events in order; False when nothing was read."""
        tids = dict.fromkeys(event.tid for event in turn.events if self._wants_snapshot(event))
        snapshots = self._actors.snapshots(tids)
        traced = [TracedEvent(event, snapshots.get(event.tid)) for event in turn.events]
        events = self._order.release(traced, turn.complete_until)
        if events or turn.lost or turn.unreadable:
            self._put(
                TraceBatch(
                    events=events,
                    lost=turn.lost,
                    unreadable=turn.unreadable,
                    adopted=adopted,
                    dated=dated,
                    at_usec=self._clock.now().monotonic_usec,
                )
            )
        return turn.pages > 0

    def _wants_snapshot(self, event: TraceEvent) -> bool:
        return event.event in _TASKS or (event.event == TraceKind.REQUEST and self._snapshots.take(event.trace_usec))

    # The thread that looks up tasks

    def _resolve(self) -> None:
        due: float | None = None  # when readings that are pending are emitted at the latest; None: there are none
        while True:
            wait = 2 * _CHECK if due is None else max(0.0, due - time.monotonic())
            note_progress(b"", lasts=wait)
            try:
                item = self._queue.get(timeout=wait)
            except queue.Empty:
                self._schedule()
                due = None
                continue
            note_progress(b"")
            if item is None:
                self._schedule()
                return
            reading = self._reading(item)
            if reading is not None:
                self._pending.append(reading)
                due = due or time.monotonic() + _WAIT
                if not reading.only_provokable or time.monotonic() >= due:
                    self._schedule()
                    due = None

    def _reading(self, item: TraceReading | TraceBatch | IntegrityCheck) -> TraceReading | None:
        match item:
            case TraceBatch():
                return self._batch_read(item)
            case IntegrityCheck():
                return self._checked(item.at_usec)
            case _:
                return item

    def _checked(self, at_usec: Usec) -> TraceReading:
        # Any root process may disable the events (`trace-cmd reset` does so in every instance).
        if self._instance.is_intact():
            return TraceReading(TraceRead(intact=True, at_usec=at_usec), quiet=True)
        self._instance.set_up()
        return self._began(lost=1)

    def _schedule(self) -> None:
        """Have the loop emit what is pending."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._emit_pending)

    def _emit_pending(self) -> None:
        # In the loop. Readings appended while it was busy are merged: a hundred loads cost it little more than one.
        self._scheduled = False  # first, so that whatever is appended from here on schedules another call
        readings = [self._pending.popleft() for _ in range(len(self._pending))]
        for reading in _merge(readings):
            self._emit(reading.reading())

    def _batch_read(self, batch: TraceBatch) -> TraceReading | None:
        lost = batch.lost + (0 if batch.dated else len(batch.events))
        entries = tuple(self._entry(traced, batch) for traced in batch.events) if batch.dated else ()
        if not (entries or lost or batch.unreadable):
            return None
        read = TraceRead(entries=entries, adopted=batch.adopted, at_usec=batch.at_usec)
        return TraceReading(read, lost=lost, unreadable=batch.unreadable)

    def _entry(self, traced: TracedEvent, batch: TraceBatch) -> TraceEntry:
        event = traced.event
        kind = TraceKind(event.event)
        actor, requested_name = self._actor(kind, traced, batch)
        return TraceEntry(
            kind=kind,
            monotonic_usec=Usec(event.trace_usec),
            tid=event.tid,
            module=event.module or "",
            taint=letters(event.taints or 0),
            ret=event.ret,
            actor=actor,
            requested_name=requested_name,
        )

    def _actor(self, kind: TraceKind, traced: TracedEvent, batch: TraceBatch) -> tuple[Actor | None, str | None]:
        event, snapshot = traced.event, traced.snapshot
        match kind:
            case TraceKind.REQUEST if self._is_late(batch) or not self._lookups.take(event.trace_usec):
                return self._actors.brief(event.tid, None, snapshot)
            case TraceKind.LOAD | TraceKind.FREE | TraceKind.REQUEST:
                return self._actors.capture(event.tid, event.trace_usec, snapshot)
            case TraceKind.EXEC:
                brief = snapshot is not None and self._is_brief(snapshot, event, batch)
                return self._actors.started(event.tid, event.comm, event.trace_usec, snapshot, brief=brief), None
            case TraceKind.INIT:
                return None, None

    def _is_brief(self, snapshot: "ProcSnapshot", event: TraceEvent, batch: TraceBatch) -> bool:
        if snapshot.of_kernel:
            return True
        return snapshot.status.uid != 0 and (self._is_late(batch) or not self._starts.take(event.trace_usec))

    def _is_late(self, batch: TraceBatch) -> bool:
        return self._clock.now().monotonic_usec - batch.at_usec > _LATE * 1e6


def _merge(readings: Iterable[TraceReading]) -> Iterator[TraceReading]:
    """Merge readings in a row that only bring entries into one each."""
    last: TraceReading | None = None
    for reading in readings:
        if last is not None and (merged := last.merged(reading)) is not None:
            last = merged
            continue
        if last is not None:
            yield last
        last = reading
    if last is not None:
        yield last


async def run_trace(context: SourceContext, emit: Emit) -> None:
    """Follow the trace until cancelled.

    Raises OSError when the instance can be neither made nor read, HungError when the kernel does not answer.
    """
    absent: Absent | None = None
    while True:
        outcome = await context.calls.run(SourceName.TRACE, partial(_instance, context))
        if not isinstance(outcome, Absent):
            await Follower(*outcome, emit, context.clock, context.calls).follow()
        elif outcome != absent:
            emit(Reading(outcome=outcome))
            absent = outcome
        await asyncio.sleep(_RETRY)


def _instance(context: SourceContext) -> "Absent | tuple[Instance, Actors]":
    absent = _absence(context)
    if absent is not None:
        return absent
    from kmodmon.sources.actor import Actors  # psutil: only the daemon needs it

    settings = context.settings.trace
    instances = _instances(context.root)
    actors = Actors(context.root, context.settings, context.clock, instances.removesuffix(b"/instances"))
    return Instance(context.root, instances + b"/" + settings.instance.encode(), settings.buffer), actors


def _absence(context: SourceContext) -> Absent | None:
    if not context.settings.trace.enabled:
        return switched_off("trace.enabled")
    if not context.root.live:
        return Absent("a recorded machine has no trace to follow", AbsentReason.NOT_RECORDED)
    names = context.root.names(_instances(context.root))
    if isinstance(names, Absent):
        return Absent(f"{names.why} (kernel without tracing, tracefs not mounted, or lockdown=confidentiality)")
    return None


def _instances(root: Root) -> bytes:
    # Where only debugfs is mounted, tracefs is mounted below it automatically.
    directories = (root.tracefs + b"/instances", root.debugfs + b"/tracing/instances")
    return next((path for path in directories if not isinstance(root.names(path), Absent)), directories[0])


SOURCE = EventSource(
    name=SourceName.TRACE,
    run=run_trace,
    interfaces=(
        "tracefs instances/<trace.instance>/per_cpu/cpu<N>/trace_pipe_raw",
        "tracefs instances/<trace.instance>/events/{header_page,<system>/<event>/format}",
        "tracefs saved_cmdlines",
        "events/module/{module_load,module_free,module_request}",
        "events/initcall/initcall_finish",
        "events/sched/sched_process_exec of kmod's tools",
        "/proc/<pid>/{status,stat,cmdline,exe,cgroup,loginuid}",
    ),
    wakes=(SourceName.MODULES, SourceName.TAINT),
    prompt=True,
    depends_on=lambda settings: (settings.parameters.redact, settings.parameters.redact_allow),  # of arguments too
    remedy="mount tracefs at /sys/kernel/tracing and use the packaged unit, which makes the instance for its user; or "
    "as root: mkdir /sys/kernel/tracing/instances/kmodmon, and give its files to the daemon's user",
)
