"""uvicorn's HTTP/1.1 protocol (h11) with what it lacks for a daemon that must stay up: a deadline for every phase.

uvicorn times only the pause between two requests. A client that sends its head byte by byte, or that asks and does
not read, holds a connection for ever; here each phase has an end and its connection is then dropped, not closed
politely: a polite close waits for the client. Phases follow each other like this::

    handshake -> head -> answer -> idle -> head -> ...

What is relied upon of uvicorn (0.30 to 0.54), because it is not promised: the hooks ``handle_events``,
``on_response_complete``, ``send_400_response`` and ``timeout_keep_alive_handler``; the attributes ``app``, ``conn``,
``cycle`` (``response_complete``, ``keep_alive``), ``flow.write_paused``, ``logger`` and ``timeout_keep_alive``. A
test names them, so that an upgrade that drops one fails there.
"""

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from kmodmon.web.stats import HttpFaults, HttpLimits
from kmodmon.web.tls import san_allowed

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

# uvicorn logs a line for each bad request: a client must not be able to fill the log, so they are counted instead
_SILENT = logging.getLogger("kmodmon.web.uvicorn")
_SILENT.setLevel(logging.CRITICAL + 1)

_RESET = struct.pack("ii", 1, 0)
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
    b"Connection: close\r\nContent-Length: 13\r\n\r\nnot HTTP/1.1\n"
)


class Phase(Enum):
    """What a connection is doing; the order of a request's life."""

    HANDSHAKE = "handshake"
    HEAD = "head"
    ANSWER = "answer"
    IDLE = "idle"


class BoundedProtocol(H11Protocol):
    """One connection, from the moment it was accepted."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        *,
        limits: HttpLimits,
        tally: HttpFaults,
        peer: str,
        gone: Callable[["BoundedProtocol"], None],
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state={})
        self._serve = self.app
        self.app = self._run
        self.logger = _SILENT
        self.access_log = False
        self.timeout_keep_alive = limits.idle_seconds  # type: ignore[assignment]  # it goes to call_later() as it is
        self.peer = peer
        self.allowed_sans: tuple[str, ...] = ()
        self.phase = Phase.HANDSHAKE
        self.since = self.loop.time()
        self._limits = limits
        self._tally = tally
        self._gone = gone
        self.handed_over = False
        self.made = False
        self._dropped = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._answering: object = None

    @property
    def stalled(self) -> bool:
        """Whether nothing but the client holds this connection up."""
        return self.phase is not Phase.ANSWER or self.flow.write_paused

    def drop(self) -> None:
        """End the connection now, whatever it is doing; what is not sent yet is lost."""
        if not self._dropped:
            self._dropped = True
            self._gone(self)
            if self.made:
                self._discard_unread()
                self.transport.abort()

    def _discard_unread(self) -> None:
        """Have the kernel forget, too, what a client does not read; an idle client gets an orderly end instead."""
        sock = self.transport.get_extra_info("socket")
        if self.phase is Phase.ANSWER and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def finish(self) -> None:
        """End the connection as soon as the request in flight, if there is one, is answered."""
        if self.phase is Phase.ANSWER:
            self.cycle.keep_alive = False
        else:
            self.drop()

    # the transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base does
        self.made = True
        super().connection_made(transport)
        # "paused" then means: the client has not taken everything (high=0 would keep asyncio's TLS paused for ever)
        transport.set_write_buffer_limits(high=1, low=0)
        if self._dropped:  # it had to make room while its handshake was ending
            transport.abort()
        elif not san_allowed(transport.get_extra_info("peercert") or {}, self.allowed_sans):
            self._tally.handshake_failures += 1
            self.drop()
        else:
            self._enter(Phase.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._cancel_timer()
        if self._task is not None:
            self._task.cancel()
        if not self._dropped:
            self._dropped = True
            self._gone(self)

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001 - the boundary: asyncio would log it each time a client causes it
            self._tally.fault("reading a request", error)
            self.drop()
        if self.phase is Phase.IDLE and not self._dropped:
            self._enter(Phase.HEAD)  # it has begun one and not ended it

    def eof_received(self) -> bool | None:  # type: ignore[override]  # the base never stays half open
        """A client that said all it had to say still gets its answer; TLS connections cannot be half open."""
        if self.phase is not Phase.ANSWER or isinstance(self.transport.get_extra_info("sslcontext"), ssl.SSLContext):
            return False
        self.cycle.keep_alive = False
        return True

    def resume_writing(self) -> None:
        super().resume_writing()
        self._settle()

    # uvicorn's calls

    def handle_events(self) -> None:
        super().handle_events()
        self._settle()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._settle()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, without repeating it; into an answer that has begun nothing can be said."""
        self._tally.bad_requests += 1
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_BAD_REQUEST)
            self.transport.close()
        else:
            self.drop()

    def timeout_keep_alive_handler(self) -> None:
        self._expire()

    async def _run(self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        async def send_if_open(event: "ASGISendEvent") -> None:
            if not self.transport.is_closing():  # asyncio logs writes to a closed transport
                await send(event)

        self._task = asyncio.current_task()
        try:
            await self._serve(scope, receive, send_if_open)
        finally:
            self._task = None

    # phases

    def _settle(self) -> None:
        """Find out which phase the connection is in; enter it if that is news."""
        if self.transport.is_closing():
            return  # the deadline of the last phase holds until the client has taken what it was sent
        if self.cycle is not None and not self.cycle.response_complete:
            if self._answering is not self.cycle:
                self._answering = self.cycle
                self._enter(Phase.ANSWER)
        elif self.phase is Phase.ANSWER and not self.flow.write_paused:
            self._enter(Phase.HEAD if self.conn.trailing_data[0] else Phase.IDLE)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.since = self.loop.time()
        self._cancel_timer()
        match phase:
            case Phase.HEAD:
                self._timer = self.loop.call_later(self._limits.head_seconds, self._expire)
            case Phase.ANSWER:
                self._timer = self.loop.call_later(self._limits.answer_seconds, self._expire)
            case Phase.IDLE | Phase.HANDSHAKE:
                pass  # uvicorn's own timer, asyncio's own timer

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._tally.timeouts += 1
        self.drop()
