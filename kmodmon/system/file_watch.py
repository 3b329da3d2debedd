"""File changes, through watchdog's inotify observer: its threads see them, the loop is told once things are quiet.

Directories are watched, not files: editors and configuration tools replace a file, and the files of a Kubernetes
ConfigMap change when a symbolic link beside them is renamed. An event filter is always given, for without one watchdog
reports every open and read as well, those of kmodmon among them. It is the same for all: two watches of one directory
may share one inotify watch, and its mask is that of the later one.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import ObservedWatch

from kmodmon.system.file_stamp import FileStamps
from kmodmon.system.inotify_observer import Observer
from kmodmon.system.progress import note_progress

log = logging.getLogger(__name__)

Identity: TypeAlias = tuple[int, int]  # st_dev, st_ino

SETTLE = 0.5  # seconds of quiet after which a change is reported
RETRY = 30.0  # seconds
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    FileClosedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
_KUBERNETES = "..data"  # the symbolic link that is renamed when a ConfigMap or Secret changes
_MAX_BURST = 60.0  # seconds; what goes on for longer is reported in parts
_MAX_DELAY = 0.2  # seconds by which a short burst may be late because a long one is waited for
_WALK = 60.0  # seconds, more than a busy machine needs for all directories of a module tree
_MAX_NAMES = 10_000  # of files created in one burst, to tell a creation from a later write


InThread: TypeAlias = Callable[[Callable[[], None]], Coroutine[None, None, None]]  # runs a call that may hang


async def watch_file(file: Path, changed: Callable[[], None], in_thread: InThread = asyncio.to_thread) -> None:
    """Call `changed` on the loop, half a second after `file` was last touched, until cancelled.

    What inotify does not see (another directory of that name, a file system that is changed from elsewhere) is noticed
    within 30 s. When the kernel allows no watch, that is logged once and tried again every 30 s.
    """
    warned = False
    while True:
        try:
            await _watch_file(file, changed, in_thread)
        except OSError as error:  # too many watches or instances, or it hangs; the file can still be read on request
            if not warned:
                log.warning("changes of %s are not seen: %s; raise fs.inotify.max_user_watches and "
                            "max_user_instances, or send SIGHUP after each change", file, error)  # fmt: skip
            warned = True
        await asyncio.sleep(RETRY)


async def _watch_file(file: Path, changed: Callable[[], None], in_thread: InThread) -> None:
    directory = Watched(key="file", path=str(file.parent), only=frozenset({file.name}), settle=SETTLE)
    watch = DirectoryWatch(lambda: [directory], in_thread)
    stamps = FileStamps(file)
    wait = SETTLE  # the first time: what changed while the watch was set up is no burst
    async with watch.running():
        while True:
            bursts = await watch.bursts(wait)
            wait = RETRY
            await in_thread(watch.renew)
            if bursts or (not watch.pending and stamps.changed()):
                stamps = FileStamps(file)
                changed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A directory to watch. `key` names it in bursts. `only`: names in it that count, empty: all.

    `settle`: seconds of quiet that end a burst.
    """

    key: str
    path: str
    recursive: bool = False
    only: frozenset[str] = frozenset()
    settle: float = SETTLE

    def concerns(self, paths: Iterable[str]) -> bool:
        """Tell whether a change of these paths counts."""
        return not self.only or any(os.path.basename(path) in self.only | {_KUBERNETES} for path in paths)


@dataclass(slots=True)
class Burst:
    """Changes in one directory, from the first until it is quiet; all counts 0: what changed is not known."""

    watched: Watched
    first: float  # CLOCK_MONOTONIC, seconds
    last: float
    created: int = 0
    written: int = 0
    deleted: int = 0
    moved: int = 0
    example: str = ""  # path of the first change
    _new: set[str] = field(default_factory=set)  # created in this burst, at most _MAX_NAMES

    @property
    def due(self) -> float:
        """Give when it is to be reported, in CLOCK_MONOTONIC."""
        return min(self.last + self.watched.settle, self.first + _MAX_BURST)

    def add(self, event: FileSystemEvent, paths: Sequence[str], now: float) -> None:
        """Count one change; the end of the write that created a file is not another one."""
        if isinstance(event, FileClosedEvent) and paths[0] in self._new:
            self.last = now
            return
        match event.event_type:
            case "created":
                self.created += 1
                if len(self._new) < _MAX_NAMES:
                    self._new.add(paths[0])
            case "deleted":
                self.deleted += 1
            case "moved":
                self.moved += 1
            case _:
                self.written += 1
        self.last = now
        self.example = self.example or paths[-1]


