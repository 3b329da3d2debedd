"""The HTTP server on the daemon's own loop: accepting, bounding and ending connections.

``asyncio``'s own server reports a TLS connection only after its handshake, so silent clients would not be bounded (0.3
MiB each), and it logs when file descriptors run out. So connections are accepted here and counted before their
handshake. Those that have asked for nothing yet are counted apart, so that they do not take the place of those that
have. Above either limit, one is closed for each new one: of the client address with the most connections, the one that
waits longest for its client. So a flood from one address does not cost a scraper its connection.
"""

import asyncio
import contextlib
import errno
import logging
import os
import select
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kmodmon.subjects.self_stats import SelfCounters, SelfMetric
from kmodmon.system.clock import Clock, SystemClock
from kmodmon.web.access import Access
from kmodmon.web.descriptors import SpareDescriptor
from kmodmon.web.faults import FaultLog
from kmodmon.web.limits import HttpLimits
from kmodmon.web.listen import display, open_listeners
from kmodmon.web.local_socket import LocalSocket, peer_of
from kmodmon.web.message import Client, Route
from kmodmon.web.protocol import ConnectionContext, HttpProtocol
from kmodmon.web.responder import Responder, is_reserved
from kmodmon.web.waiting import WaitingClients
from kmodmon.web.web_config_reload import WebConfigWatch

log = logging.getLogger(__name__)

ACCEPT_AT_ONCE = 16
ACCEPT_PAUSE_SECONDS = 0.5
SHUTDOWN_SECONDS = 1.0
_NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalListener:
    """The settings `web.socket` and `web.group`."""

    path: Path
    group: str = ""


