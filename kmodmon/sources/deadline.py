"""Reading files that may never answer: in a thread of its own, with a deadline a file.

A parameter's getter runs code of its module with the module's parameter lock held; a slow or crashed one blocks every
other parameter read of that module, of all built-ins even (`param_lock`, kernel/params.c), without timeout and often
unkillably. No system call can be taken back, so a reader that is stuck is left behind with its thread, what shares its
lock is left out for as long as it hangs, and a new thread goes on with the rest. At most MAX_STUCK threads are ever
left behind; after that nothing more is read this way, and that is said.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from kmodmon.types.outcome import Failed, Outcome

MAX_STUCK = 8
_GRAIN = 0.05

Task: TypeAlias = tuple[bytes, bytes]  # the group that shares a lock, and the path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What came of a round; a path in none of them was left out because its group hangs or there is no thread left."""

    outcomes: Mapping[bytes, Outcome[bytes]]
    hung: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Errand:
    """The files one thread is sent for; the thread that gets stuck keeps its errand, the next gets the rest."""

    tasks: Sequence[Task]
    outcomes: dict[bytes, Outcome[bytes]] = field(default_factory=dict)
    position: int = 0
    since: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False


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
        """Read every path whose group does not hang; each that hangs takes the deadline longer."""
        outcomes: dict[bytes, Outcome[bytes]] = {}
        hung: list[bytes] = []
        rest = self._without_stuck(tasks)
        while rest and len(self.stuck) < MAX_STUCK:
            errand = _Errand(tasks=rest)
            thread = threading.Thread(target=self._run, args=(errand,), daemon=True, name="parameter reads")
            thread.start()
            finished = self._wait(errand)
            errand.abandoned = not finished
            outcomes.update(errand.outcomes.copy())
            if finished:
                break
            group, path = rest[errand.position]
            self._stuck.append((thread, group))
            hung.append(path)
            outcomes[path] = Failed(f"no answer within {self._timeout:g} s")
            rest = self._without_stuck(rest[errand.position + 1 :])
        return Answers(outcomes=outcomes, hung=tuple(hung))

    def _without_stuck(self, tasks: Sequence[Task]) -> Sequence[Task]:
        stuck = set(self.stuck)
        return [task for task in tasks if task[0] not in stuck] if stuck else tasks

    def _wait(self, errand: _Errand) -> bool:
        while not errand.done.wait(min(_GRAIN, self._timeout)):
            if time.monotonic() - errand.since > self._timeout:
                return False
        return True

    def _run(self, errand: _Errand) -> None:
        for position, (_, path) in enumerate(errand.tasks):
            errand.position = position
            errand.since = time.monotonic()
            outcome = self._read(path)
            if errand.abandoned:
                return  # it answered after all, but others have gone on
            errand.outcomes[path] = outcome
        errand.done.set()
