"""/proc/PID/cmdline, which is read from the memory of the task: it waits for a lock that the task may hold for long.

Interface: fs/proc/base.c get_mm_cmdline(), under mmap_lock of the task's memory. mmap(2) holds that lock while it waits
for the file system of the file (fs/fuse/file.c fuse_file_mmap() writes dirty pages back first), and any user can have
a FUSE file system that does not answer. So what belongs to a user is read in a thread that is left behind when it does
not return. Root's command lines may be read at once: a thread in between costs time, in which the task may exit.
"""

import time

from kmodmon.kernel.task_status import TaskStatus
from kmodmon.sources.timed_call import ReadingThread, TimedCall
from kmodmon.system.root import Root
from kmodmon.types.outcome import Outcome, Read

CMDLINE_MAX = 4096  # bytes that are read: a user without privilege may choose them, and redacting takes time
PATIENCE = 0.25  # seconds; a read takes microseconds
PAUSE = 60.0  # seconds in which no command line of a user is read after one that did not return
MOST = 8  # threads left behind, and users that have such a pause; beyond them only root's are read


class CommandLines:
    """Reads command lines, in one thread at a time."""

    def __init__(self, root: Root, *, at_once: frozenset[int] = frozenset()) -> None:
        """`at_once`: the users whose command lines are read in the thread of the caller, who waits for them."""
        self._root = root
        self._at_once = at_once
        self._thread = ReadingThread()
        self._hung: list[TimedCall[Outcome[bytes]]] = []
        self._pauses: dict[int, float] = {}  # uid -> CLOCK_MONOTONIC in seconds when it ends

    def read(self, status: TaskStatus) -> bytes:
        """Arguments, with NUL after each, at most CMDLINE_MAX bytes; empty: there are none, or they cannot be read."""
        path = self._root.proc(b"%d" % status.process, b"cmdline")
        if status.uid in self._at_once:
            return _value(self._root.head(path, CMDLINE_MAX))
        now = time.monotonic()
        self._hung = [call for call in self._hung if not call.ended]
        self._pauses = {uid: end for uid, end in self._pauses.items() if end > now}
        if status.uid in self._pauses or max(len(self._hung), len(self._pauses)) >= MOST:
            return b""
        attempt = self._thread.make(TimedCall(lambda: self._root.head(path, CMDLINE_MAX)))
        if attempt.ends_within(PATIENCE):
            return _value(attempt.result())
        self._thread.leave()
        self._hung.append(attempt)
        self._pauses[status.uid] = now + PAUSE
        return b""


def _value(outcome: Outcome[bytes]) -> bytes:
    return outcome.value if isinstance(outcome, Read) else b""
