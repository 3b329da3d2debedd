"""Owns the state: reads the sources, steps the pipeline, and passes events and checkpoints to the history.

Everything but the readings runs on one asyncio loop. Each poll source has a timer. Wake-ups by event sources are
debounced, so that the loads at boot are one reading. The events of a step and the checkpoints of what it changed are
submitted together, for one transaction.

Any read of the kernel may hang (`sources.timed_call`), so none is made on the loop. The readings of a threaded source
have a thread of their own each. All others are made in one thread, and the loop waits for them, for PATIENCE at most:
so they are taken in the order in which they are made, between the events of the sources that are followed. A reading
that takes longer is left to the thread, which is replaced, and the loop goes on. After the deadline its source is hung.
It is not read again before that reading has ended; then it is read anew.
"""

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from kmodmon.events.counters import count_events
from kmodmon.events.event import Event
from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.kinds.module import ModuleChanged, ModuleLoaded, ModuleLoadFailed, SignalsContradicted
from kmodmon.pipeline import Rules, step
from kmodmon.sources.source import AwaitedReader, EventSource, PollSource, SourceContext, SourceReader
from kmodmon.sources.timed_call import HungError, ReadingThread, TimedCall
from kmodmon.state.checkpoint import CHECKPOINTS
from kmodmon.state.observation import Reading, Tick
from kmodmon.state.state import State
from kmodmon.subjects.self_stats import SelfStats
from kmodmon.system.clock import Clock
from kmodmon.types.outcome import Failed, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import printable
from kmodmon.types.units import Instant, JsonObject

log = logging.getLogger(__name__)

# All in seconds.
DEBOUNCE = 0.05  # wake-ups within it are one reading
FRESH = 1.0  # a scrape does not read a source whose last reading is younger
TICK = 1.0  # while the state waits for time to pass
IDLE_TICK = 15.0
PATIENCE = 0.25  # the loop waits for a reading; what is quicker on a busy machine is taken in order
SOON = 15.0  # pause after a reading that failed for a reason that has to do with no interface
STOP = 2.0  # wait for what is cancelled
RETRY_FIRST, RETRY_LAST = 0.5, 60.0  # pauses after a failure of an event source, doubled each time


class EventSink(Protocol):
    """Takes events and checkpoints; `submit` never blocks and never raises."""

    def submit(self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject]) -> None:
        """Store the events and, in the same transaction, the checkpoints by section."""
        ...


@dataclass(slots=True)
class _Polled:
    """One poll source with its timers."""

    source: PollSource
    read: SourceReader
    timer: asyncio.TimerHandle | None = None  # None: its period is 0, it is read only when woken
    wake: asyncio.TimerHandle | None = None  # None: no wake-up is pending
    running: asyncio.Task[None] | None = None  # the latest reading that the loop did not wait for; None: none yet
    last: Instant | None = None  # of the latest reading; None: not read yet
    rests_until: float = 0.0  # on the loop's clock, seconds: a prompt wake-up waits until then
    again: bool = False  # woken during the present reading, so it is read once more

    @property
    def busy(self) -> bool:
        """Whether a reading is under way."""
        return self.running is not None and not self.running.done()


