"""Who may read what: the detail of an answer, and the host names that a request may name.

A web page that a browser on this host shows can make its own host name resolve to 127.0.0.1 and then read answers as
its own (DNS rebinding). It cannot choose the Host header, which has its name. So a request is answered only if the name
is one of this host's. No name server is asked, because its answer may be the attacker's, and would be waited for.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kmodmon.types.detail import Detail

HOSTS_BYTES = 1 << 18
_LOCALHOST = ("localhost", "localhost.localdomain", "ip6-localhost")
_PORT = re.compile(r":[0-9]{0,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The rules of one server."""

    detail: Detail = Detail.PUBLIC
    """For a client that has not proved who it is."""
    hosts: tuple[str, ...] = ()
    """Further names of this host, in lower case; `*.NAME`: every name below NAME, `*`: any."""

    def names(self, authority: str) -> bool:
        """Whether `authority` (``HOST`` or ``HOST:PORT`` of a request) is an address or a name of this host."""
        host = _host(authority)
        if host is None:
            return False
        own = socket.gethostname().lower()
        return (
            _is_address(host)
            or host in (*_LOCALHOST, own, own.partition(".")[0], *self.hosts)
            or any(_is_below(host, pattern) for pattern in self.hosts)
        )


def _host(authority: str) -> str | None:
    """The host in lower case, without port and final dot; None: it is empty or malformed."""
    host = authority.strip(" \t").lower()
    if host.startswith("["):
        host, bracket, port = host[1:].partition("]")
        return host if bracket and ":" in host and (not port or _PORT.fullmatch(port)) else None
    host, colon, port = host.partition(":")
    if colon and not _PORT.fullmatch(colon + port):
        return None
    return host.removesuffix(".") or None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_below(host: str, pattern: str) -> bool:
    return pattern == "*" or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def names_in_hosts_file(file: Path) -> Iterable[str]:
    """The names that /etc/hosts gives this host: of lines with its host name; none if the file cannot be read."""
    try:
        with file.open("rb") as stream:
            text = stream.read(HOSTS_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    own = socket.gethostname().lower()
    lines = (line.partition("#")[0].lower().split()[1:] for line in text.splitlines())
    return dict.fromkeys(name.removesuffix(".") for names in lines if own in names for name in names)
