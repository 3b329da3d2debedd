"""Reading files that may never answer: in a thread of its own, with a deadline a file.

A parameter's getter runs code of its module, with a lock held; a slow or crashed one blocks every other parameter read
of that module, of all built-ins even (`param_lock`, kernel/params.c), without timeout and often unkillably. No system
call can be taken back, so a reader that is stuck is left behind with its thread and a new one goes on with the next
file. At most MAX_STUCK threads are ever left behind; after that nothing more is read this way, and that is said.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kmodmon.model.outcome import Failed, Outcome

MAX_STUCK = 8
_GRAIN = 0.05


@dataclass(slots=True)
class _Errand:
    """The files one thread is sent for; the thread that gets stuck keeps its errand, the next gets the rest."""

    paths: list[bytes]
    results: dict[bytes, Outcome[bytes]] = field(default_factory=dict)
    position: int = 0
    since: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False


class DeadlineReader:
    """Reads files, each within a deadline."""

    def __init__(self, read: Callable[[bytes], Outcome[bytes]], timeout: float) -> None:
        self._read = read
        self._timeout = timeout
        self._stuck: list[threading.Thread] = []

    @property
    def stuck(self) -> int:
        """Threads that still wait for a file."""
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        return len(self._stuck)

    def read_all(self, paths: list[bytes]) -> tuple[dict[bytes, Outcome[bytes]], tuple[bytes, ...]]:
        """Give an outcome for every path, and the paths that hung; each of those takes the deadline longer."""
        results: dict[bytes, Outcome[bytes]] = {}
        hung: list[bytes] = []
        rest = paths
        while rest:
            if self.stuck >= MAX_STUCK:
                why = Failed(f"not read: {MAX_STUCK} earlier reads still hang")
                results.update(dict.fromkeys(rest, why))
                break
            errand = _Errand(paths=rest)
            thread = threading.Thread(target=self._run, args=(errand,), daemon=True, name="parameter reads")
            thread.start()
            finished = self._wait(errand)
            results.update(errand.results.copy())
            if finished:
                break
            errand.abandoned = True
            self._stuck.append(thread)
            path = rest[errand.position]
            hung.append(path)
            results[path] = Failed(f"no answer within {self._timeout:g} s")
            rest = rest[errand.position + 1 :]
        return results, tuple(hung)

    def _wait(self, errand: _Errand) -> bool:
        while not errand.done.wait(min(_GRAIN, self._timeout)):
            if time.monotonic() - errand.since > self._timeout:
                return False
        return True

    def _run(self, errand: _Errand) -> None:
        for position, path in enumerate(errand.paths):
            errand.position = position
            errand.since = time.monotonic()
            outcome = self._read(path)
            if errand.abandoned:
                return  # it answered after all, but others have gone on
            errand.results[path] = outcome
        errand.done.set()
