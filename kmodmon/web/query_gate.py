"""Queries of the history, one at a time: each costs a thread, a connection to SQLite, and time of the interpreter.

A query whose client has left goes on until its end or its deadline, and keeps its place until then. So clients that
come and go cannot make more queries run than clients that wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kmodmon.web.message import Busy

T = TypeVar("T")

RUNNING = 1
"""Each more makes every system call of the loop wait longer for the interpreter."""
WAITING = 48
WAIT_SECONDS = 1.0


class QueryGate:
    """Lets RUNNING queries run; WAITING others wait for at most WAIT_SECONDS. One for the daemon, used on its loop.

    Who waits cannot ask again meanwhile: refusing clients at once that come back at once costs more than their waiting.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(RUNNING)
        self._waiting = 0
        self._running: set[object] = set()  # keeps the tasks from being collected

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`; raises Busy if its turn does not come soon."""
        await self._wait()
        task = asyncio.get_running_loop().create_task(self._finish(work))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: "asyncio.Task[T]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio would log one whose client has left

    async def _finish(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        finally:
            self._free.release()

    async def _wait(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        if self._waiting >= WAITING:
            raise Busy("too many queries of the history wait")
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise Busy("other queries of the history take long") from None
        finally:
            self._waiting -= 1
