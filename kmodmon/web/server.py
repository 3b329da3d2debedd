"""The HTTP server on the daemon's own loop: accepting, bounding and ending connections.

``asyncio``'s own server reports a TLS connection only after its handshake, so silent clients would not be bounded (0.3
MiB each), and it logs when file descriptors run out. So connections are accepted here and counted before their
handshake. Above the limit, one is closed for each new one: of the client address with the most connections, the one
that waits longest for its client. So a flood from one address does not cost a scraper its connection.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kmodmon.subjects.self_stats import SelfCounters, SelfMetric
from kmodmon.system.clock import Clock, SystemClock
from kmodmon.web.faults import FaultLog
from kmodmon.web.limits import HttpLimits
from kmodmon.web.listen import display, open_listeners
from kmodmon.web.message import Route
from kmodmon.web.protocol import ConnectionContext, HttpProtocol
from kmodmon.web.responder import Responder
from kmodmon.web.web_config_reload import WebConfigWatch

log = logging.getLogger(__name__)

ACCEPT_AT_ONCE = 16
ACCEPT_PAUSE_SECONDS = 0.5
SHUTDOWN_SECONDS = 1.0
_NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class WebServer:
    """Serves `routes` on every address of `listen`. Use it on one loop, from one thread."""

    def __init__(
        self,
        *,
        routes: Sequence[Route],
        listen: Sequence[str],
        limits: HttpLimits | None = None,
        web_config: Path | None = None,
        clock: Clock | None = None,
        counters: SelfCounters | None = None,
    ) -> None:
        """Read `web_config`; raises ConfigError. Nothing is opened before :meth:`start`."""
        self._limits = limits or HttpLimits()
        self._listen = tuple(listen)
        clock = clock or SystemClock()
        self._counters = counters or SelfCounters()
        self._watch = WebConfigWatch(web_config, clock, self._end_connected)
        faults = FaultLog(self._counters)
        self._responder = Responder(routes, self._watch, self._counters, faults, clock)
        self._open: dict[HttpProtocol, asyncio.Task[None]] = {}  # with the task of its TLS handshake
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = ConnectionContext(
            responder=self._responder,
            counters=self._counters,
            faults=faults,
            tasks=self._tasks,
            open=self._open.keys(),
        )
        self.accepted = 0
        """Connections since the start, those without room included."""
        self._listeners: tuple[socket.socket, ...] = ()
        self._addresses: tuple[str, ...] = ()
        self._cannot_accept = False
        self._all_closed = asyncio.Event()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that are listened on, with the real port for port 0; empty before the start."""
        return self._addresses

    @property
    def open_connections(self) -> int:
        """Connections that are open now, TLS handshakes included."""
        return len(self._open)

    @property
    def config_ok(self) -> bool:
        """Whether the web configuration in force is what its file says."""
        return self._watch.ok

    def set_limits(self, limits: HttpLimits) -> None:
        """Change the limits; a connection keeps those in force when it was accepted."""
        self._limits = limits

    async def start(self) -> None:
        """Listen; raises ListenError (an address cannot be listened on) or ConfigError (it is not one)."""
        self._listeners = open_listeners(self._listen, os.environ)
        self._addresses = tuple(display(sock) for sock in self._listeners)
        logging.getLogger("asyncio").addFilter(_not_about_lost_clients)
        for sock in self._listeners:
            asyncio.get_running_loop().add_reader(sock, self._accept, sock)

    async def stop(self) -> None:
        """Stop accepting, let answers that are under way end for `stop_seconds`, then drop the rest."""
        loop = asyncio.get_running_loop()
        listeners, self._listeners = self._listeners, ()
        for sock in listeners:
            loop.remove_reader(sock)
            sock.close()
        for protocol in tuple(self._open):
            protocol.finish()
        if self._open:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), self._limits.stop_seconds)
        for protocol in tuple(self._open):
            protocol.drop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SHUTDOWN_SECONDS)
        self._responder.close()
        logging.getLogger("asyncio").removeFilter(_not_about_lost_clients)

    # accepting

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPT_AT_ONCE):  # bounded, so that the open connections are served meanwhile
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_RESOURCES:
                    self._pause(listener, error)
                    return
                continue  # accept(2): an error of that one connection, whose client has already closed it
            self._cannot_accept = False
            self._admit(sock, _host(address))

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        """Stop accepting for ACCEPT_PAUSE_SECONDS: the listener stays readable, so the loop would spin."""
        self._counters.add(SelfMetric.HTTP_ACCEPT_ERRORS)
        if not self._cannot_accept:
            self._cannot_accept = True
            log.error("cannot accept a connection: %s; trying again twice a second", error.strerror)
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        loop.call_later(ACCEPT_PAUSE_SECONDS, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _admit(self, sock: socket.socket, peer: str) -> None:
        self.accepted += 1
        if len(self._open) >= self._limits.connections:
            self._counters.add(SelfMetric.HTTP_REJECTED)
            evicted = self._longest_waiting()
            if evicted is None:
                sock.close()
                return
            evicted.drop()
        sock.setblocking(False)
        protocol = HttpProtocol(self._context, limits=self._limits, peer=peer, on_closed=self._forget)
        handshake = asyncio.get_running_loop().create_task(self._handshake(protocol, sock))
        handshake.add_done_callback(self._tasks.discard)
        handshake.add_done_callback(lambda _: None if protocol.handed_over else sock.close())
        self._tasks.add(handshake)
        self._open[protocol] = handshake

    def _longest_waiting(self) -> HttpProtocol | None:
        """The connection to evict; None: every connection is being answered and its client reads."""
        connections = Counter(protocol.peer for protocol in self._open)
        waiting = (protocol for protocol in self._open if protocol.stalled)
        return max(waiting, key=lambda protocol: (connections[protocol.peer], -protocol.since), default=None)

    async def _handshake(self, protocol: HttpProtocol, sock: socket.socket) -> None:
        """Connect `sock` to `protocol`, after a TLS handshake if TLS is configured now."""
        in_force = self._watch.current()
        protocol.allowed_sans = in_force.tls.client_allowed_sans if in_force.tls is not None else ()
        tls = in_force.context is not None
        protocol.handed_over = True
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                sock,
                ssl=in_force.context,
                ssl_handshake_timeout=self._limits.head_seconds if tls else None,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS if tls else None,
            )
        except OSError as error:
            # asyncio raises ConnectionAbortedError when the handshake times out
            timed_out = isinstance(error, ConnectionAbortedError)
            self._counters.add(SelfMetric.HTTP_TIMEOUTS if timed_out else SelfMetric.HTTP_HANDSHAKE_FAILURES)
            protocol.drop()
        finally:
            if not protocol.connected:
                self._forget(protocol)

    def _forget(self, protocol: HttpProtocol) -> None:
        handshake = self._open.pop(protocol, None)
        if handshake is not None and not protocol.connected:
            handshake.cancel()
        if not self._open:
            self._all_closed.set()

    def _end_connected(self) -> None:
        """End the connections that were accepted under the TLS settings that have just changed."""
        for protocol in tuple(self._open):
            if protocol.connected:
                protocol.finish()


def _not_about_lost_clients(record: logging.LogRecord) -> bool:
    """Filter asyncio's warnings about writes to a client that has left, with which a client could fill the log.

    They are recognised by their text, because they have no other mark, and the writes cannot be avoided: asyncio does
    not report the end of file of a TLS client while reading from it is paused.
    """
    return record.msg not in ("socket.send() raised exception.", "SSL connection is closed")


def _host(address: object) -> str:
    """The client's address without its port; empty for a Unix socket."""
    match address:
        case (str(host), *_):
            return host
        case _:
            return ""
