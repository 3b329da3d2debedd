"""The writer of the history: a thread that owns it, so that the event loop never waits for a disk.

`submit` adds events to a bounded queue and returns. The thread writes them in batches, at least 100 ms apart unless an
error or critical event waits or a batch is full. A failed batch is retried with increasing delays; events that no
longer fit the queue meanwhile are lost, and counted. An event is *acknowledged* when the thread passes it to
`on_stored`: it is then on disk, and survives SIGKILL and a crash of the kernel.

Nothing here raises into the event loop. A damaged history is renamed, and a new one continues with the next id. That,
and the end of an outage, are recorded as events, in the transaction of the batch that waited for it.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from kmodmon.events.event import Event, Severity, StoredEvent
from kmodmon.events.kinds.source import HistoryReplaced
from kmodmon.store.backend import Backend, Quarantined
from kmodmon.store.chain import GENESIS, Link
from kmodmon.store.clock_guard import WallClockGuard
from kmodmon.store.error import Refused, StoreError, Trouble
from kmodmon.store.event_queue import EventBatch, EventQueue
from kmodmon.store.interface import HistoryReader, HistoryStore, Pruned, RetentionLimits, SealCause
from kmodmon.store.options import CallSoon, WriterOptions, WriterStats
from kmodmon.store.outage import Outage
from kmodmon.system.clock import Clock
from kmodmon.types.units import JsonObject

log = logging.getLogger(__name__)

_KEEPS_OPEN = frozenset({Trouble.FULL, Trouble.LOCKED, Trouble.REFUSED})  # the connection is still usable
_DEFAULTS = WriterOptions()
_CHORES = EventBatch()  # instead of a batch: nothing to write, but retention or a seal is due


def _ignore(value: object) -> None:
    """Do nothing: the default callback."""


class HistoryWriter:
    """The history of the daemon: `submit` is called by one thread (the event loop), the writer's own does the rest.

    `on_stored` is called in the writer's thread; `on_lost` and `on_recalled` through `call_soon`, in the event loop.
    """

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        *,
        call_soon: CallSoon,
        on_stored: Callable[[tuple[StoredEvent, ...]], None],
        on_lost: Callable[[tuple[Event, ...]], None] = _ignore,
        options: WriterOptions = _DEFAULTS,
    ) -> None:
        self.options = options
        self.on_recalled: Callable[[Mapping[str, JsonObject]], None] = _ignore  # to be set before `start`
        self._backend = backend
        self._clock = clock
        self._call_soon = call_soon
        self._on_stored = on_stored
        self._on_lost = on_lost
        self._wake = threading.Condition()  # its lock guards the next four attributes
        self._queue = EventQueue(events=options.queue_events, weight=options.queue_weight, batch=options.batch)
        self._checkpoints_wait_since: float | None = None
        self._closing = False
        self._stats = WriterStats()
        # After `start`, only the thread uses the rest.
        self._history: HistoryStore | None = None
        self._unread: tuple[str, Collection[str]] | None = None  # the arguments of `start`, while they wait for a file
        self._head: Link = GENESIS  # of the last event written or read, from which a new file continues
        self._quarantined: Quarantined | None = None  # until the event about it is queued
        self._checkpoints: dict[str, JsonObject] = {}  # the newest of every section, to be copied into a new file
        self._checkpoints_written = True
        self._notices: list[Event] = []  # events about the history itself, for the next batch
        self._outage = Outage()
        self._failed_while_closing = False
        self._clock_guard = WallClockGuard(clock.now())
        self._wrote_at = -math.inf  # time.monotonic() of the last batch
        self._pruned_at = time.monotonic()
        self._since_pruned = 0  # events
        self._sealed_at = -math.inf  # time.monotonic() of the last try
        self._seal_cause = SealCause.START  # of the next seal
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    @property
    def stats(self) -> WriterStats:
        """The statistics at this moment."""
        return self._stats

    def start(self, boot_id: str, lasting: Collection[str] = ()) -> Mapping[str, JsonObject]:
        """Open the history and start writing; gives the checkpoints of this boot by section, {} if unreadable.

        Sections in `lasting` are given also when another boot wrote them. Checkpoints that cannot be read now are
        passed to `on_recalled` once the history can be opened, before newer ones overwrite them.
        """
        try:
            history = self._opened()
            self._checkpoints.update(_checkpoints_of(history, boot_id, lasting))
            self._head = history.newest_link() or GENESIS
            self._checkpoints_written = self._quarantined is None
            self._measure()
        except StoreError as error:
            self._failed(error)
            self._load_read_only(boot_id, lasting)
        checkpoints = dict(self._checkpoints)
        self._thread.start()
        return checkpoints

    def submit(self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject]) -> None:
        """Queue events and checkpoints to be written together; never waits for the disk, never raises."""
        with self._wake:
            lost = tuple(events) if self._closing else self._queue.put(events, checkpoints)
            if self._checkpoints_wait_since is None and checkpoints:
                self._checkpoints_wait_since = time.monotonic()
            self._wake.notify()
        self._count_lost(lost)

    def retain(self, retention: RetentionLimits, seal_every: float) -> None:
        """Change how much is kept, from the next run of retention on, and how often it is sealed."""
        self.options = replace(self.options, retention=retention, seal_every=seal_every)

    def reader(self) -> HistoryReader:
        """Open a reader for the calling thread; raises StoreError."""
        return self._backend.reader()

    def close(self, timeout: float) -> bool:
        """Write what is queued and stop; False: not finished within `timeout` seconds, because the disk hangs."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _load_read_only(self, boot_id: str, lasting: Collection[str]) -> None:
        # A history that cannot be opened for writing (full disk, read-only mount) may still be readable.
        try:
            with closing(self._backend.reader()) as reader:
                self._checkpoints.update(_checkpoints_of(reader, boot_id, lasting))
        except StoreError as error:
            log.debug("what was remembered cannot be read either, so it is read when the history is there: %s", error)
            self._unread = boot_id, lasting

    # The methods below run in the thread; `_opened`, `_measure` and `_failed` also in `start`.

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            try:
                if batch is not _CHORES:
                    self._write(batch)
                self._prune_if_due()
                self._seal_if_due()
            except StoreError as error:
                self._failed(error)
            except Exception as error:  # a bug in this module must cost a retry, not end the thread
                log.exception("writing the history failed unexpectedly; it is tried again")
                self._failed(StoreError(Trouble.BROKEN, None, repr(error)))
        self._end()

    def _next(self) -> EventBatch | None:
        """Wait for the next batch to write, or for retention or a seal (_CHORES); None: the writer is closed."""
        with self._wake:
            while True:
                if self._closing and (self._queue.empty or self._failed_while_closing):
                    return None
                now = time.monotonic()
                write_at = self._write_at()
                if write_at is not None and write_at <= now:
                    return self._queue.front()
                due = min(self._pruned_at + self.options.prune_every, self._sealed_at + self.options.seal_every)
                due = max(due, self._outage.retry_at)
                if due <= now:
                    return _CHORES
                self._wake.wait(min(due, due if write_at is None else write_at) - now)

    def _write_at(self) -> float | None:
        """When the oldest batch is due, by time.monotonic(); None: the queue is empty."""
        if self._queue.empty:
            return None
        if self._closing:
            return 0.0
        if self._queue.urgent:
            return self._outage.retry_at
        if len(self._queue):
            return max(self._wrote_at + self.options.pause, self._outage.retry_at)
        since = self._checkpoints_wait_since or 0.0
        return max(since + self.options.checkpoint_delay, self._outage.retry_at)

    def _write(self, batch: EventBatch) -> None:
        """Write one batch; raises StoreError."""
        history = self._opened()
        lost = self._stats.lost
        notices = (*self._notices, *self._outage.over(self._clock.now(), lost))
        checkpoints = batch.checkpoints if self._checkpoints_written else {**self._checkpoints, **batch.checkpoints}
        try:
            stored = history.append((*notices, *batch.events), checkpoints)
        except Refused as error:
            self._refused(error, len(notices))
            return
        if stored:
            self._head = Link(stored[-1].id, bytes.fromhex(stored[-1].hash))
        self._checkpoints.update(batch.checkpoints)
        self._checkpoints_written = True
        self._notices.clear()
        self._since_pruned += len(stored)
        self._wrote_at = time.monotonic()
        with self._wake:
            self._queue.done()
            self._checkpoints_wait_since = None if self._queue.empty else self._wrote_at
        if self._outage.tries:
            log.info("the history is written again, after %d failures", self._outage.tries)
        self._outage = Outage(lost_before=lost)
        self._measure()
        if stored:
            self._acknowledge(stored)

    def _acknowledge(self, stored: tuple[StoredEvent, ...]) -> None:
        try:
            self._on_stored(stored)
        except Exception:  # the events are on disk, whatever the callback does
            log.exception("events were stored, and it could not be told")

    def _opened(self) -> HistoryStore:
        """The history, which is opened if it is not, in place of a damaged one if need be. Raises StoreError."""
        if self._history is not None:
            return self._history
        try:
            self._history = self._backend.open(self._head)
        except StoreError as error:
            if error.trouble is not Trouble.CORRUPT:
                raise
            self._quarantine(error)
            self._history = self._backend.open(self._head)
        self._checkpoints_written = False
        if self._unread is not None:
            self._recall(_checkpoints_of(self._history, *self._unread))
        if self._history.fresh and (self._quarantined or self._head.id):
            self._note_new_file()
        return self._history

    def _recall(self, checkpoints: Mapping[str, JsonObject]) -> None:
        self._unread = None
        self._checkpoints = {**checkpoints, **self._checkpoints}
        if checkpoints:
            self._call_in_loop(lambda: self.on_recalled(checkpoints))

    def _failed(self, error: StoreError) -> None:
        if error.trouble not in _KEEPS_OPEN:
            self._close_history()
        if error.trouble is Trouble.CORRUPT:
            self._quarantine_if_possible(error)
        with self._wake:
            if not self._queue.empty:
                self._queue.failed()
            self._failed_while_closing = self._closing
            errors = self._stats.write_errors + 1
            self._stats = replace(self._stats, write_errors=errors, healthy=False)
        if self._outage.failed(error, self._clock.now(), self.options):
            log.error("%s; up to %d events wait in memory", error, self.options.queue_events)

    def _quarantine_if_possible(self, error: StoreError) -> None:
        try:
            self._quarantine(error)
        except StoreError as second:
            log.error("the damaged history could not be moved aside: %s", second)

    def _quarantine(self, error: StoreError) -> None:
        self._quarantined = self._backend.quarantine(self._clock.now().realtime_usec)
        if self._quarantined.head.id > self._head.id:
            self._head = self._quarantined.head
        self._outage.why = error.why
        log.error("%s; it is now %s, the next event is %d", error, self._quarantined.path, self._head.id + 1)

    def _note_new_file(self) -> None:
        old, self._quarantined = self._quarantined, None
        details = HistoryReplaced(
            source="history",
            why=self._outage.why or "the file is gone",
            moved_to=None if old is None else str(old.path),
            events=self._stats.events if old is None else old.events,
        )
        log.error("a new history was started, it goes on with event %d", self._head.id + 1)
        self._notices.append(Event(details=details, at=self._clock.now(), severity=Severity.ERROR))

    def _refused(self, error: Refused, notices: int) -> None:
        """Remove from the batch the event or checkpoint that can never be stored; the rest is written next."""
        log.error("%s", error)
        self._outage.why = error.why
        index = None if error.index is None else error.index - notices
        if index is not None and index < 0:
            self._notices.clear()
            index = None
        with self._wake:
            lost = self._queue.drop(index, error.section)
            errors = self._stats.write_errors + 1
            self._stats = replace(self._stats, write_errors=errors)
        self._checkpoints.pop(error.section or "", None)
        self._count_lost(lost)

    def _measure(self) -> None:
        if self._history is None:
            return
        size = self._history.summary()
        with self._wake:
            head = self._head if size.bytes else None
            self._stats = replace(self._stats, events=size.events, bytes=size.bytes, head=head, healthy=True)

    def _prune_if_due(self) -> None:
        """Run retention if it is due, one step at a time, as long as no urgent batch waits; raises StoreError."""
        now = time.monotonic()
        due = now - self._pruned_at >= self.options.prune_every or self._since_pruned >= self.options.prune_after
        if not due:
            return
        self._pruned_at, self._since_pruned = now, 0
        if self._history is None:
            return
        wall = self._clock_guard.trusted_realtime(self._clock.now())
        while self._history.prune(self.options.retention, wall) is Pruned.MORE:
            with self._wake:
                if self._closing or self._queue.urgent:
                    self._since_pruned = self.options.prune_after  # continue after the next batch
                    break
        self._measure()

    def _seal_if_due(self) -> None:
        if time.monotonic() - self._sealed_at >= self.options.seal_every:
            self._sealed_at = time.monotonic()
            self._seal()

    def _seal(self) -> None:
        # A seal that fails is no reason to close the history: the next batch finds what is wrong with the disk.
        if self._history is None:
            return
        try:
            if self._history.seal(self._seal_cause, self._clock.now().realtime_usec):
                self._seal_cause = SealCause.INTERVAL
        except StoreError as error:
            log.error("the history could not be sealed: %s", error)

    def _close_history(self) -> None:
        history, self._history = self._history, None
        if history is not None:
            try:
                history.close()
            except StoreError as error:
                log.debug("closing the broken history: %s", error)

    def _end(self) -> None:
        with self._wake:
            lost = self._queue.clear()
        if lost:
            log.error("%d events are lost: the history could not be written before the end", len(lost))
        self._count_lost(lost)
        self._seal_cause = SealCause.STOP
        self._seal()
        self._close_history()

    def _count_lost(self, lost: tuple[Event, ...]) -> None:
        if lost:
            with self._wake:
                self._stats = replace(self._stats, lost=self._stats.lost + len(lost))
            self._call_in_loop(lambda: self._on_lost(lost))

    def _call_in_loop(self, call: Callable[[], None]) -> None:
        try:
            self._call_soon(call)
        except RuntimeError:  # the event loop is closed
            log.debug("the loop ended before the history did")


def _checkpoints_of(history: HistoryReader, boot_id: str, lasting: Collection[str]) -> Mapping[str, JsonObject]:
    # The checkpoints of this boot, and those of the lasting sections that any boot wrote; raises StoreError.
    of_any_boot = history.load_checkpoints(None) if lasting else {}
    return {
        **{section: document for section, document in of_any_boot.items() if section in lasting},
        **history.load_checkpoints(boot_id),
    }
