"""File changes, through watchdog: its thread sees them, the loop is told once things are quiet.

The directory is watched, not the file: editors and configuration tools replace files. An event filter is always given,
for without one watchdog reports every open and read as well, our own among them.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    DirDeletedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

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


class _Handler(FileSystemEventHandler):
    """Hands the paths of a change to a callback, on watchdog's thread."""

    def __init__(self, changed: Callable[[tuple[str, ...]], None]) -> None:
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:
        paths = (event.src_path, event.dest_path)
        self._changed(tuple(path if isinstance(path, str) else path.decode(errors="replace") for path in paths if path))


async def watch_file(file: Path, changed: Callable[[], None]) -> None:
    """Call `changed` on the loop, half a second after `file` was last touched, until cancelled.

    A directory that does not exist is looked for again every 30 s.
    """
    while not os.path.isdir(file.parent):  # noqa: ASYNC110, ASYNC240  # nothing tells that a directory will appear
        await asyncio.sleep(RETRY)
    loop = asyncio.get_running_loop()
    touched = asyncio.Event()
    names = {str(file), os.path.abspath(file)}  # noqa: ASYNC240  # once, and no file is opened

    def on_thread(paths: tuple[str, ...]) -> None:
        if names & set(paths) or any(path.endswith("/..data") for path in paths):  # ..data: a Kubernetes ConfigMap
            loop.call_soon_threadsafe(touched.set)

    observer = Observer()
    observer.schedule(_Handler(on_thread), str(file.parent), event_filter=CHANGES)
    observer.start()
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
