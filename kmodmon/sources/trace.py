"""tracefs events/module: every load, unload and autoload request, with its time and the task behind it.

Interfaces: include/trace/events/{module,initcall,sched}.h in an instance of our own (`tracefs`). An event's task is
looked up the moment the event is read.

Facts the code below is written from:

- module_load comes before init and is the last to be heard of a load that fails in it; initcall_finish, which only
  modules cause after boot, says what init returned.
- A read gives one page at most; 0 bytes, which is no end, after tracing_on was switched off.
- What an earlier run left in the buffer is older than our start; if its clock was another one it cannot be dated.
- Autoload requests can be caused by any user as fast as it likes: the number of tasks looked up for them is bounded.
"""

import asyncio
import logging
import os
import queue
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from kmodmon.events.event import Actor, Process
from kmodmon.kernel.taint import letters
from kmodmon.kernel.trace import TraceEvent, parse_trace, split_stream
from kmodmon.lifecycle.signals import TraceEntry, TraceKind, TraceRead
from kmodmon.sources.source import Emit, EventSource, Reading, SourceContext
from kmodmon.sources.trace_queue import IntegrityCheck, Item, TraceBatch, TraceQueue
from kmodmon.sources.tracefs import Instance
from kmodmon.system.clock import Clock
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, AbsentReason, Read, switched_off
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Usec

if TYPE_CHECKING:
    from kmodmon.sources.actor import Actors, ProcSnapshot

log = logging.getLogger(__name__)

_READS = 64  # pages in one turn of the loop
_READS_ALL = 1 << 16  # pages of a whole buffer, at start and at the end
_SHORT = 2048  # bytes: a read() stops where there is no more, or when nearly a page of 4096 is full
_BACKLOG = 4096  # events that wait for the look-up; then the pipe waits, and the kernel counts what it loses
_STARTS_WAIT = 0.1  # seconds that the start of a tool waits for what the tool does
_REST_MAX = 1 << 16  # bytes of an unfinished line
_RETRY = 60.0
_PAUSE = 1.0
_CHECK = 10.0
_REQUESTS_A_SECOND = 20
_SWITCH = 0.0005  # seconds that another thread may keep the interpreter from this one; Python's own are ten times that
_KINDS = {kind.value: kind for kind in TraceKind}
_TASKS = frozenset({TraceKind.LOAD, TraceKind.FREE, TraceKind.EXEC})


