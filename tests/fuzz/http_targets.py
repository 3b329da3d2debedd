"""Targets of kmodmon/web: a connection given bytes without a socket, and the parts of a request."""

import asyncio
import functools
import ipaddress
import socket
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

from kmodmon.events.event import StoredEvent
from kmodmon.events.query import EventQuery
from kmodmon.metrics import METRICS
from kmodmon.metrics.exposition import Exposition
from kmodmon.state.state import State
from kmodmon.subjects.self_stats import SelfCounters, SelfMetric
from kmodmon.web.access import Access
from kmodmon.web.auth import credentials
from kmodmon.web.faults import FaultLog
from kmodmon.web.limits import HttpLimits
from kmodmon.web.listen import parse_address
from kmodmon.web.message import Client, Request, Routes, decode_tail
from kmodmon.web.negotiate import choose_format, gzip_wanted
from kmodmon.web.protocol import ConnectionContext, HttpProtocol
from kmodmon.web.responder import Responder
from kmodmon.web.site import Site, event_query
from kmodmon.web.web_config_reload import WebConfigWatch
from tests.fake_clock import EPOCH, FakeClock
from tests.fuzz.inputs import cut

_ACCESS = Access(hosts=("*.host.test",))
_TURNS = 2000  # of the loop until an answer must be complete


class _Host:
    """A daemon that has read nothing yet, with an empty history."""

    state = State(boot_id="b", started=EPOCH)
    ready = True
    cycling = True

    async def refresh(self) -> None:
        """There is nothing to read."""

    async def events(self, query: EventQuery) -> Sequence[StoredEvent]:
        """There are none."""
        return ()


class _Transport(asyncio.Transport):
    """Delivers the chunks of a client, and keeps what is written; as a socket's transport, nothing after close()."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        super().__init__()
        self.waiting = deque(chunk for chunk in chunks if chunk)
        self.written = bytearray()
        self.closing = False
        self.paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing, "written to after it was closed"
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def connection(data: bytes) -> object:
    """The answers do not depend on how the requests are cut, nothing fails inside, and no task is left behind.

    A body is refused, and so is one that is broken; which of the two comes first depends on when its bytes come.
    """
    whole, chunks = cut(data)
    loop = _loop()
    answers = [loop.run_until_complete(_talk(each)) for each in ([whole], chunks)]
    assert answers[0] == answers[1] or _before_refusal(answers[0]) == _before_refusal(answers[1]), answers
    return len(answers[0])


def _before_refusal(answers: bytes) -> bytes | None:
    """What was answered before the last answer, if that is a refusal."""
    before, refused, last = answers.rpartition(b"HTTP/1.1 4")
    return before if refused and b"HTTP/1.1 " not in last else None


def _has_room(protocol: HttpProtocol, path: str) -> bool:
    return True


async def _talk(chunks: Sequence[bytes]) -> bytes:
    context = _context()
    ended: list[HttpProtocol] = []
    protocol = HttpProtocol(
        context, limits=HttpLimits(), client=Client(address="192.0.2.1"), on_asked=_has_room, on_closed=ended.append
    )
    transport = _Transport(chunks)
    protocol.connection_made(transport)
    for _ in range(_TURNS):
        if transport.closing or not (transport.waiting or context.tasks):
            break
        if transport.waiting and not transport.paused:
            protocol.data_received(transport.waiting.popleft())
        await asyncio.sleep(0)
    else:
        raise AssertionError(f"no answer after {_TURNS} turns of the loop")
    await asyncio.gather(*context.tasks)
    if not transport.closing:
        protocol.eof_received()
    protocol.connection_lost(None)
    assert ended == [protocol]
    failed = context.counters.snapshot().values[SelfMetric.HTTP_HANDLER_ERRORS]
    assert not failed, f"{failed} faults"
    return bytes(transport.written)


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@functools.cache
def _site() -> Site:
    return Site(_Host(), Exposition(METRICS))


def _context() -> ConnectionContext:
    counters, clock = SelfCounters(), FakeClock()
    faults = FaultLog(counters)
    responder = Responder(_site().routes(), WebConfigWatch(None, clock), counters, faults, clock)
    return ConnectionContext(responder=responder, counters=counters, faults=faults, tasks=set(), open=())


def query(data: bytes) -> object:
    """The number of rows that a query can ask for is bounded, whatever the query string is."""
    asked = event_query(Request(method="GET", path="/api/v1/events", query_string=data, headers={}))
    assert asked.limit is not None and 1 <= asked.limit <= 1000
    return asked.module, asked.types


def headers(data: bytes) -> object:
    """Header values, as the connection gives them: Accept, Accept-Encoding, Authorization."""
    text = data.decode("latin-1")
    user_password = credentials(text) or credentials(f"Basic {text}")
    return choose_format(text).value, gzip_wanted(text), None if user_password is None else len(user_password[1])


def path(data: bytes) -> object:
    text = data.decode("latin-1")
    found = Routes(_site().routes()).find(text)
    return decode_tail(text), None if found is None else found[1]


def address(data: bytes) -> object:
    host, port = parse_address(data.decode("utf-8", "surrogateescape"))
    assert 0 <= port <= 65535
    return len(host)


def authority(data: bytes) -> object:
    """A Host header that is accepted names this host for the URL parser of the standard library too."""
    text = data.decode("latin-1")
    if not _ACCESS.names(text):
        return False
    host = (urlsplit("//" + text.strip(" \t")).hostname or "").removesuffix(".")
    own = socket.gethostname().lower()
    named = host in ("localhost", "localhost.localdomain", "ip6-localhost", own, own.partition(".")[0])
    assert named or host.endswith(".host.test") or ipaddress.ip_address(host), text
    return True