class WebServer:
    """Serves `routes` on every address of `listen`, and on a Unix socket. Use it on one loop, from one thread."""

    def __init__(
        self,
        *,
        routes: Sequence[Route],
        listen: Sequence[str | LocalListener],
        limits: HttpLimits | None = None,
        web_config: Path | None = None,
        clock: Clock | None = None,
        counters: SelfCounters | None = None,
    ) -> None:
        """Read `web_config`; raises ConfigError. Nothing is opened before :meth:`start`."""
        self._limits = limits or HttpLimits()
        self._listen = tuple(listen)
        self._local: dict[socket.socket, LocalSocket] = {}  # by its listening socket
        self._spare = SpareDescriptor()
        clock = clock or SystemClock()
        self._counters = counters or SelfCounters()
        self._watch = WebConfigWatch(web_config, clock, self._end_connected)
        faults = FaultLog(self._counters)
        self._responder = Responder(routes, self._watch, self._counters, faults, clock)
        self._responder.most = self._limits.unreserved
        self._open: dict[HttpProtocol, asyncio.Task[None]] = {}  # with the task of its TLS handshake
        self._waiting: WaitingClients[HttpProtocol] = WaitingClients()  # those that have not asked yet
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
        self._responder.most = limits.unreserved

    def set_access(self, access: Access) -> None:
        """Change who may read what, from the next request on."""
        self._responder.access = access

    async def start(self) -> None:
        """Listen; raises ListenError (an address cannot be listened on) or ConfigError (it is not one)."""
        listeners = open_listeners([text for text in self._listen if isinstance(text, str)], os.environ)
        try:
            for local in self._listen:
                if isinstance(local, LocalListener):
                    opened = LocalSocket(local.path, local.group)
                    self._local[opened.socket] = opened
        except BaseException:
            for sock in (*listeners, *self._local):
                sock.close()
            raise
        self._listeners = (*listeners, *self._local)
        self._spare.keep()
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
        for local in self._local.values():
            local.close()
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
        self._spare.close()
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
                    if _somebody_waits(listener):
                        self._make_room(listener, error)
                    return
                continue  # accept(2): an error of that one connection, whose client has already closed it
            self._cannot_accept = False
            self._admit(sock, self._client(listener, sock, address))

    def _client(self, listener: socket.socket, sock: socket.socket, address: object) -> Client:
        if sock.family != socket.AF_UNIX:
            return Client(address=_host(address))
        peer, local = peer_of(sock), self._local.get(listener)
        admitted = None if local is None else peer is not None and local.admits(peer)
        return Client(address="" if peer is None else f"uid {peer.uid}", local=True, admitted=admitted)

    def _make_room(self, listener: socket.socket, error: OSError) -> None:
        """Free a descriptor for the connection that waits; without one to free, stop accepting for a moment.

        The listener stays readable, so the loop would spin: it may come back at once only if something was freed.
        """
        self._counters.add(SelfMetric.HTTP_ACCEPT_ERRORS)
        if not self._cannot_accept:
            self._cannot_accept = True
            log.error("cannot accept a connection: %s; others are closed for it, or it waits", error.strerror)
        if self._spare.release():
            return
        evicted = self._waiting.longest() or self._longest_stalled()
        if evicted is not None:
            self._counters.add(SelfMetric.HTTP_REJECTED)
            evicted.drop()
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        loop.call_later(ACCEPT_PAUSE_SECONDS, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _admit(self, sock: socket.socket, client: Client) -> None:
        self.accepted += 1
        most = self._limits.connections if self._watch.current().context is not None else self._limits.waiting
        if len(self._waiting) >= most and (evicted := self._waiting.longest()) is not None:
            self._counters.add(SelfMetric.HTTP_REJECTED)
            evicted.drop()
        sock.setblocking(False)
        protocol = HttpProtocol(
            self._context, limits=self._limits, client=client, on_asked=self._take_in, on_closed=self._forget
        )
        self._waiting.add(client.address, protocol)
        handshake = asyncio.get_running_loop().create_task(self._handshake(protocol, sock))
        handshake.add_done_callback(self._tasks.discard)
        handshake.add_done_callback(lambda _: None if protocol.handed_over else sock.close())
        self._tasks.add(handshake)
        self._open[protocol] = handshake

    def _take_in(self, protocol: HttpProtocol, path: str) -> bool:
        """Count a connection among those that have asked, now for `path`; False: there is no room for it."""
        self._waiting.discard(protocol.client.address, protocol)
        most = self._limits.connections if is_reserved(path) else self._limits.unreserved
        if len(self._open) - len(self._waiting) <= most:
            return True
        self._counters.add(SelfMetric.HTTP_REJECTED)
        evicted = self._longest_stalled(any_other=is_reserved(path))
        if evicted is None:
            return False
        evicted.drop()
        return True

    def _longest_stalled(self, *, any_other: bool = False) -> HttpProtocol | None:
        """The connection to evict of those that have asked: of those that wait for their client, else that send to it.

        None: every one is in a handler; with `any_other` that is the last resort.
        """
        asked = [protocol for protocol in self._open if protocol.asked]
        connections = Counter(protocol.client.address for protocol in asked)
        idle = [protocol for protocol in asked if protocol.stalled] or [
            protocol for protocol in asked if any_other or protocol.sending
        ]
        return max(idle, key=lambda protocol: (connections[protocol.client.address], -protocol.since), default=None)

    async def _handshake(self, protocol: HttpProtocol, sock: socket.socket) -> None:
        """Connect `sock` to `protocol`, after a TLS handshake if TLS is configured now."""
        in_force = self._watch.current()
        context = None if protocol.client.admitted is not None else in_force.context  # web.socket: no TLS
        tls = context is not None
        protocol.allowed_sans = in_force.tls.client_allowed_sans if tls and in_force.tls is not None else ()
        protocol.handed_over = True
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                sock,
                ssl=context,
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
        self._waiting.discard(protocol.client.address, protocol)
        if handshake is not None and not protocol.connected:
            handshake.cancel()
        self._spare.keep()
        if not self._open:
            self._all_closed.set()

    def _end_connected(self) -> None:
        """End the connections that were accepted under the TLS settings that have just changed."""
        for protocol in tuple(self._open):
            if protocol.connected:
                protocol.finish()


def _somebody_waits(listener: socket.socket) -> bool:
    """Whether there is a connection to accept: without a free descriptor accept(2) fails before it looks."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))


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
