"""File changes, through watchdog: its thread sees them, the loop is told once things are quiet.

The directory is watched, not the file: editors and configuration tools replace files. An event filter is always given,
for without one watchdog reports every open and read as well, our own among them.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

log = logging.getLogger(__name__)

SETTLE = 0.5
CHANGES: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    FileClosedEvent,
    DirDeletedEvent,
]
RETRY = 30.0
_TREE_CHANGES: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    FileClosedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
_KUBERNETES = "..data"  # a ConfigMap changes by a link of this name
_LONGEST_BURST = 60.0  # seconds; what goes on for longer is told in parts
_GRAIN = 0.2  # seconds: how late a short burst may be told because of a long one
_MOST_NAMES = 10_000  # of files created in one burst, to tell a creation from a later write


class _Handler(FileSystemEventHandler):
    """Hands the paths of a change to a callback, on watchdog's thread."""

    def __init__(self, changed: Callable[[tuple[str, ...]], None]) -> None:
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._changed(_paths(event))


async def watch_file(file: Path, changed: Callable[[], None]) -> None:
    """Call `changed` on the loop, half a second after `file` was last touched, until cancelled.

    A directory that does not exist, or may not be watched, is tried again every 30 s; the latter is said once.
    """
    said = False
    while True:
        try:
            await _watch_file(file, changed)
        except OSError as error:  # too many watches or instances; the file can still be read again on request
            if not said:
                log.warning("changes of %s are not seen: %s; raise fs.inotify.max_user_watches and "
                            "max_user_instances, or send SIGHUP after each change", file, error)  # fmt: skip
            said = True
        await asyncio.sleep(RETRY)


