"""Reading files that may never answer: in a thread of its own, with a deadline for each file.

A parameter's getter runs code of its module with the module's parameter lock held. A slow or crashed getter blocks
every other parameter read of that module, or of all built-ins (`param_lock`, kernel/params.c), without timeout and
often unkillably. No system call can be cancelled, so a reader that hangs is left behind with its thread, the group that
shares its lock is skipped for as long as it hangs, and a new thread reads the rest. At most MAX_STUCK threads are left
behind; after that no file is read any more, and the outcomes are missing.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from kmodmon.system.progress import note_progress
from kmodmon.types.outcome import Failed, Outcome

MAX_STUCK = 8
_GRAIN = 0.05  # seconds between checks of the deadline

Task: TypeAlias = tuple[bytes, bytes]  # the group that shares a lock, and the path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The results of one round; a path without outcome was skipped: its group hangs, or no thread is left."""

    outcomes: Mapping[bytes, Outcome[bytes]]  # by path
    hung: tuple[bytes, ...] = ()  # paths that missed the deadline in this round


@dataclass(slots=True)
class _Round:
    """The files that one thread reads; a thread that hangs keeps its round, and the next one gets the rest."""

    tasks: Sequence[Task]
    outcomes: dict[bytes, Outcome[bytes]] = field(default_factory=dict)  # by path
    position: int = 0  # of the task that is being read
    since: float = field(default_factory=time.monotonic)  # start of that read, CLOCK_MONOTONIC in seconds
    done: threading.Event = field(default_factory=threading.Event)  # every task has an outcome
    abandoned: bool = False  # the deadline is over: whatever the thread reads now is dropped


class DeadlineReader:
    """Reads files, each within a deadline of `timeout` seconds."""

    def __init__(self, read: Callable[[bytes], Outcome[bytes]], timeout: float) -> None:
        self._read = read
        self._timeout = timeout
        self._stuck: list[tuple[threading.Thread, bytes]] = []

    @property
    def stuck(self) -> tuple[bytes, ...]:
        """The groups in which a thread still waits for a file."""
        self._stuck = [(thread, group) for thread, group in self._stuck if thread.is_alive()]
        return tuple(group for _, group in self._stuck)

    def read_all(self, tasks: Sequence[Task]) -> Answers:
        """Read every path whose group does not hang. Each path that hangs makes the call one deadline longer."""
        outcomes: dict[bytes, Outcome[bytes]] = {}
        hung: list[bytes] = []
        rest = self._without_stuck(tasks)
        while rest and len(self.stuck) < MAX_STUCK:
            work = _Round(tasks=rest)
            thread = threading.Thread(target=self._run, args=(work,), daemon=True, name="parameter reads")
            thread.start()
            finished = self._wait(work)
            work.abandoned = not finished
            outcomes.update(work.outcomes.copy())
            if finished:
                break
            group, path = rest[work.position]
            self._stuck.append((thread, group))
            hung.append(path)
            outcomes[path] = Failed(f"no answer within {self._timeout:g} s")
            rest = self._without_stuck(rest[work.position + 1 :])
        return Answers(outcomes=outcomes, hung=tuple(hung))

    def _without_stuck(self, tasks: Sequence[Task]) -> Sequence[Task]:
        stuck = set(self.stuck)
        return [task for task in tasks if task[0] not in stuck] if stuck else tasks

    def _wait(self, work: _Round) -> bool:
        while not work.done.wait(min(_GRAIN, self._timeout)):
            note_progress(b"")  # of this thread, which waits for the other and has the deadlines of this class
            if time.monotonic() - work.since > self._timeout:
                return False
        return True

    def _run(self, work: _Round) -> None:
        for position, (_, path) in enumerate(work.tasks):
            work.position = position
            work.since = time.monotonic()
            outcome = self._read(path)
            if work.abandoned:
                return  # it answered after the deadline, and another thread reads the rest
            work.outcomes[path] = outcome
        work.done.set()
