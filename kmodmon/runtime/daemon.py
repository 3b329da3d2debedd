"""`kmodmon run`: makes the objects of the daemon, runs them until SIGTERM or SIGINT, and stops them in order.

Settings are read again on SIGHUP and when their file changes. If the new file is invalid, the settings in force stay,
and log, metric and event report it. systemd's watchdog is fed only while the engine completes steps.

A thread that hangs in the kernel (`sources.timed_call`) does not keep the daemon from stopping: the process exits at
the latest STOP_MOST after it was asked to, when what is queued for the history has been written. While such a thread
waits uninterruptibly, the kernel keeps the process until that ends; it serves nobody and holds no lock then.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from kmodmon.config.settings import Settings
from kmodmon.events.event import Event, EventDetails, Severity, StoredEvent
from kmodmon.events.kinds.daemon import ConfigRefused, Started, Stopped
from kmodmon.events.query import EventQuery
from kmodmon.metrics import EVENT_METRICS, METRICS
from kmodmon.metrics.exposition import Exposition
from kmodmon.runtime.engine import Engine
from kmodmon.runtime.one_shot import boot_id, fresh_state, rules_of
from kmodmon.sources.followed import FOLLOWED
from kmodmon.sources.registry import POLLED
from kmodmon.sources.source import SourceContext
from kmodmon.sources.timed_call import HungError
from kmodmon.state.checkpoint import LASTING
from kmodmon.state.state import State
from kmodmon.store.backend import Backend, DiskBackend, MemoryBackend
from kmodmon.store.chain import Link
from kmodmon.store.interface import RetentionLimits
from kmodmon.store.options import WriterOptions
from kmodmon.store.outside import short_number
from kmodmon.store.writer import HistoryWriter
from kmodmon.subjects.files import load_paths
from kmodmon.subjects.self_stats import UNKNOWN, SelfCounters, SelfMetric
from kmodmon.system.clock import Clock
from kmodmon.system.file_watch import watch_file
from kmodmon.system.journal import Journal, log_sink
from kmodmon.system.memory_footprint import release_unslotted_classes
from kmodmon.system.privileges import keep_to_this_process
from kmodmon.system.progress import note_progress
from kmodmon.system.root import Root
from kmodmon.system.sd_notify import Notifier
from kmodmon.types.error import ConfigError, KmodmonError
from kmodmon.web.access import Access, names_in_hosts_file
from kmodmon.web.limits import HttpLimits
from kmodmon.web.server import LocalListener, WebServer
from kmodmon.web.site import Site

log = logging.getLogger(__name__)

# A garbage collection stops every thread, also the one that must read /proc/PID before the process exits. Frequent
# collections are short.
_GARBAGE_AFTER = 1_000  # objects
# A thread that queries the history keeps the interpreter for so long, each time that the loop has made a system call; a
# scrape makes hundreds. Python's default is 5 ms. It costs nothing while no two threads compute.
_SWITCH = 0.0001  # seconds
_SOURCES = (*(source.name for source in POLLED), *(source.name for source in FOLLOWED))
BEGIN_TO_FOLLOW = 6.0  # seconds to begin to follow; a kernel that does not answer is known to hang before
STALL = 60.0  # seconds without a completed step after which the engine counts as stuck
CLOSE_HISTORY = 5.0  # seconds for writing what is queued
STOP_TASKS = 1.0  # seconds until tasks that were cancelled are left behind
STOP_MOST = 9.5  # seconds from the request to stop; a service manager or a person that waits ten is not kept longer
EXIT = 1.0  # seconds that threads have to end, after all is stored
QUERY_HISTORY = 5.0  # seconds for one query


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line determines."""

    load: Callable[[], Settings]  # reads the settings; called at each reload
    root_of: Callable[[Settings], Root]  # the host that the settings name
    config_file: Path


