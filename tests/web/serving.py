"""A real server on loopback, on a loop in a thread of its own, and raw clients for it."""

import asyncio
import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType

from kmodmon.subjects.self_stats import SelfCounters, SelfMetric
from kmodmon.system.clock import Clock, SystemClock
from kmodmon.web.access import Access
from kmodmon.web.limits import HttpLimits
from kmodmon.web.message import Request, Response, Route, json_response, text_response
from kmodmon.web.server import LocalListener, WebServer

PATIENCE = 20.0
ACCESS = Access(hosts=("h", "*.example"))
"""The names by which the tests call their server."""
BIG = tuple(bytes([65 + index % 26]) * 50_000 for index in range(60))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll `condition`; fail loudly after a long time."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"still not: {what}"
        time.sleep(0.005)


class Stop(Exception):
    """What the failing handler raises."""


def _fail(request: Request) -> Response:
    raise Stop("as it was told to")


def _forge(request: Request) -> Response:
    return Response(headers=(("x-broken", "line\r\nset-cookie: a=b"),), body=b"x")


async def _slow(request: Request) -> Response:
    await asyncio.sleep(0.2)
    return text_response("slow")


async def _stuck(request: Request) -> Response:
    await asyncio.sleep(3600)
    return text_response("never")


def _mirror(request: Request) -> Response:
    query = {name: list(values) for name, values in request.query().items()}
    return json_response({"method": request.method, "path": request.path, "tail": request.tail, "query": query})


ROUTES = (
    Route(path="/", handler=lambda request: text_response("hello")),
    Route(path="/big", handler=lambda request: Response(body=BIG)),
    Route(path="/fail", handler=_fail),
    Route(path="/api/v1/fail", handler=_fail),
    Route(path="/forge", handler=_forge),
    Route(path="/slow", handler=_slow),
    Route(path="/stuck", handler=_stuck),
    Route(path="/mirror", handler=_mirror),
    Route(path="/api/v1/modules/", handler=_mirror, prefix=True),
)


class _Collector(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


class HttpNumbers:
    """What a server has counted so far: `timeouts` is ``SelfMetric.HTTP_TIMEOUTS``, and so on."""

    def __init__(self, server: WebServer, counters: SelfCounters) -> None:
        self._snapshot = counters.snapshot()
        self.connections = server.accepted
        self.open_connections = server.open_connections
        self.config_ok = server.config_ok

    def __getattr__(self, name: str) -> float:
        return self._snapshot[SelfMetric[f"HTTP_{name.upper()}"]]

    def __repr__(self) -> str:
        counts = {metric.name: value for metric, value in self._snapshot.values.items() if value}
        return f"{self.connections} connections, {self.open_connections} open, {counts}"


class Served:
    """A server while it runs; on leaving, nothing may have gone wrong behind its back."""

    def __init__(
        self,
        *,
        routes: Sequence[Route] = ROUTES,
        listen: Sequence[str | LocalListener] = ("127.0.0.1:0",),
        access: Access = ACCESS,
        limits: HttpLimits | None = None,
        web_config: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._ready: Future[None] = Future()
        self._server: WebServer | None = None
        self._counters = SelfCounters()
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self.unhandled: list[str] = []
        self.logged: list[logging.LogRecord] = []
        self.port = 0
        clock = clock or SystemClock()

        def make() -> WebServer:
            server = WebServer(
                routes=routes,
                listen=listen,
                limits=limits,
                web_config=web_config,
                clock=clock,
                counters=self._counters,
            )
            server.set_access(access)
            return server

        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(make)), name="served")

    async def _run(self, make: Callable[[], WebServer]) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda loop, context: self.unhandled.append(repr(context)))
        self._stop = asyncio.Event()
        try:
            self._server = make()
            await self._server.start()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the test's thread
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        await self._stop.wait()
        await self._server.stop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        self.unhandled += [f"left over: {task!r}" for task in others]

    @property
    def server(self) -> WebServer:
        assert self._server is not None
        return self._server

    @property
    def stats(self) -> HttpNumbers:
        return HttpNumbers(self.server, self._counters)

    def __enter__(self) -> "Served":
        self._handler = _Collector(self.logged)
        logging.getLogger().addHandler(self._handler)
        self._thread.start()
        self._ready.result(PATIENCE)
        self.port = int(self.server.addresses[0].rpartition(":")[2])
        return self

    def stop(self) -> None:
        """Stop the server and wait for it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        logging.getLogger().removeHandler(self._handler)
        if error is None:
            assert self.unhandled == [], self.unhandled
            assert self.stats.open_connections == 0, self.stats

    # clients

    def connect(self, receive_buffer: int = 0) -> socket.socket:
        """A raw TCP connection; a small receive buffer makes a reader that soon holds the server up."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        return sock

    def send(self, raw: bytes) -> bytes:
        """Send `raw` on a connection of its own and read until the server ends it."""
        with self.connect() as sock:
            sock.sendall(raw)
            return read_all(sock)

    def get(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None, tls: ssl.SSLContext | None = None
    ) -> "Answer":
        """One request through http.client, an independent reader."""
        if tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=tls)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


class Answer:
    """What http.client made of an answer."""

    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def read_all(sock: socket.socket) -> bytes:
    """Read until the other end closes or resets."""
    out = bytearray()
    try:
        while data := sock.recv(65536):
            out += data
    except ConnectionError:
        pass
    return bytes(out)


def receives(sock: socket.socket, wanted: bytes) -> bool:
    """Read until `wanted` has come; False: the other end closed before."""
    out = bytearray()
    while wanted not in out:
        data = sock.recv(65536)
        if not data:
            return False
        out += data
    return True


def dropped(sock: socket.socket) -> bool:
    """Whether the server has ended this connection, without waiting."""
    sock.setblocking(False)
    try:
        while sock.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True