class Follower:
    """Follows trace_pipe of an instance in threads of its own, and hands on in the loop what it says.

    One thread reads, and does of the look-up of tasks only what cannot wait: a task may exit within a millisecond, so
    nothing that the loop does, nor the look-up of another task, may stand before it. The other thread does the rest.
    """

    def __init__(self, instance: Instance, actors: "Actors", emit: Emit, clock: Clock) -> None:
        self._instance = instance
        self._actors = actors
        self._clock = clock
        self._emit = emit
        self._rest = b""
        self._second, self._looked_up = 0, 0
        self._told: deque[Reading] = deque()
        self._called = False  # `_tell` is to come
        self._loop = asyncio.get_running_loop()
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._queue = TraceQueue(_BACKLOG)
        dated = instance.readable_clock() or not instance.adopted
        self._fd = instance.open_pipe()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._reader = threading.Thread(target=self._guarded, args=(self._follow,), name="trace", daemon=True)
        self._looker = threading.Thread(target=self._guarded, args=(self._look_up,), name="actors", daemon=True)
        try:
            self._take(adopted=instance.adopted, dated=dated, reads=_READS_ALL)
            instance.set_up()
        except BaseException:
            self._close()  # what is left open would be in the way of the next try
            raise

    async def follow(self) -> None:
        """Follow until cancelled, which removes the instance; raises OSError when it can no longer be read."""
        try:
            self._looker.start()
            self._put(self._began())
            self._reader.start()
            await self._broken
        except asyncio.CancelledError:
            self._instance.switch_off()
            self._end_reader()
            with suppress(OSError):
                self._take(reads=_READS_ALL)
            self._close()
            self._instance.remove()
            raise
        finally:
            self._end_reader()
            self._put(None)
            self._looker.join()
            self._close()

    def _end_reader(self) -> None:
        if self._stop >= 0 and self._reader.is_alive():
            os.eventfd_write(self._stop, 1)
            self._reader.join()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            os.close(self._stop)
            self._fd = self._stop = -1

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # whatever it is, it ends this thread, and the loop must know
            self._loop.call_soon_threadsafe(self._break, error)

    def _break(self, error: Exception) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    # The thread that reads

    def _follow(self) -> None:
        _raise_priority()
        poll = select.poll()
        poll.register(self._stop, select.POLLIN)
        poll.register(self._fd, select.POLLIN)
        check = time.monotonic() + _CHECK
        while True:
            ready = dict(poll.poll(max(0.0, check - time.monotonic()) * 1000))
            if self._stop in ready:
                return
            if self._fd in ready and not self._take():
                # Readable, but nothing there: somebody switched tracing off. Do not spin; switch it on again.
                if select.select((self._stop,), (), (), _PAUSE)[0]:
                    return
                self._instance.switch_on()
            if time.monotonic() >= check:
                at = self._clock.now().monotonic_usec
                self._take()  # nothing may wait in the pipe that is older than the verdict
                self._put(IntegrityCheck(at))
                check = time.monotonic() + _CHECK

    def _began(self, *, lost: int = 0) -> Reading:
        began = TraceRead(began=True, tells_init=self._instance.tells_init, at_usec=self._clock.now().monotonic_usec)
        return Reading(outcome=Read(began), lost=lost)

    def _put(self, item: Item) -> None:
        while True:
            try:
                self._queue.put(item, timeout=_PAUSE)
                return
            except queue.Full:
                if not self._looker.is_alive():
                    return  # it broke, and so will the follower

    def _take(self, *, adopted: bool = False, dated: bool = True, reads: int = _READS) -> bool:
        """Read what is there, and glance at the tasks behind it; False when the pipe said that it has ended."""
        data, alive = self._read(reads)
        whole, self._rest = split_stream(self._rest + data)
        if len(self._rest) > _REST_MAX:
            whole, self._rest = whole + self._rest, b""
        if whole:
            chunk = parse_trace(whole)
            glances = self._actors.glance(dict.fromkeys(event.tid for event in chunk.events if event.event in _TASKS))
            at = self._clock.now().monotonic_usec
            self._put(TraceBatch(chunk=chunk, glances=glances, adopted=adopted, dated=dated, at_usec=at))
        return alive

    def _read(self, reads: int) -> tuple[bytes, bool]:
        parts: list[bytes] = []
        for _ in range(reads):
            try:
                part = os.read(self._fd, _REST_MAX)
            except BlockingIOError:
                break
            if not part:
                return b"".join(parts), bool(parts)
            parts.append(part)
            if len(part) < _SHORT:
                break  # to be told that there is nothing more takes time in which a task may exit; poll() knows it
        return b"".join(parts), True

    # The thread that looks up

    def _look_up(self) -> None:
        untold = False
        while True:
            try:
                item = self._queue.get(timeout=_STARTS_WAIT if untold else None)
            except queue.Empty:
                untold = self._call()
                continue
            if item is None:
                self._call()
                return
            look = self._look_of(item)
            if look is not None:
                self._told.append(look)
                untold = _only_starts(look) or self._call()

    def _look_of(self, item: Reading | TraceBatch | IntegrityCheck) -> Reading | None:
        match item:
            case TraceBatch():
                return self._looked(item)
            case IntegrityCheck():
                return self._checked(item.at_usec)
            case _:
                return item

    def _checked(self, at_usec: Usec) -> Reading:
        # Anybody who is root may switch our events off (`trace-cmd reset` does it to every instance).
        if self._instance.is_intact():
            return Reading(outcome=Read(TraceRead(intact=True, at_usec=at_usec)), quiet=True)
        self._instance.set_up()
        return self._began(lost=1)

    def _call(self) -> bool:
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._tell)
        return False

    def _tell(self) -> None:
        # In the loop. What has come while it was busy is one look: a hundred loads cost it little more than one.
        self._called = False  # first: what is appended from here on calls again
        looks = [self._told.popleft() for _ in range(len(self._told))]
        for look in _joined(looks):
            self._emit(look)

    def _looked(self, batch: TraceBatch) -> Reading | None:
        chunk = batch.chunk
        lost = chunk.lost + chunk.lost_uncounted + (0 if batch.dated else len(chunk.events))
        entries = tuple(self._entries(batch)) if batch.dated else ()
        if not (entries or lost or chunk.skipped):
            return None
        heard = TraceRead(entries=entries, adopted=batch.adopted, at_usec=batch.at_usec)
        return Reading(outcome=Read(heard), lost=lost, unreadable=len(chunk.skipped))

    def _entries(self, batch: TraceBatch) -> Iterator[TraceEntry]:
        for event in batch.chunk.events:
            kind = _KINDS.get(event.event)
            if kind is not None:
                actor, asked_for = self._actor(kind, event, batch.glances.get(event.tid))
                yield TraceEntry(
                    kind=kind,
                    monotonic_usec=Usec(event.trace_usec),
                    tid=event.tid,
                    module=event.module or "",
                    taint=letters(event.taints or 0) + event.unknown_taints,
                    ret=event.ret,
                    actor=actor,
                    asked_for=asked_for,
                )

    def _actor(
        self, kind: TraceKind, event: TraceEvent, glance: "ProcSnapshot | None"
    ) -> tuple[Actor | None, str | None]:
        match kind:
            case TraceKind.LOAD | TraceKind.FREE:
                return self._actors.capture(event.tid, event.comm, event.trace_usec, glance)
            case TraceKind.EXEC:
                return self._actors.started(event.tid, event.trace_usec, glance), None
            case TraceKind.REQUEST if self._may_look_up(event.trace_usec):
                return self._actors.capture(event.tid, event.comm, event.trace_usec)
            case TraceKind.REQUEST:
                return Actor(process=Process(pid=event.tid, comm=event.comm)), None
            case TraceKind.INIT:
                return None, None

    def _may_look_up(self, monotonic_usec: int) -> bool:
        second = monotonic_usec // 1_000_000
        if second != self._second:
            self._second, self._looked_up = second, 0
        self._looked_up += 1
        return self._looked_up <= _REQUESTS_A_SECOND