class Daemon:
    """One running daemon. It implements the host of `kmodmon.web.site.Site`."""

    def __init__(self, options: Options, settings: Settings, clock: Clock, notifier: Notifier) -> None:
        self._options = options
        self._settings = settings
        self._clock = clock
        self._notifier = notifier
        self._root = options.root_of(settings)
        self._boot_id = boot_id(self._root)
        self._journal = Journal(log_sink())
        self._exposition = Exposition(METRICS, _process_families)
        self._counters = SelfCounters()
        self._ready = False
        self._stop = asyncio.Event()
        self._changed = False  # the settings are to be read
        self._reloading: asyncio.Task[None] | None = None  # the latest time; None: never yet
        self._config_ok = True
        self._config_loaded = clock.now().seconds
        self._cycled = clock.now().monotonic_usec
        self._cycles = 0
        self._history = self._make_history()
        self._engine = self._make_engine()
        self._history.on_recalled = self._engine.merge_earlier
        self._server = self._make_server()
        self._bind_counters()

    @property
    def state(self) -> State:
        """The current state."""
        return self._engine.state

    @property
    def ready(self) -> bool:
        """Whether every source was read once."""
        return self._ready

    @property
    def cycling(self) -> bool:
        """Whether the engine completed a step within STALL."""
        return self._clock.now().monotonic_usec - self._cycled < STALL * 1e6

    @property
    def addresses(self) -> Sequence[str]:
        """The addresses that the web server listens on."""
        return self._server.addresses

    async def refresh(self) -> None:
        """Read the cheap sources that are older than a second; the scrape waits for them."""
        self._engine.refresh()
        self._engine.set_self_stats(self._counters.snapshot())

    async def events(self, query: EventQuery) -> Sequence[StoredEvent]:
        """Query the history in a worker thread, with a connection of its own; raises StoreError, also if it is slow."""
        timed = replace(query, seconds=QUERY_HISTORY)
        return await asyncio.get_running_loop().run_in_executor(None, self._events, timed)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; raises KmodmonError when it cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        remembered = self._history.start(self._boot_id, LASTING)
        self._engine.state = fresh_state(self._boot_id, self._clock, _SOURCES, remembered)
        await self._server.start()
        self._emit_notice(Started())
        await self._engine.start()
        await _first(self._engine.until_followed(BEGIN_TO_FOLLOW), self._stop.wait())
        self._ready = True
        gc.collect()
        gc.freeze()  # the objects made so far live as long as the daemon, so the collector skips them
        gc.set_threshold(_GARBAGE_AFTER)
        log.info("kmodmon serves on %s", ", ".join(self._server.addresses))
        self._notifier.ready()
        in_thread = partial(self._engine.context.calls.run, "settings directory")
        tasks = [
            self._task(self._feed_watchdog()),
            self._task(watch_file(self._options.config_file, self.reload, in_thread)),
        ]
        await self._stop.wait()
        self._notifier.stopping()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_TASKS)
        await self._shut_down()

    def stop(self) -> None:
        """Make `run` shut down and return."""
        self._stop.set()

    async def stopping(self) -> None:
        """Wait until it was asked to stop."""
        await self._stop.wait()

    def reload(self) -> None:
        """Read the settings again soon; an invalid file changes nothing and is reported."""
        self._changed = True
        if self._reloading is None or self._reloading.done():
            self._reloading = self._task(self._reload_all())

    async def _reload_all(self) -> None:
        while self._changed:
            self._changed = False
            await self._reload_once()

    async def _reload_once(self) -> None:
        self._notifier.reloading()
        try:
            self._apply(await self._engine.context.calls.run("settings", self._load))
        except (KmodmonError, HungError) as error:
            self._config_ok = False
            log.error("settings were not taken over, the earlier ones stay in force: %s", error)
            details = ConfigRefused(file=str(self._options.config_file))
            self._emit(Event(details=details, at=self._clock.now(), severity=Severity.ERROR, evidence=(str(error),)))
        finally:
            self._notifier.ready()

    def _load(self) -> Settings:
        note_progress(str(self._options.config_file))
        return self._options.load()

    def _apply(self, new: Settings) -> None:
        self._config_ok = True
        self._config_loaded = self._clock.now().seconds
        for change in self._settings.differences(new):
            when = " when kmodmon is started anew" if change.setting.restart else ""
            log.info("setting %s changes from %s to %s%s", change.setting.key, change.old, change.new, when)
        self._settings = self._settings.reloaded(new)
        logging.getLogger("kmodmon").setLevel(_level(self._settings))
        self._history.retain(_retention(self._settings), self._settings.history.seal_interval)
        self._server.set_limits(_limits(self._settings))
        self._server.set_access(_access(self._settings))
        context = replace(self._engine.context, settings=self._settings)
        self._engine.reconfigure(context, rules_of(self._settings, EVENT_METRICS))

    async def _shut_down(self) -> None:
        await asyncio.gather(self._server.stop(), self._engine.stop())
        self._emit_notice(Stopped())
        closed = await asyncio.get_running_loop().run_in_executor(None, self._history.close, CLOSE_HISTORY)
        if not closed:
            log.error("the history could not be closed within %g s; what waited for it is lost", CLOSE_HISTORY)

    async def _feed_watchdog(self) -> None:
        period = self._notifier.watchdog_seconds
        while True:
            await asyncio.sleep(period / 2 if period else STALL / 2)
            if self._engine.cycles != self._cycles:
                self._cycles = self._engine.cycles
                self._cycled = self._clock.now().monotonic_usec
                self._notifier.watchdog()

    def _events(self, query: EventQuery) -> Sequence[StoredEvent]:
        reader = self._history.reader()
        try:
            return tuple(reader.events(query))
        finally:
            reader.close()

    def _emit_notice(self, details: EventDetails) -> None:
        self._emit(Event(details=details, at=self._clock.now(), severity=Severity.NOTICE))

    def _emit(self, event: Event) -> None:
        self._engine.add_events((event,))

    def _write_to_journal(self, events: Sequence[Event | StoredEvent]) -> None:
        # Called in the thread of the history for stored events, and on the loop for those that it could not store.
        if self._settings.journal.events:
            for event in events:
                self._journal.log_event(event)

    def _bind_counters(self) -> None:
        """Bind the numbers that history, journal and daemon keep; the web server adds its own to the counters."""
        history, head = self._history, HeadNumbers(self._history)
        self._counters.bind(
            {
                SelfMetric.HISTORY_EVENTS: lambda: history.stats.events,
                SelfMetric.HISTORY_BYTES: lambda: history.stats.bytes,
                SelfMetric.HISTORY_HEALTHY: lambda: history.stats.healthy,
                SelfMetric.HISTORY_WRITE_ERRORS: lambda: history.stats.write_errors,
                SelfMetric.HISTORY_HEAD_ID: head.id,
                SelfMetric.HISTORY_HEAD_HASH: head.hash,
                SelfMetric.HISTORY_LOST: lambda: history.stats.lost,
                SelfMetric.RENDER_FAILURES: lambda: self._exposition.failures,
                SelfMetric.JOURNAL_LOST: lambda: self._journal.lost,
                SelfMetric.CONFIG_OK: lambda: self._config_ok and self._server.config_ok,
                SelfMetric.CONFIG_LOADED: lambda: self._config_loaded,
            }
        )

    def _make_history(self) -> HistoryWriter:
        settings = self._settings.history
        backend: Backend = MemoryBackend(boot_id=self._boot_id)
        if settings.enabled:
            backend = DiskBackend(directory=settings.directory, boot_id=self._boot_id)
        return HistoryWriter(
            backend,
            self._clock,
            call_soon=asyncio.get_running_loop().call_soon_threadsafe,
            on_stored=self._write_to_journal,
            on_lost=self._write_to_journal,
            options=WriterOptions(
                retention=_retention(self._settings), queue_events=settings.queue, seal_every=settings.seal_interval
            ),
        )

    def _make_engine(self) -> Engine:
        return Engine(
            context=SourceContext(
                root=self._root,
                settings=self._settings,
                clock=self._clock,
                module_paths=lambda: load_paths(self.state.inventory),
            ),
            state=State(boot_id=self._boot_id, started=self._clock.now()),
            sink=self._history,
            rules=rules_of(self._settings, EVENT_METRICS),
            polled_sources=POLLED,
            event_sources=FOLLOWED,
        )

    def _make_server(self) -> WebServer:
        web = self._settings.web
        local = () if web.socket is None else (LocalListener(path=web.socket, group=web.group),)
        server = WebServer(
            routes=Site(self, self._exposition).routes(),
            listen=[*map(str, web.listen), *local],
            limits=_limits(self._settings),
            web_config=web.config_file,
            clock=self._clock,
            counters=self._counters,
        )
        server.set_access(_access(self._settings))
        return server

    @staticmethod
    def _task(work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        task.add_done_callback(_log_failure)
        return task


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended and does not come back before a restart", task.get_coro(), exc_info=error)


def _process_families() -> Iterable[Family]:
    return (*_PROCESS.collect(), *_PLATFORM.collect())


_PROCESS = ProcessCollector(registry=None)
_PLATFORM = PlatformCollector(registry=None)


def _retention(settings: Settings) -> RetentionLimits:
    history = settings.history
    return RetentionLimits(age_usec=int(history.max_age * 1e6) or None, size_bytes=int(history.max_bytes) or None)


class HeadNumbers:
    """Id and hash of the newest event, as numbers of one moment: `id` is asked first."""

    def __init__(self, history: HistoryWriter) -> None:
        self._history = history
        self._head: Link | None = None

    def id(self) -> float:
        """The id."""
        self._head = self._history.stats.head
        return UNKNOWN if self._head is None else self._head.id

    def hash(self) -> float:
        """The hash, shortened to what a sample holds exactly."""
        return UNKNOWN if self._head is None else short_number(self._head)


def _limits(settings: Settings) -> HttpLimits:
    web = settings.web
    return HttpLimits(
        connections=web.max_connections,
        head_seconds=web.header_timeout,
        answer_seconds=web.write_timeout,
        idle_seconds=web.idle_timeout,
    )


def _access(settings: Settings) -> Access:
    web = settings.web
    in_file = names_in_hosts_file(settings.path.rootfs / "etc/hosts")
    return Access(detail=web.detail, hosts=(*in_file, *(name.lower().removesuffix(".") for name in web.hosts)))


def _level(settings: Settings) -> int:
    return {"debug": 10, "info": 20, "notice": 25, "warning": 30, "error": 40}[settings.log.level.value]


async def _first(*waits: Coroutine[object, object, object]) -> None:
    """Wait until one of these has ended, and cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def run_daemon(options: Options, settings: Settings, clock: Clock, notifier: Notifier) -> None:
    """Run a daemon on a loop of its own, with `settings` until it reloads; raises KmodmonError when it cannot start."""
    logging.getLogger("kmodmon").setLevel(_level(settings))
    release_unslotted_classes()
    keep_to_this_process()

    async def main() -> None:
        daemon = Daemon(options, settings, clock, notifier)
        task = asyncio.create_task(_exit_at_last(daemon))
        await daemon.run()
        task.cancel()
        _exit_after(EXIT)  # the loop and the interpreter wait for threads

    sys.setswitchinterval(_SWITCH)
    asyncio.run(main())


async def _exit_at_last(daemon: Daemon) -> None:
    await daemon.stopping()
    _exit_after(STOP_MOST)


def _exit_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, args=(0,))
    timer.daemon = True
    timer.start()


__all__ = ["ConfigError", "Daemon", "Options", "run_daemon"]
