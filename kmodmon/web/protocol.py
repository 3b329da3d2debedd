"""One HTTP/1.1 connection: h11 parses and frames, this class moves the bytes and gives every phase a deadline.

A client that sends its head byte by byte, or that asks and does not read the answer, would hold a connection for ever.
So each phase ends at a deadline, and the connection is then aborted, not closed: closing waits until the client has
taken what is buffered. Phases follow each other like this::

    handshake -> head -> answer -> idle -> head -> ...

A connection has one answer under way at a time. Requests that a client sends ahead of it (pipelining, RFC 9112, 9.3.2)
stay in h11's buffer, and reading from the socket pauses. The answer phase lasts until the kernel has taken the last
byte of the answer.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus

import h11

from kmodmon.subjects.self_stats import SelfCounters, SelfMetric
from kmodmon.web.faults import FaultLog
from kmodmon.web.limits import HttpLimits
from kmodmon.web.message import Client, Request, Response
from kmodmon.web.responder import Responder
from kmodmon.web.tls import san_allowed
from kmodmon.web.wire import head_size, pieces, read_request

BUFFER_BYTES = 2 << 20
"""What all connections together may hold of answers that their clients have not taken."""
MIN_PIECE_BYTES, MAX_PIECE_BYTES = 32768, 262144

_RESET = struct.pack("ii", 1, 0)  # struct linger: on, zero seconds; the close becomes a reset
_VERSIONS = (b"1.1", b"1.0")


def _refusal(status: HTTPStatus, text: bytes) -> bytes:
    return (
        b"HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n%s\n" % (status, status.phrase.encode(), len(text) + 1, text)
    )


_BAD_REQUEST = _refusal(HTTPStatus.BAD_REQUEST, b"not HTTP/1.1")
_TOO_LARGE_STATUS = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_TOO_LARGE = _refusal(_TOO_LARGE_STATUS, b"the head of the request is too large")
_NO_ROOM = _refusal(HTTPStatus.SERVICE_UNAVAILABLE, b"too many connections")
_OTHER_VERSION = _refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, b"only HTTP/1.1 and HTTP/1.0 are spoken")


class Phase(Enum):
    """What a connection is doing, in the order of a request's life."""

    HANDSHAKE = "handshake"
    HEAD = "head"
    ANSWER = "answer"
    IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionContext:
    """What the connections of one server share."""

    responder: Responder
    counters: SelfCounters
    faults: FaultLog
    tasks: set[asyncio.Task[None]]
    """The task of each handshake and of each answer, while it runs."""
    open: Collection["HttpProtocol"]