def _only_starts(look: Reading) -> bool:
    """Whether all it says is that tools began: that is no news until they did something, or were refused."""
    match look.outcome:
        case Read(TraceRead(entries=entries)) if entries and not look.lost:
            return all(entry.kind is TraceKind.EXEC for entry in entries)
        case _:
            return False


def _joined(looks: Iterable[Reading]) -> Iterator[Reading]:
    """One look for several in a row that only bring entries."""
    last: Reading | None = None
    for look in looks:
        if last is not None and (both := _both(last, look)) is not None:
            last = both
            continue
        if last is not None:
            yield last
        last = look
    if last is not None:
        yield last


def _both(one: Reading, other: Reading) -> Reading | None:
    match one.outcome, other.outcome:
        case Read(TraceRead() as first), Read(TraceRead() as second) if not any(
            heard.began or heard.adopted or heard.intact for heard in (first, second)
        ):
            heard = replace(second, entries=first.entries + second.entries)
            unreadable = one.unreadable + other.unreadable
            return replace(other, outcome=Read(heard), lost=one.lost + other.lost, unreadable=unreadable)
        case _:
            return None


def _raise_priority() -> None:
    """Let this thread run as soon as there is an event, before the task behind it goes on; the unit permits it.

    A fair scheduler would let insmod exit first, most of all that of Linux 6.6 and later. Refused, less is found of
    short-lived tasks, and events say so (`exited`).
    """
    sys.setswitchinterval(_SWITCH)
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError as error:
        log.debug("the trace is followed at usual priority: %s", error)


async def run_trace(context: SourceContext, emit: Emit) -> None:
    """Follow the trace until cancelled; raises OSError when the instance can be neither made nor read."""
    absent: Absent | None = None
    while True:
        why = _absence(context)
        if why is None:
            await _follow(context, emit)
        elif why != absent:
            emit(Reading(outcome=why))
            absent = why
        await asyncio.sleep(_RETRY)


async def _follow(context: SourceContext, emit: Emit) -> None:
    from kmodmon.sources.actor import Actors  # psutil: only the daemon needs it

    settings = context.settings.trace
    place = _place(context.root)
    instance = Instance(context.root, place + b"/" + settings.instance.encode(), settings.buffer)
    actors = Actors(context.root, context.settings, context.clock)
    await Follower(instance, actors, emit, context.clock).follow()


def _absence(context: SourceContext) -> Absent | None:
    if not context.settings.trace.enabled:
        return switched_off("trace.enabled")
    if not context.root.live:
        return Absent("a recorded machine has no trace to follow", AbsentReason.NOT_RECORDED)
    found = context.root.names(_place(context.root))
    if isinstance(found, Absent):
        return Absent(f"{found.why} (kernel without tracing, tracefs not mounted, or lockdown=confidentiality)")
    return None


def _place(root: Root) -> bytes:
    # Where only debugfs is mounted, tracefs is found below it.
    places = (root.tracefs + b"/instances", root.debugfs + b"/tracing/instances")
    return next((place for place in places if not isinstance(root.names(place), Absent)), places[0])


SOURCE = EventSource(
    name=SourceName.TRACE,
    run=run_trace,
    interfaces=(
        "tracefs instances/<trace.instance>/trace_pipe",
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