@dataclass(slots=True)
class Engine:
    """Owns the state. `state` is immutable, so a reader may keep it."""

    context: SourceContext
    state: State
    sink: EventSink
    rules: Rules
    polled_sources: Sequence[PollSource]
    event_sources: Sequence[EventSource]
    on_step: Callable[[State, Sequence[Event]], None] = lambda state, events: None
    cycles: int = 0  # completed steps of the pipeline; the watchdog is fed only while this grows
    _polled: dict[SourceName, _Polled] = field(default_factory=dict)
    _tasks: dict[SourceName, asyncio.Task[None]] = field(default_factory=dict)
    _saved: dict[str, object] = field(default_factory=dict)
    _thread: ReadingThread = field(default_factory=ReadingThread)
    _tick: asyncio.TimerHandle | None = None
    _awaited: set[SourceName] = field(default_factory=set)  # of which nothing was said yet
    _followed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def clock(self) -> Clock:
        """The clock that dates the readings."""
        return self.context.clock

    async def start(self) -> None:
        """Read every poll source once, in order, then poll them and follow the event sources."""
        self._awaited |= {source.name for source in self.event_sources if source.awaited}
        for source in self.polled_sources:
            self._polled[source.name] = _Polled(source=source, read=source.make(self.context))
        for name, polled in self._polled.items():
            if not polled.source.threaded:
                self.read_now(name)
        for event_source in self.event_sources:
            self._tasks[event_source.name] = asyncio.create_task(self._follow(event_source), name=event_source.name)
        for name, polled in self._polled.items():
            if polled.source.threaded:
                self.read_now(name)
            self._arm(polled)
        self._schedule_tick()

    async def until_followed(self, seconds: float) -> None:
        """Wait until the awaited sources are followed, or cannot be; at most so long."""
        if self._awaited and not self._followed.is_set():
            try:
                await asyncio.wait_for(self._followed.wait(), seconds)
            except TimeoutError:
                log.warning("not followed yet: %s", ", ".join(sorted(self._awaited)))

    async def stop(self) -> None:
        """Stop all readings. A thread that hangs ends with the process."""
        if self._tick is not None:
            self._tick.cancel()
        running = [*self._tasks.values(), *(p.running for p in self._polled.values() if p.running is not None)]
        for polled in self._polled.values():
            for handle in (polled.timer, polled.wake):
                if handle is not None:
                    handle.cancel()
        self._thread.leave()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=STOP)

    def reconfigure(self, context: SourceContext, rules: Rules) -> None:
        """Apply new settings: timers are set again, and sources that depend on a changed setting are restarted.

        Other readers stay, because a reader may know what it must not read again, such as a parameter that hangs.
        """
        before, self.context, self.rules = self.context.settings, context, rules
        if context.settings == before:
            return
        for polled in self._polled.values():
            self._arm(polled)
            if polled.source.depends_on(context.settings) != polled.source.depends_on(before):
                polled.read = polled.source.make(self.context)  # a reading in progress ends with the reader it has
                self.wake((polled.source.name,))
        for source in self.event_sources:
            if source.depends_on(context.settings) != source.depends_on(before):
                self._restart(source)

    def read_now(self, name: SourceName) -> None:
        """Read one source now; one that is being read is read once more then."""
        self._read_now(self._polled[name])

    def wake(self, names: Iterable[SourceName], *, prompt: bool = False) -> None:
        """Schedule readings after DEBOUNCE; `prompt`: at once, but not within DEBOUNCE of the last reading."""
        loop = asyncio.get_running_loop()
        for polled in filter(None, map(self._polled.get, names)):
            due = max(loop.time(), polled.rests_until) if prompt else loop.time() + DEBOUNCE
            if polled.wake is None or polled.wake.when() > due:
                if polled.wake is not None:
                    polled.wake.cancel()
                polled.wake = loop.call_at(due, self._woken, polled)

    def set_self_stats(self, own: SelfStats) -> None:
        """Put the numbers of kmodmon itself into the state, from which they are exposed like all others."""
        if own != self.state.own:
            self.state = replace(self.state, own=own)

    def refresh(self) -> None:
        """Read the cheap sources whose last reading is older than FRESH; called by a scrape."""
        now = self.clock.now().monotonic_usec
        for name, polled in self._polled.items():
            fresh = polled.last is not None and now - polled.last.monotonic_usec <= FRESH * 1e6
            if polled.source.cheap and not polled.busy and not fresh:
                self.read_now(name)

    def feed(self, source: SourceName, reading: Reading, at: Instant) -> None:
        """Step the pipeline with one reading, and submit the events."""
        waited, clues = self.state.waits, self.state.taint.clues
        try:
            self.state, events = step(self.state, source, reading, at, self.rules)
        except Exception as error:  # a defect with one observation must not end the daemon: the reading is left out
            log.exception("a reading of source %s could not be taken in and is left out; please report this", source)
            if isinstance(reading.outcome, Read):
                failed = Failed(printable(f"{source}: a defect of kmodmon: {error!r}"))
                self.feed(source, replace(reading, outcome=failed, lost=reading.lost + 1), at)
            return
        self.cycles += 1
        self._awaited.discard(source)
        if not self._awaited:
            self._followed.set()
        self.sink.submit(events, self._checkpoints())
        self.on_step(self.state, events)
        if self.state.waits and not waited:
            self._schedule_tick()
        if events:
            self.wake(name for name in _wakes_of(events) if name is not source)
        memory = self.state.log_memory
        if source in _LOG_SOURCES and memory is not None and memory.unsettled:
            self.wake(_CONFIRMING, prompt=True)  # the kernel's numbers tell whether the report is its own
        if self.state.taint.clues is not clues:
            self.wake((SourceName.TAINT,))  # a possible cause without an event: the value may have changed

    def merge_earlier(self, earlier: Mapping[str, JsonObject]) -> None:
        """Merge the checkpoints of an earlier run of this boot, from a history that was not readable at the start."""
        for checkpoint in CHECKPOINTS:
            if checkpoint.section in earlier:
                self.state = checkpoint.join(self.state, earlier[checkpoint.section])
        self.sink.submit((), self._checkpoints())

    def add_events(self, events: tuple[Event, ...]) -> None:
        """Count and submit events about the daemon itself."""
        counts = count_events(self.state.counts, events, events, self.rules.event_metrics.counters)
        self.state = replace(self.state, counts=counts)
        self.sink.submit(events, self._checkpoints())
        self.on_step(self.state, events)

    def _checkpoints(self) -> Mapping[str, JsonObject]:
        """The checkpoints whose part changed since it was last submitted."""
        changed: dict[str, JsonObject] = {}
        for checkpoint in CHECKPOINTS:
            part = checkpoint.part(self.state)
            saved = self._saved.get(checkpoint.section)
            if saved is not part and saved != part:
                self._saved[checkpoint.section] = part
                changed[checkpoint.section] = checkpoint.save(self.state)
        return changed

    def _take_reading(self, polled: _Polled, reading: Reading, at: Instant) -> None:
        polled.last = at
        polled.rests_until = time.monotonic() + DEBOUNCE
        self.feed(polled.source.name, reading, at)
        if _is_soon_over(reading) and polled.wake is None:
            polled.wake = asyncio.get_running_loop().call_later(SOON, self._woken, polled)

    def _arm(self, polled: _Polled) -> None:
        if polled.timer is not None:
            polled.timer.cancel()
            polled.timer = None
        period = polled.source.every(self.context.settings)
        if period > 0:
            polled.timer = asyncio.get_running_loop().call_later(period, self._due, polled)

    def _due(self, polled: _Polled) -> None:
        self._arm(polled)
        self._read_now(polled)

    def _woken(self, polled: _Polled) -> None:
        polled.wake = None
        self._read_now(polled)

    def _read_now(self, polled: _Polled) -> None:
        if polled.busy:
            polled.again = True
        elif polled.source.threaded:
            polled.running = asyncio.create_task(self._read_in_thread(polled), name=polled.source.name)
        else:
            self._read_in_order(polled)

    def _read_in_order(self, polled: _Polled) -> None:
        at = self.clock.now()  # before the reading, so that nothing in it is older than `at`
        attempt = self._thread.make(self._attempt(polled))
        if attempt.ends_within(PATIENCE):
            self._take_reading(polled, attempt.result(), at)
            return
        self._thread.leave()
        polled.running = asyncio.create_task(self._read_late(polled, attempt, at), name=polled.source.name)

    async def _read_late(self, polled: _Polled, attempt: TimedCall[Reading], at: Instant) -> None:
        polled.again = False
        if await attempt.answers_in_time():
            self._take_reading(polled, attempt.result(), at)
        else:
            self._take_reading(polled, Reading(outcome=attempt.hung()), self.clock.now())
            await attempt.answer()  # what it has read is as old as it hung
            polled.again = True
        if polled.again:
            self.wake((polled.source.name,))

    async def _read_in_thread(self, polled: _Polled) -> None:
        while True:
            polled.again = False
            reading = await self._reading_in_thread(polled)
            self._take_reading(polled, reading, self.clock.now())
            if not polled.again:
                return

    async def _reading_in_thread(self, polled: _Polled) -> Reading:
        if isinstance(polled.read, AwaitedReader):
            return await _awaited_reading_of(polled.source.name, polled.read)
        attempt = self._attempt(polled).start(polled.source.name)
        if not await attempt.answers_in_time():
            self._take_reading(polled, Reading(outcome=attempt.hung()), self.clock.now())
        return await attempt.answer()

    def _attempt(self, polled: _Polled) -> TimedCall[Reading]:
        return TimedCall(partial(_reading_of, polled.source.name, polled.read), self.context.calls.deadline)

    def _restart(self, source: EventSource) -> None:
        old = self._tasks[source.name]
        old.cancel()
        self._tasks[source.name] = asyncio.create_task(self._follow(source, after=old), name=source.name)

    async def _follow(self, source: EventSource, after: "asyncio.Task[None] | None" = None) -> None:
        if after is not None:
            await asyncio.wait((after,))
        delay = RETRY_FIRST

        def emit(reading: Reading) -> None:
            nonlocal delay
            delay = RETRY_FIRST
            at = self.clock.now()
            self.feed(source.name, reading, at)
            if not reading.quiet:
                self.wake((*source.wakes, *reading.wakes), prompt=source.prompt)

        while True:
            try:
                await source.run(self.context, emit)
                why = Failed(f"{source.name}: the reader ended")
            except OSError as error:
                hung = isinstance(error, HungError)
                text = str(error) if hung else f"{source.name}: {error}"
                why = Failed(printable(text), error.errno, hung)
            except Exception as error:  # a defect of one reader must not end the others
                log.exception("source %s broke and is started again in %.1f s", source.name, delay)
                why = Failed(printable(f"{source.name}: {error!r}"))
            self.feed(source.name, Reading(outcome=why), self.clock.now())
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_LAST)

    def _schedule_tick(self) -> None:
        """Schedule the next tick; an earlier one stays, so that a stream of events does not postpone it for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time() + (TICK if self.state.waits else IDLE_TICK)
        if self._tick is not None and self._tick.when() <= due:
            return
        if self._tick is not None:
            self._tick.cancel()
        self._tick = loop.call_at(due, self._ticked)

    def _ticked(self) -> None:
        self._tick = None
        self.feed(SourceName.CLOCK, Reading(outcome=Read(Tick())), self.clock.now())
        self._schedule_tick()


_LOG_SOURCES = frozenset({SourceName.KMSG, SourceName.CLOCK})
_CONFIRMING = (SourceName.TAINT, SourceName.COUNTERS)
_TAINTING = (KernelReported, ModuleLoadFailed)
_OTHER_FILE = (ModuleLoaded, ModuleChanged)


def _wakes_of(events: Iterable[Event]) -> frozenset[SourceName]:
    # A module or a report may have tainted the kernel, which only a reading shows.
    names: set[SourceName] = set()
    for event in events:
        if event.module or isinstance(event.details, _TAINTING):
            names.add(SourceName.TAINT)
        if isinstance(event.details, SignalsContradicted):
            names.add(SourceName.CROSSVIEW)  # the module may be hidden
        if isinstance(event.details, _OTHER_FILE):
            names.add(SourceName.FILES)
    return frozenset(names)


def _reading_of(name: str, read: SourceReader) -> Reading:
    try:
        return read()
    except OSError as error:  # no file descriptor is left
        return Reading(outcome=Failed(printable(f"{name}: {error}"), error.errno))
    except Exception as error:  # noqa: BLE001  # a defect of a reader is a failed reading and does not end the daemon
        return _failed_reading(name, error)


async def _awaited_reading_of(name: str, read: AwaitedReader) -> Reading:
    try:
        return await read.awaited()
    except OSError as error:  # as for _reading_of
        return Reading(outcome=Failed(printable(f"{name}: {error}"), error.errno))
    except Exception as error:  # noqa: BLE001  # as for _reading_of
        return _failed_reading(name, error)


def _is_soon_over(reading: Reading) -> bool:
    # Some sources are read every hour only.
    failed = reading.outcome
    return isinstance(failed, Failed) and (failed.hung or failed.errno in (errno.EMFILE, errno.ENFILE))


def _failed_reading(name: str, error: Exception) -> Reading:
    log.error("source %s raised; it counts as failed", name, exc_info=error)
    return Reading(outcome=Failed(printable(f"{name}: {error!r}")))