class HttpProtocol(asyncio.Protocol):
    """One connection, from accept(2) to its end; asyncio calls it once the TLS handshake is over."""

    def __init__(
        self,
        context: ConnectionContext,
        *,
        limits: HttpLimits,
        client: Client,
        on_asked: Callable[["HttpProtocol", str], bool],
        on_closed: Callable[["HttpProtocol"], None],
    ) -> None:
        """`on_asked` is called with the path of the first request, and tells whether there is room for the connection.

        `on_closed` is called once, however the connection ends.
        """
        self.client = client
        self.asked = False
        self._on_asked = on_asked
        self.allowed_sans: tuple[str, ...] = ()
        self.handed_over = False  # asyncio owns the socket now and closes it
        self.connected = False  # the TLS handshake, if there is one, is over
        self.phase = Phase.HANDSHAKE
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()  # when the phase began
        self._context = context
        self._on_closed = on_closed
        self._seconds = {
            Phase.HEAD: limits.head_seconds,
            Phase.ANSWER: limits.answer_seconds,
            Phase.IDLE: limits.idle_seconds,
        }
        self._head_bytes = limits.head_bytes
        self._http = h11.Connection(h11.SERVER, limits.head_bytes)
        self._may_skip_line = True  # no byte of the next request was seen, but perhaps `_line_end`
        self._line_end = b""
        self._transport: asyncio.Transport
        self._writable = asyncio.Event()
        self._writable.set()
        self._keep_alive = True
        self._sending = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def sending(self) -> bool:
        """Whether an answer is made and its client has not taken all of it."""
        return self.phase is Phase.ANSWER and self._sending

    @property
    def stalled(self) -> bool:
        """Whether the connection waits for nothing but its client."""
        return self.phase is not Phase.ANSWER or not self._writable.is_set()

    def drop(self) -> None:
        """End the connection now, whatever it is doing; what is not sent yet is lost."""
        if self._closed:
            return
        self._report_closed()
        if self.connected:
            self._discard_unread()
            self._transport.abort()

    def finish(self) -> None:
        """End the connection: at once, or after the answer that is under way."""
        if self.phase is Phase.ANSWER:
            self._keep_alive = False
        else:
            self.drop()

    def _report_closed(self) -> None:
        if not self._closed:
            self._closed = True
            self._on_closed(self)

    def _discard_unread(self) -> None:
        """Have the kernel discard, too, what a client does not read; an idle client gets an orderly end instead."""
        sock = self._transport.get_extra_info("socket")
        if self.phase is Phase.ANSWER and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    # called by asyncio's transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.connected = True
        # "paused" then means: the client has not taken everything (high=0 would keep asyncio's TLS paused for ever)
        transport.set_write_buffer_limits(high=1, low=0)
        if self._closed:  # evicted while its handshake was ending
            transport.abort()
        elif not san_allowed(transport.get_extra_info("peercert") or {}, self.allowed_sans):
            self._context.counters.add(SelfMetric.HTTP_HANDSHAKE_FAILURES)
            self.drop()
        else:
            self.client = replace(self.client, verified=bool(transport.get_extra_info("peercert")))
            self._enter(Phase.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        if self._task is not None:
            self._task.cancel()
        self._report_closed()

    def data_received(self, data: bytes) -> None:
        if self._http.their_state is h11.MUST_CLOSE:
            return  # after a last request (`Connection: close`, HTTP/1.0) nothing is a request: RFC 9112, 9.6
        try:
            self._receive(data)
            self._process_events()
        except Exception as error:  # noqa: BLE001 - the boundary: asyncio would log it each time a client causes it
            self._context.faults.record("reading a request", error)
            self.drop()

    def eof_received(self) -> bool:
        """Keep the connection for a client that half closed it after its request; TLS cannot be half open."""
        if self.phase is not Phase.ANSWER or self._transport.get_extra_info("sslcontext") is not None:
            return False
        self._keep_alive = False
        return True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # requests and answers

    def _receive(self, data: bytes) -> None:
        """Give h11 what came, without one empty line before a request line (RFC 9112, 2.2), which h11 refuses."""
        if self._may_skip_line and self._http.their_state is h11.IDLE:
            data = self._line_end + data
            self._line_end = b""
            if data == b"\r":  # the second half of the line end may follow
                self._line_end = data
                return
            data = data.removeprefix(b"\r\n")
            if not data:
                self._may_skip_line = False
                return
        self._may_skip_line = False
        self._http.receive_data(data)

    def _process_events(self) -> None:
        """Act on what h11 finds in its buffer. Bodies are not wanted: they are discarded and their request refused."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(_TOO_LARGE if error.error_status_hint == _TOO_LARGE_STATUS else _BAD_REQUEST)
                break
            if isinstance(event, h11.Request):
                request = read_request(event, self.client)
                refusal = self._objection(event) or self._without_room(request)
                if refusal:
                    self._refuse(refusal)
                    break
                self._start_answer(request)
            elif event is h11.PAUSED:
                self._transport.pause_reading()
                break
            elif event is h11.NEED_DATA or self._http.their_state is h11.MUST_CLOSE:
                break
        if self.phase is Phase.IDLE and not self._closed:
            self._enter(Phase.HEAD)  # a head has begun and not ended

    def _objection(self, event: h11.Request) -> bytes:
        """The refusal of a head that h11 takes and this server does not; empty: it takes it too."""
        if event.http_version not in _VERSIONS:
            return _OTHER_VERSION
        return _TOO_LARGE if head_size(event) > self._head_bytes else b""

    def _without_room(self, request: Request) -> bytes:
        """The refusal of a first request for which there is no room; empty: there is."""
        if self.asked or self._on_asked(self, request.path):
            self.asked = True
            return b""
        return _NO_ROOM

    def _refuse(self, refusal: bytes) -> None:
        """Answer what is not HTTP, without repeating it; an answer that has begun leaves no place for that."""
        if refusal is not _NO_ROOM:
            self._context.counters.add(SelfMetric.HTTP_BAD_REQUESTS)
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._transport.write(refusal)
            self._transport.close()
        else:
            self.drop()

    def _start_answer(self, request: Request) -> None:
        self._sending = False
        self._enter(Phase.ANSWER)
        self._task = self._loop.create_task(self._answer(request))
        self._context.tasks.add(self._task)
        self._task.add_done_callback(self._context.tasks.discard)

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._context.responder.answer(request)
            self._sending = True
            await self._send(response, body=request.method != "HEAD")
            self._next_request()
        except Exception as error:  # noqa: BLE001 - a header that is none: our fault, and too late for a 500
            self._context.faults.record("sending an answer", error)
            self._transport.close()

    async def _send(self, response: Response, *, body: bool) -> None:
        headers, reason = self._context.responder.header_fields(response), HTTPStatus(response.status).phrase
        await self._write(h11.Response(status_code=response.status, headers=headers, reason=reason.encode()))
        for piece in pieces(response.blocks, self._piece_bytes()) if body else ():
            await self._write(h11.Data(data=piece))
            await asyncio.sleep(0)  # lets the other connections run, and asyncio notice that this client has left
        await self._write(h11.EndOfMessage())

    async def _write(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        """Write `event` once the client has taken everything before it."""
        await self._writable.wait()
        if not self._transport.is_closing():  # asyncio logs writes to a closed transport
            self._transport.write(self._http.send(event))

    def _piece_bytes(self) -> int:
        """The share of BUFFER_BYTES of one connection, within bounds."""
        return min(max(BUFFER_BYTES // (len(self._context.open) + 1), MIN_PIECE_BYTES), MAX_PIECE_BYTES)

    def _next_request(self) -> None:
        """Go on after an answer. A transport that closes keeps the deadline until the client has taken the rest."""
        if self._transport.is_closing():
            return
        if self._http.our_state is h11.MUST_CLOSE or not self._keep_alive:
            self._transport.close()
            return
        ahead, _ = self._http.trailing_data
        self._http = h11.Connection(h11.SERVER, self._head_bytes)  # h11 would refuse an empty line before `ahead`
        self._may_skip_line = True
        self._transport.resume_reading()
        self._enter(Phase.IDLE)
        if ahead:
            self._receive(ahead)
            self._process_events()

    # deadlines

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.since = self._loop.time()
        self._cancel_timer()
        self._timer = self._loop.call_later(self._seconds[phase], self._expire)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._context.counters.add(SelfMetric.HTTP_TIMEOUTS)
        self.drop()
