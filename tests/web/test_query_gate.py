"""Queries of the history: few at a time, the others wait a moment or are refused, and nobody gets past by leaving."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from kmodmon.events.event import Event, StoredEvent
from kmodmon.events.kinds.daemon import Started
from kmodmon.events.query import EventQuery
from kmodmon.state.state import State
from kmodmon.types.error import KmodmonError
from kmodmon.web import query_gate, site
from kmodmon.web.message import Busy
from kmodmon.web.query_gate import RUNNING, WAITING, QueryGate
from tests.browser.shown import ShownHost
from tests.states import BOOT
from tests.web.serving import Served, wait_until
from tests.web.test_detail import NOW


class Queries:
    """Counts the queries that run, each until `end` is set."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.end = asyncio.Event()

    async def query(self) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.end.wait()
        finally:
            self.running -= 1
        return self.most


def test_queries_when_many_come_at_once_then_few_run_some_wait_and_the_rest_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(query_gate, "WAIT_SECONDS", 60.0)

    async def work() -> None:
        gate, queries = QueryGate(), Queries()
        tasks = [asyncio.create_task(gate.run(queries.query)) for _ in range(100)]
        await asyncio.wait(tasks, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        queries.end.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results.count(RUNNING) == RUNNING + WAITING
        assert sum(isinstance(result, Busy) for result in results) == 100 - RUNNING - WAITING
        assert await gate.run(queries.query) == RUNNING

    asyncio.run(work())


def test_query_when_its_turn_does_not_come_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_gate, "WAIT_SECONDS", 0.01)

    async def work() -> None:
        gate, queries = QueryGate(), Queries()
        running = [asyncio.create_task(gate.run(queries.query)) for _ in range(RUNNING)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await gate.run(queries.query)
        queries.end.set()
        await asyncio.gather(*running)

    asyncio.run(work())


def test_queries_when_their_clients_leave_then_they_keep_their_places_until_they_end() -> None:
    async def work() -> None:
        gate, queries = QueryGate(), Queries()
        for _ in range(20):
            task = asyncio.create_task(gate.run(queries.query))
            await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert queries.running == RUNNING
        queries.end.set()
        assert await gate.run(queries.query) == RUNNING

    asyncio.run(work())


def test_query_when_it_fails_and_its_client_has_left_then_nothing_is_logged_and_the_place_is_free() -> None:
    async def work() -> None:
        said: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
        gate, go = QueryGate(), asyncio.Event()

        async def fails() -> None:
            await go.wait()
            raise KmodmonError("the disk is gone")

        for _ in range(RUNNING):
            task = asyncio.create_task(gate.run(fails))
            await asyncio.sleep(0.001)
            task.cancel()
        go.set()
        with pytest.raises(KmodmonError):
            await gate.run(fails)
        assert said == []

    asyncio.run(work())


def test_api_and_page_when_too_many_ask_for_the_history_then_503_and_when_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(query_gate, "WAITING", 0)
    host, gate = HeldHost(), QueryGate()
    monkeypatch.setattr(site, "QueryGate", lambda: gate)
    with Served(routes=host.routes()) as served:
        stuck = [served.connect() for _ in range(RUNNING)]
        for sock in stuck:
            sock.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_until(lambda: host.asked == RUNNING, "both run")
        for path in ("/api/v1/events", "/api/v1/reports", "/"):
            answer = served.get(path)
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert served.stats.busy == 3
        assert served.get("/metrics").status == 200
        for sock in stuck:
            sock.close()
        host.end.set()
        wait_until(lambda: not gate._running, "both have ended")
        assert served.get("/api/v1/events").status == 200


class HeldHost(ShownHost):
    """A host whose history answers once `end` is set."""

    def __init__(self) -> None:
        super().__init__(State(boot_id=BOOT, started=NOW), [Event(details=Started(), at=NOW)])
        self.end = threading.Event()
        self.asked = 0

    async def events(self, query: EventQuery) -> Sequence[StoredEvent]:
        self.asked += 1
        await asyncio.to_thread(self.end.wait)
        return await super().events(query)
