"""The one writer: a thread that owns the history, so that the loop never waits for a disk.

`submit` puts events in a bounded backlog and returns. The thread writes them in batches: at once, but with a pause of
100 ms between two batches unless a grave event waits or the batch is full. What fails is tried again with back-off
while the backlog holds; what it cannot hold is lost, and counted. An event is *acknowledged* when `on_stored` gets it,
in the thread: then it is on the disk, and neither SIGKILL nor the loss of the kernel takes it away.

Nothing here raises into the loop. A history that is damaged is moved aside and a new one started that goes on with the
next id; that, and an outage that is over, become events of their own in the transaction of what waited for it.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from kmodmon.events.event import Event, EventType, Severity, StoredEvent
from kmodmon.store.backend import Backend, Quarantined
from kmodmon.store.chain import GENESIS, Link
from kmodmon.store.clock_guard import WallClockGuard
from kmodmon.store.error import Refused, StoreError, Trouble
from kmodmon.store.event_queue import EventBatch, EventQueue
from kmodmon.store.interface import HistoryReader, HistoryStore, Pruned, RetentionLimits
from kmodmon.store.options import CallSoon, WriterOptions, WriterStats
from kmodmon.store.outage import Outage
from kmodmon.system.clock import Clock
from kmodmon.types.units import JsonObject

log = logging.getLogger(__name__)

_KEEPS_OPEN = frozenset({Trouble.FULL, Trouble.LOCKED, Trouble.REFUSED})
_DEFAULTS = WriterOptions()
_TIDY = EventBatch()  # no batch: nothing to write, time for retention


def _ignore(what: object) -> None:
    """For those who need not know what was lost, or remembered later."""


class HistoryWriter:
    """Submit from one thread (the loop); everything else happens in the writer's own."""

    def __init__(
        self,
        place: Backend,
        clock: Clock,
        *,
        call_soon: CallSoon,
        on_stored: Callable[[tuple[StoredEvent, ...]], None],
        on_lost: Callable[[tuple[Event, ...]], None] = _ignore,
        options: WriterOptions = _DEFAULTS,
    ) -> None:
        self.place = place
        self.options = options
        self.on_recalled: Callable[[Mapping[str, JsonObject]], None] = _ignore  # set before the start
        self._clock = clock
        self._call_soon = call_soon
        self._on_stored = on_stored
        self._on_lost = on_lost
        self._wake = threading.Condition()  # guards the next block
        self._backlog = EventQueue(events=options.queue_events, weight=options.queue_weight, batch=options.batch)
        self._checkpoints_wait_since: float | None = None
        self._closing = False
        self._stats = WriterStats()
        # What follows belongs to the thread alone.
        self._history: HistoryStore | None = None
        self._unread: tuple[str, Collection[str]] | None = None  # what `start` wanted and could not read
        self._head: Link = GENESIS
        self._aside: Quarantined | None = None
        self._known: dict[str, JsonObject] = {}  # every checkpoint, for a file that must be started anew
        self._known_is_written = True
        self._notices: list[Event] = []
        self._outage = Outage()
        self._last_chance_failed = False
        self._clock_guard = WallClockGuard(clock.now())
        self._wrote_at = -math.inf
        self._tidied_at = time.monotonic()
        self._since_tidied = 0
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    @property
    def stats(self) -> WriterStats:
        """The figures of this moment."""
        with self._wake:
            return replace(self._stats, queued=len(self._backlog))

    def start(self, boot_id: str, lasting: Collection[str] = ()) -> Mapping[str, JsonObject]:
        """Open the history and start writing; gives what was remembered during this boot, {} if it cannot be read.

        `lasting`: sections that are given of any boot. What cannot be read now goes to `on_recalled` when the history
        is there, before anything is written over it.
        """
        try:
            history = self._opened()
            self._known.update(_remembered(history, boot_id, lasting))
            self._head = history.newest_link() or GENESIS
            self._known_is_written = self._aside is None
            self._measure()
        except StoreError as error:
            self._failed(error)
            self._read_only(boot_id, lasting)
        remembered = dict(self._known)
        self._thread.start()
        return remembered

    def submit(self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject]) -> None:
        """Take events, and what is to be remembered with them. Never waits for the disk, never raises."""
        with self._wake:
            lost = tuple(events) if self._closing else self._backlog.put(events, checkpoints)
            if self._checkpoints_wait_since is None and checkpoints:
                self._checkpoints_wait_since = time.monotonic()
            self._wake.notify()
        self._count_lost(lost)

    def retain(self, retention: RetentionLimits) -> None:
        """Keep more or less than before, from the next round of retention on."""
        self.options = replace(self.options, retention=retention)

    def reader(self) -> HistoryReader:
        """A reader for the calling thread; raises StoreError."""
        return self.place.reader()

    def close(self, timeout: float) -> bool:
        """Write what waits and stop; False: it took longer (a hung disk), and what waits is left."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _read_only(self, boot_id: str, lasting: Collection[str]) -> None:
        """A history that cannot be written, on a full disk or one mounted read-only, still remembers."""
        try:
            reader = self.place.reader()
            try:
                self._known.update(_remembered(reader, boot_id, lasting))
            finally:
                reader.close()
        except StoreError as error:
            log.debug("what was remembered cannot be read either, so it is read when the history is there: %s", error)
            self._unread = boot_id, lasting

    # From here on: the thread.

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            try:
                if batch is not _TIDY:
                    self._write(batch)
                self._tidy_if_due()
            except StoreError as error:
                self._failed(error)
            except Exception as error:  # a defect here must cost a retry, not the history
                log.exception("writing the history failed unexpectedly; it is tried again")
                self._failed(StoreError(Trouble.BROKEN, None, repr(error)))
        self._give_up()

    def _next(self) -> EventBatch | None:
        """Wait for work; None: the end."""
        with self._wake:
            while True:
                if self._closing and (self._backlog.empty or self._last_chance_failed):
                    return None
                now = time.monotonic()
                write_at = self._write_at()
                if write_at is not None and write_at <= now:
                    return self._backlog.front()
                tidy_at = max(self._tidied_at + self.options.tidy_every, self._outage.retry_at)
                if tidy_at <= now:
                    return _TIDY
                self._wake.wait(min(tidy_at, tidy_at if write_at is None else write_at) - now)

    def _write_at(self) -> float | None:
        """When the oldest batch is due, by time.monotonic(); None: there is none."""
        if self._backlog.empty:
            return None
        if self._closing:
            return 0.0
        if self._backlog.urgent:
            return self._outage.retry_at
        if len(self._backlog):
            return max(self._wrote_at + self.options.pause, self._outage.retry_at)
        since = self._checkpoints_wait_since or 0.0
        return max(since + self.options.checkpoint_delay, self._outage.retry_at)

    def _write(self, batch: EventBatch) -> None:
        """Write one batch; raises StoreError."""
        history = self._opened()
        lost = self._stats.lost
        notices = (*self._notices, *self._outage.over(self._clock.now(), lost))
        checkpoints = batch.checkpoints if self._known_is_written else {**self._known, **batch.checkpoints}
        try:
            stored = history.append((*notices, *batch.events), checkpoints)
        except Refused as error:
            self._refused(error, len(notices))
            return
        if stored:
            self._head = Link(stored[-1].id, bytes.fromhex(stored[-1].hash))
        self._known.update(batch.checkpoints)
        self._known_is_written = True
        self._notices.clear()
        self._since_tidied += len(stored)
        self._wrote_at = time.monotonic()
        with self._wake:
            self._backlog.done()
            self._checkpoints_wait_since = None if self._backlog.empty else self._wrote_at
        if self._outage.tries:
            log.info("the history is written again, after %d failures", self._outage.tries)
        self._outage = Outage(lost_before=lost)
        self._measure()
        if stored:
            self._acknowledge(stored)

    def _acknowledge(self, stored: tuple[StoredEvent, ...]) -> None:
        try:
            self._on_stored(stored)
        except Exception:  # they are on the disk: whoever cannot be told does not make that undone
            log.exception("events were stored, and it could not be told")

    def _opened(self) -> HistoryStore:
        """The history, opened if need be; one that is damaged is moved aside first. Raises StoreError."""
        if self._history is not None:
            return self._history
        try:
            self._history = self.place.open(self._head)
        except StoreError as error:
            if error.trouble is not Trouble.CORRUPT:
                raise
            self._quarantine(error)
            self._history = self.place.open(self._head)
        self._known_is_written = False
        if self._unread is not None:
            found = _remembered(self._history, *self._unread)
            self._unread = None
            self._known = {**found, **self._known}
            if found:
                self._tell(lambda: self.on_recalled(found))
        if self._history.fresh and (self._aside or self._head.id):
            self._note_new_file()
        return self._history

    def _failed(self, error: StoreError) -> None:
        if error.trouble not in _KEEPS_OPEN:
            self._leave()
        if error.trouble is Trouble.CORRUPT:
            self._quarantine_if_possible(error)
        with self._wake:
            if not self._backlog.empty:
                self._backlog.failed()
            self._last_chance_failed = self._closing
            errors = self._stats.write_errors + 1
            self._stats = replace(self._stats, write_errors=errors, healthy=False, last_error=str(error))
        if self._outage.failed(error, self._clock.now(), self.options):
            log.error("%s; up to %d events wait in memory", error, self.options.queue_events)

    def _quarantine_if_possible(self, error: StoreError) -> None:
        try:
            self._quarantine(error)
        except StoreError as again:
            log.error("the damaged history could not be moved aside: %s", again)

    def _quarantine(self, error: StoreError) -> None:
        self._aside = self.place.quarantine(self._clock.now().realtime_usec)
        if self._aside.head.id > self._head.id:
            self._head = self._aside.head
        self._outage.why = error.why
        log.error("%s; it is now %s, the next event is %d", error, self._aside.path, self._head.id + 1)

    def _note_new_file(self) -> None:
        aside, self._aside = self._aside, None
        fields: JsonObject = {
            "source": "history",
            "why": self._outage.why or "the file is gone",
            "moved_to": None if aside is None else str(aside.path),
            "events": self._stats.events if aside is None else aside.events,
        }
        log.error("a new history was started, it goes on with event %d", self._head.id + 1)
        self._notices.append(
            Event(type=EventType.SOURCE_LOST, at=self._clock.now(), severity=Severity.ERROR, fields=fields)
        )

    def _refused(self, error: Refused, notices: int) -> None:
        """One thing of the batch can never be written: without it the rest can."""
        log.error("%s", error)
        self._outage.why = error.why
        index = None if error.index is None else error.index - notices
        if index is not None and index < 0:
            self._notices.clear()
            index = None
        with self._wake:
            lost = self._backlog.drop(index, error.section)
            errors = self._stats.write_errors + 1
            self._stats = replace(self._stats, write_errors=errors, last_error=str(error))
        self._known.pop(error.section or "", None)
        self._count_lost(lost)

    def _measure(self) -> None:
        if self._history is None:
            return
        size = self._history.summary()
        with self._wake:
            self._stats = replace(
                self._stats, events=size.events, bytes=size.bytes, oldest_usec=size.oldest_usec, healthy=True
            )

    def _tidy_if_due(self) -> None:
        """Retention, a step at a time, and only while nothing grave waits; raises StoreError."""
        now = time.monotonic()
        due = now - self._tidied_at >= self.options.tidy_every or self._since_tidied >= self.options.tidy_after
        if not due:
            return
        self._tidied_at, self._since_tidied = now, 0
        if self._history is None:
            return
        wall = self._clock_guard.trusted_realtime(self._clock.now())
        while self._history.prune(self.options.retention, wall) is Pruned.MORE:
            with self._wake:
                if self._closing or self._backlog.urgent:
                    self._since_tidied = self.options.tidy_after  # go on after the next batch
                    break
        self._measure()

    def _leave(self) -> None:
        history, self._history = self._history, None
        if history is not None:
            try:
                history.close()
            except StoreError as error:
                log.debug("closing the broken history: %s", error)

    def _give_up(self) -> None:
        with self._wake:
            lost = self._backlog.clear()
        if lost:
            log.error("%d events are lost: the history could not be written before the end", len(lost))
        self._count_lost(lost)
        self._leave()

    def _count_lost(self, lost: tuple[Event, ...]) -> None:
        if lost:
            with self._wake:
                self._stats = replace(self._stats, lost=self._stats.lost + len(lost))
            self._tell(lambda: self._on_lost(lost))

    def _tell(self, call: Callable[[], None]) -> None:
        try:
            self._call_soon(call)
        except RuntimeError:  # the loop is closed: nobody is left who could be told
            log.debug("the loop ended before the history did")


def _remembered(history: HistoryReader, boot_id: str, lasting: Collection[str]) -> Mapping[str, JsonObject]:
    """What was last remembered during this boot, and of the lasting sections during any; raises StoreError."""
    of_any = history.load_checkpoints(None) if lasting else {}
    return {
        **{name: found for name, found in of_any.items() if name in lasting},
        **history.load_checkpoints(boot_id),
    }
