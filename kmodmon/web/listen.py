"""Listening sockets: addresses in the notation of Prometheus exporters, or sockets that systemd passes.

``127.0.0.1:10069``, ``[::1]:10069``, ``localhost:10069`` (all that it resolves to), ``:10069`` (all addresses,
both families), ``systemd`` or ``systemd:NAME`` (sd_listen_fds(3): sockets of the unit's .socket file, all of them or
those with ``FileDescriptorName=NAME``).
"""

import errno
import os
import socket
from collections.abc import MutableMapping, Sequence

from kmodmon.system.passed import HANDED, passed
from kmodmon.types.error import ConfigError, KmodmonError

BACKLOG = 4096
"""The kernel takes at most net.core.somaxconn. If it is full, a client tries again after a second, then after three."""
RECEIVE_BUFFER = 16384
SEND_BUFFER = 262144
"""Bound what the kernel buffers of unread requests and answers; it doubles both values (socket(7))."""

_FLAG = "web.listen-address"
_HINT = "write HOST:PORT, [IPV6]:PORT, :PORT or systemd"


class ListenError(KmodmonError):
    """An address cannot be listened on; the text says which and why."""


def parse_address(text: str) -> tuple[str, int]:
    """Host (empty: all addresses) and port of `text`; raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ConfigError("command line", _FLAG, f"{text!r} has no port", _HINT)
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed:
        raise ConfigError("command line", _FLAG, f"{text!r}: an IPv6 address needs brackets", _HINT)
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
        raise ConfigError("command line", _FLAG, f"{text!r}: {port!r} is not a port from 0 to 65535", _HINT)
    return (host[1:-1] if bracketed else host), int(port)


def open_listeners(listen: Sequence[str], environ: MutableMapping[str, str]) -> tuple[socket.socket, ...]:
    """Listening, non-blocking sockets for all of `listen`; raises ConfigError or ListenError and leaves none open."""
    opened: list[socket.socket] = []
    try:
        for text in listen:
            if text == "systemd" or text.startswith("systemd:"):
                opened += _inherited(text.partition(":")[2], environ)
            else:
                opened += _bound(text)
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    for sock in opened:
        sock.setblocking(False)
        # accepted sockets inherit both; left alone, the kernel would let each grow to megabytes
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return tuple(opened)


def _bound(text: str) -> list[socket.socket]:
    host, port = parse_address(text)
    try:
        if not host:
            return [_bind_all(port)]
        resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = dict.fromkeys((family, str(address[0]), int(address[1])) for family, _, _, _, address in resolved)
        return [_bind(family, name, number) for family, name, number in addresses]
    except OSError as error:
        raise ListenError(f"cannot listen on {text}: {_reason(error)}") from error
    except ValueError as error:  # a NUL byte, or not a domain name
        raise ListenError(f"cannot listen on {text!r}: {error}") from error


def _bind_all(port: int) -> socket.socket:
    """One socket for both families; without IPv6 in this kernel one for IPv4."""
    try:
        return _bind(socket.AF_INET6, "::", port)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
        return _bind(socket.AF_INET, "0.0.0.0", port)


def _bind(family: int, host: str, port: int) -> socket.socket:
    # asyncio switches Nagle off only where it sees the protocol number; with it on, each answer takes 40 ms
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the address is in use; `ss -ltnp` names the process, --web.listen-address takes another"
        case errno.EACCES:
            return "permission denied; a port below 1024 needs CAP_NET_BIND_SERVICE"
        case errno.EADDRNOTAVAIL:
            return "this host has no such address"
        case _:
            return error.strerror or str(error)


def _inherited(name: str, environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets of this name that systemd passed to this process; empty: all."""
    all_passed = passed(environ)
    if all_passed is None:
        raise ListenError(
            "no sockets from systemd: LISTEN_PID does not name this process; is the .socket unit started?"
        )
    sockets = {fd: given for fd, given in all_passed.items() if given not in HANDED}
    chosen = [fd for fd, given in sockets.items() if not name or given == name]
    if not sockets:
        raise ListenError("systemd passed no sockets; is the .socket unit started?")
    if not chosen:
        raise ListenError(f"systemd passed {len(sockets)} sockets and none is called {name!r}; see FileDescriptorName=")
    return [_take(fd) for fd in chosen]


def _take(fd: int) -> socket.socket:
    try:
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise ListenError(f"file descriptor {fd} from systemd is not a socket: {error.strerror}") from error
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise ListenError(f"file descriptor {fd} from systemd does not listen; the .socket unit wants ListenStream=")
    return sock


def display(sock: socket.socket) -> str:
    """The address of a listening socket in the notation of the setting; the path of a Unix socket."""
    name: object = sock.getsockname()
    match name:
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case _:
            return str(name)