async def _watch_file(file: Path, changed: Callable[[], None]) -> None:
    while not os.path.isdir(file.parent):  # noqa: ASYNC110, ASYNC240  # nothing tells that a directory will appear
        await asyncio.sleep(RETRY)
    loop = asyncio.get_running_loop()
    touched = asyncio.Event()
    names = {str(file), os.path.abspath(file)}  # noqa: ASYNC240  # once, and no file is opened

    def on_thread(paths: tuple[str, ...]) -> None:
        if names & set(paths) or any(path.endswith("/" + _KUBERNETES) for path in paths):
            loop.call_soon_threadsafe(touched.set)

    observer = Observer()
    observer.schedule(_Handler(on_thread), str(file.parent), event_filter=CHANGES)
    observer.start()  # raises OSError when the kernel allows no more
    try:
        while True:
            await touched.wait()
            while touched.is_set():
                touched.clear()
                await asyncio.sleep(SETTLE)
            changed()
    finally:
        observer.stop()
        await loop.run_in_executor(None, observer.join, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A directory to watch. `only`: names in it that count, empty: all. `settle`: seconds of quiet that end a burst."""

    key: str
    path: str
    recursive: bool = False
    only: frozenset[str] = frozenset()
    settle: float = SETTLE

    def concerns(self, paths: Iterable[str]) -> bool:
        """Whether a change of these paths counts."""
        return not self.only or any(os.path.basename(path) in self.only | {_KUBERNETES} for path in paths)


@dataclass(slots=True)
class Burst:
    """Changes in one directory, from the first until it is quiet."""

    watched: Watched
    first: float
    last: float
    created: int = 0
    written: int = 0
    deleted: int = 0
    moved: int = 0
    example: str = ""
    _fresh: set[str] = field(default_factory=set)

    @property
    def due(self) -> float:
        """When it is to be told."""
        return min(self.last + self.watched.settle, self.first + _LONGEST_BURST)

    def add(self, event: FileSystemEvent, paths: Sequence[str], now: float) -> None:
        """Count one change; the end of the write that made a new file is not another one."""
        if isinstance(event, FileClosedEvent) and paths[0] in self._fresh:
            self.last = now
            return
        match event.event_type:
            case "created":
                self.created += 1
                if len(self._fresh) < _MOST_NAMES:
                    self._fresh.add(paths[0])
            case "deleted":
                self.deleted += 1
            case "moved":
                self.moved += 1
            case _:
                self.written += 1
        self.last = now
        self.example = self.example or paths[-1]


class DirectoryWatch:
    """Watches directories and gathers what happens into bursts. Those that do not exist are left out, and looked for.

    `plan` gives the directories, anew at each :meth:`renew`. `lost` counts the times at which the kernel's queue
    overflowed: then counts are too low, and something may have happened anywhere.
    """

    def __init__(self, plan: Callable[[], Iterable[Watched]]) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._bursts: dict[str, Burst] = {}
        self._touched = asyncio.Event()
        self._observer = Observer()
        self._standing: dict[Watched, tuple[tuple[int, int], ObservedWatch]] = {}
        self._overflow = _Overflow(self._overflowed)
        self.lost = 0

    def start(self) -> None:
        """Begin; blocks while it walks the trees. Raises OSError, as when there are too many watches."""
        logging.getLogger("watchdog").addHandler(self._overflow)
        self._observer.start()
        self._update()

    def stop(self) -> None:
        """End; waits for watchdog's thread."""
        logging.getLogger("watchdog").removeHandler(self._overflow)
        self._observer.stop()
        self._observer.join(2.0)

    def renew(self) -> None:
        """Watch what has appeared since, and what is another directory now, which is a burst too. Blocks."""
        now = time.monotonic()
        for one in self._update():
            self._begin(one, now)

    async def bursts(self, patience: float) -> tuple[Burst, ...]:
        """The bursts that have ended; waits for one, but no longer than `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                while True:
                    await self._touched.wait()
                    due, rest = self._due(time.monotonic())
                    if due:
                        return due
                    await asyncio.sleep(min(max(0.01, rest), _GRAIN))
        except TimeoutError:
            return ()

    def _due(self, now: float) -> tuple[tuple[Burst, ...], float]:
        with self._lock:
            due = tuple(burst for burst in self._bursts.values() if burst.due <= now)
            for burst in due:
                del self._bursts[burst.watched.key]
            if not self._bursts:
                self._touched.clear()
            return due, min((burst.due - now for burst in self._bursts.values()), default=0.0)

    def _update(self) -> list[Watched]:
        """Bring the watches in line with the plan and with what is there; what changed."""
        wanted = {one: identity for one in self._plan() if (identity := _identity(one.path)) is not None}
        gone = [one for one, (identity, _) in self._standing.items() if wanted.get(one) != identity]
        for one in gone:
            with contextlib.suppress(KeyError):  # one watch serves all that want the same directory
                self._observer.unschedule(self._standing.pop(one)[1])
        fresh = [one for one in wanted if one not in self._standing]
        for one in fresh:
            handler = _Gatherer(one, self._seen)
            watch = self._observer.schedule(handler, one.path, recursive=one.recursive, event_filter=_TREE_CHANGES)
            self._standing[one] = wanted[one], watch
        return list(dict.fromkeys((*gone, *fresh)))

    def _seen(self, watched: Watched, event: FileSystemEvent) -> None:
        paths = _paths(event)
        if watched.concerns(paths):
            now = time.monotonic()
            self._begin(watched, now, lambda burst: burst.add(event, paths, now))

    def _begin(self, watched: Watched, now: float, change: Callable[[Burst], None] = lambda burst: None) -> None:
        # mostly on watchdog's thread; the loop is only told of the first change of a burst
        with self._lock:
            idle = not self._bursts
            burst = self._bursts.setdefault(watched.key, Burst(watched, now, now, example=""))
            change(burst)
        if idle:
            self._loop.call_soon_threadsafe(self._touched.set)

    def _overflowed(self) -> None:
        self.lost += 1
        now = time.monotonic()
        for one in tuple(self._standing):
            self._begin(one, now)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Gatherer(FileSystemEventHandler):
    """Hands a change to a callback together with the directory that it is watched for."""

    def __init__(self, watched: Watched, seen: Callable[[Watched, FileSystemEvent], None]) -> None:
        self._watched, self._seen = watched, seen

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._seen(self._watched, event)


class _Overflow(logging.Handler):
    """watchdog tells of an overflow of the kernel's queue in its log and nowhere else."""

    def __init__(self, happened: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._happened = happened

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            self._happened()


def _paths(event: FileSystemEvent) -> tuple[str, ...]:
    paths = (event.src_path, event.dest_path)
    return tuple(path if isinstance(path, str) else path.decode(errors="replace") for path in paths if path)