class DirectoryWatch:
    """Watches directories and gathers what happens in each into bursts.

    `plan` gives the directories, again at each :meth:`renew`; one that does not exist is watched when it appears.
    `lost` counts the times at which the kernel's queue overflowed: then the counts of bursts are too low, and every
    directory gets a burst, because something may have happened in any.
    """

    def __init__(self, plan: Callable[[], Iterable[Watched]], in_thread: InThread = asyncio.to_thread) -> None:
        """Watch nothing yet. `in_thread` runs :meth:`start`."""
        self._plan = plan
        self._in_thread = in_thread
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._bursts: dict[str, Burst] = {}
        self._touched = asyncio.Event()
        self._watches: Mapping[Watched, tuple[Identity, ObservedWatch]] = {}
        self._observer: Observer | None = None  # None: not started
        self._abandoned = False  # nobody waits for the start any more
        self.lost = 0

    @property
    def pending(self) -> bool:
        """Tell whether a burst has begun that has not ended."""
        return bool(self._bursts)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start and stop it around a block, in other threads; raises OSError as :meth:`start` does."""
        starting = asyncio.ensure_future(self._in_thread(self.start))
        try:
            await asyncio.shield(starting)
            yield
        finally:
            self._abandoned = True
            await asyncio.wait([starting])  # a thread cannot be cancelled, and what is half started cannot be stopped
            await asyncio.shield(asyncio.to_thread(self.stop))

    def start(self) -> None:
        """Begin; blocks while it walks the trees. Raises OSError, as when there are too many watches or instances."""
        observer = Observer()
        observer.on_overflow = self._on_overflow
        try:
            self._update(observer)
        except OSError:
            _end(observer)
            raise
        if self._abandoned:
            _end(observer)
            return
        self._observer = observer
        observer.start()

    def stop(self) -> None:
        """End; waits for watchdog's threads."""
        if self._observer is not None:
            _end(self._observer)

    def renew(self) -> None:
        """Watch what has appeared since, and what is another directory now, which is a burst too. Blocks."""
        assert self._observer is not None  # it was started
        now = time.monotonic()
        for watched in self._update(self._observer):
            self._begin(watched, now)

    async def bursts(self, wait: float) -> tuple[Burst, ...]:
        """Give the bursts that have ended; waits for one, but no longer than `wait` seconds."""
        try:
            async with asyncio.timeout(wait):
                while True:
                    await self._touched.wait()
                    due, rest = self._due(time.monotonic())
                    if due:
                        return due
                    await asyncio.sleep(min(max(0.01, rest), _MAX_DELAY))
        except TimeoutError:
            return ()

    def _due(self, now: float) -> tuple[tuple[Burst, ...], float]:
        """Take out the bursts that have ended; also give the seconds until the next one ends."""
        with self._lock:
            due = tuple(burst for burst in self._bursts.values() if burst.due <= now)
            for burst in due:
                del self._bursts[burst.watched.key]
            if not self._bursts:
                self._touched.clear()
            return due, min((burst.due - now for burst in self._bursts.values()), default=0.0)

    def _update(self, observer: Observer) -> list[Watched]:
        """Bring the watches in line with the plan and with what exists; give the directories that are others now."""
        wanted = {watched: identity for watched in self._plan() if (identity := _identity(watched.path)) is not None}
        watches = {watched: entry for watched, entry in self._watches.items() if wanted.get(watched) == entry[0]}
        removed = [watched for watched in self._watches if watched not in watches]
        for watched in removed:
            with contextlib.suppress(KeyError):  # one watch serves all that want the same directory
                observer.unschedule(self._watches[watched][1])
        added = [watched for watched in wanted if watched not in watches]
        for watched in added:
            watches[watched] = wanted[watched], self._schedule(observer, watched)
        self._watches = watches
        return list(dict.fromkeys((*removed, *added)))

    def _schedule(self, observer: Observer, watched: Watched) -> ObservedWatch:
        note_progress(watched.path, lasts=_WALK if watched.recursive else 0.0)
        handler = _Handler(watched, self._on_event)
        return observer.schedule(handler, watched.path, recursive=watched.recursive, event_filter=_EVENTS)

    def _on_event(self, watched: Watched, event: FileSystemEvent) -> None:
        paths = _paths(event)
        if watched.concerns(paths):
            now = time.monotonic()
            self._begin(watched, now, lambda burst: burst.add(event, paths, now))

    def _on_overflow(self) -> None:
        self.lost += 1
        now = time.monotonic()
        for watched in self._watches:
            self._begin(watched, now)

    def _begin(self, watched: Watched, now: float, change: Callable[[Burst], None] = lambda burst: None) -> None:
        # mostly on watchdog's thread; the loop is woken by the first change of a burst only
        with self._lock:
            idle = not self._bursts
            burst = self._bursts.setdefault(watched.key, Burst(watched, now, now, example=""))
            change(burst)
        if idle:
            self._loop.call_soon_threadsafe(self._touched.set)


def _end(observer: Observer) -> None:
    observer.stop()
    if observer.is_alive():
        observer.join(2.0)


def _identity(path: str) -> Identity | None:
    note_progress(path)
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Handler(FileSystemEventHandler):
    """Hands an event to a callback, together with the directory that it is watched for."""

    def __init__(self, watched: Watched, on_event: Callable[[Watched, FileSystemEvent], None]) -> None:
        self._watched, self._on_event = watched, on_event

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._on_event(self._watched, event)


def _paths(event: FileSystemEvent) -> tuple[str, ...]:
    paths = (event.src_path, event.dest_path)
    return tuple(path if isinstance(path, str) else path.decode(errors="replace") for path in paths if path)
