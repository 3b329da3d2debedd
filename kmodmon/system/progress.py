"""What a thread that reads kernel interfaces does now, so that another thread can tell a slow reading from a hung one.

A reading of a thousand files may take long without any of them being slow. So the deadline of a reading counts from the
last file that it began; whatever opens a file says so here. In a thread whose progress nobody watches that costs one
look-up of a thread-local value.
"""

import threading
import time


class Progress:
    """What one thread reads, and since when."""

    __slots__ = ("path", "since")

    def __init__(self) -> None:
        self.path = b""  # empty: nothing was begun yet
        self.since = time.monotonic()  # CLOCK_MONOTONIC, seconds

    def note(self, path: bytes, lasts: float = 0.0) -> None:
        """Begin to read this path, which may take that many seconds longer than a file."""
        self.path, self.since = path, time.monotonic() + lasts


class _Current(threading.local):
    progress: Progress | None = None  # None: nobody watches this thread


_current = _Current()


def watch_this_thread(progress: Progress | None) -> None:
    """Note the progress of this thread from now on, or (None) no more."""
    _current.progress = progress


def note_progress(path: bytes | str, lasts: float = 0.0) -> None:
    """Note that this thread begins to read `path`, or has read a part of it.

    `lasts`: seconds by which that may take longer than a file, as another library's walk through a tree does.
    """
    progress = _current.progress
    if progress is not None:
        progress.note(path if isinstance(path, bytes) else path.encode("utf-8", "surrogateescape"), lasts)
