"""Calls that may never return: each in a daemon thread, with a deadline, and left behind when it is over.

A read of procfs or sysfs waits for locks of the kernel, mostly uninterruptibly. A task that died holding one of them
(`module_mutex`: /proc/modules, the loader) blocks every later reader until the next boot. No system call can be
cancelled, so the thread that hangs is left behind. Whoever starts attempts sees to it that there is one at a time for
each source: the number of threads that hang is at most the number of sources. They are daemon threads, because the
interpreter waits for all others when it exits.

The deadline counts from the last file that the call began (`system.progress`).
"""

import errno
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from kmodmon.system.progress import Progress, watch_this_thread
from kmodmon.types.outcome import Failed
from kmodmon.types.text import safe_text

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

DEADLINE = 5.0  # seconds for one file; a busy machine takes tenths
_SECOND_LOOK = 0.2  # seconds; a process that was stopped (SIGSTOP, a paused guest) has missed every deadline


class HungError(OSError):
    """A call has not returned within its deadline; `why` says what it waits for."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.ETIMEDOUT, why)
        self.why = why

    def __str__(self) -> str:
        return self.why


class TimedCall(Generic[T]):
    """One call in another thread."""

    def __init__(self, call: Callable[[], T], deadline: float = DEADLINE) -> None:
        self._call = call
        self._deadline = deadline
        self._progress = Progress()
        self._future: Future[T] = Future()
        self._future.set_running_or_notify_cancel()  # so that cancelling one who waits does not cancel the call

    def start(self, name: str) -> "TimedCall[T]":
        """Run it in a thread of its own; `name` is for debuggers."""
        try:
            threading.Thread(target=self.run, daemon=True, name=name).start()
        except RuntimeError as error:  # the system has no thread left
            self._future.set_exception(OSError(errno.EAGAIN, str(error)))
        return self

    def run(self) -> None:
        """Make the call in this thread."""
        watch_this_thread(self._progress)
        self._progress.note(b"")
        try:
            self._future.set_result(self._call())
        except BaseException as error:  # noqa: BLE001  # whoever asks for the result gets it
            self._future.set_exception(error)
        finally:
            watch_this_thread(None)

    @property
    def ended(self) -> bool:
        """Whether the call has returned or raised."""
        return self._future.done()

    def result(self) -> T:
        """Wait for the result, without a deadline; raises what the call raised."""
        return self._future.result()

    def wait(self) -> None:
        """Wait until the call has ended, without a deadline."""
        self._future.exception()

    def ends_within(self, seconds: float) -> bool:
        """Wait at most this long; tell whether the call has ended."""
        try:
            self._future.exception(timeout=seconds)
        except TimeoutError:
            return False
        return True

    def ends_in_time(self) -> bool:
        """Wait until it ends or its deadline is over; tell which."""
        while not self.ends_within(self._left()):
            if self._left() <= 0 and not self.ends_within(_SECOND_LOOK) and self._left() <= 0:
                return False
        return True

    async def answers_in_time(self) -> bool:
        """The same for a coroutine."""
        import asyncio  # here and below: a command has no loop

        if self.ended:
            return True
        waiter = asyncio.wrap_future(self._future)
        try:
            while not await _done(waiter, max(self._left(), 0.0)):
                if self._left() <= 0 and not await _done(waiter, _SECOND_LOOK) and self._left() <= 0:
                    return False
            return True
        finally:
            if waiter.done():
                waiter.exception()  # taken note of: the result is asked for later
            else:
                waiter.cancel()

    async def answer(self) -> T:
        """Wait for the result in a coroutine, without a deadline; raises what the call raised."""
        import asyncio

        return await asyncio.wrap_future(self._future)

    def _left(self) -> float:
        """Seconds until the deadline."""
        return self._progress.since + self._deadline - time.monotonic()

    def why(self) -> str:
        """What it waits for; a clause that stays the same while it waits."""
        path = self._progress.path
        return f"{safe_text(path) or 'the reading'}: no answer within {self._deadline:g} s"

    def hung(self) -> Failed:
        """What a reading is that has not answered."""
        return Failed(self.why(), errno.ETIMEDOUT, hung=True)


async def _done(waiter: "asyncio.Future[T]", seconds: float) -> bool:
    import asyncio

    await asyncio.wait((waiter,), timeout=seconds)
    return waiter.done()


class ReadingThread:
    """A thread that makes one attempt after another, so that a reading of a millisecond costs no new thread."""

    def __init__(self) -> None:
        self._attempts: SimpleQueue[Callable[[], None] | None] | None = None  # None: no thread runs

    def make(self, attempt: TimedCall[T]) -> TimedCall[T]:
        """Make this attempt; the one before has ended, or the thread was left to it."""
        if self._attempts is None:
            attempts: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
            try:
                threading.Thread(target=_run_all, args=(attempts,), daemon=True, name="readings").start()
            except RuntimeError:  # the system has no thread left
                return attempt.start("reading")
            self._attempts = attempts
        self._attempts.put(attempt.run)
        return attempt

    def leave(self) -> None:
        """Let the thread end after its present attempt; the next one is made in another thread."""
        if self._attempts is not None:
            self._attempts.put(None)
            self._attempts = None


def _run_all(attempts: "SimpleQueue[Callable[[], None] | None]") -> None:
    while (run := attempts.get()) is not None:
        run()


class Calls:
    """Calls of coroutines, by name: one at a time, and while one hangs, others of its name fail without a thread."""

    def __init__(self, deadline: float = DEADLINE) -> None:
        self.deadline = deadline  # seconds
        self._latest: dict[str, TimedCall[object]] = {}

    async def run(self, name: str, call: Callable[[], T]) -> T:
        """Make a call; raises what it raises, and HungError when it, or an earlier one, does not return."""
        earlier = self._latest.get(name)
        if earlier is not None and not await earlier.answers_in_time():  # who waited for it may be gone
            raise HungError(earlier.why())
        attempt = TimedCall(call, self.deadline).start(name)
        self._latest[name] = attempt  # type: ignore[assignment]  # only asked whether it has ended
        if not await attempt.answers_in_time():
            raise HungError(attempt.why())
        del self._latest[name]
        return attempt.result()


def call_in_time(call: Callable[[], T], deadline: float = DEADLINE) -> T:
    """Make a call, for a command; raises what it raises, and HungError when it does not return."""
    attempt = TimedCall(call, deadline).start("reading")
    if not attempt.ends_in_time():
        raise HungError(attempt.why())
    return attempt.result()
