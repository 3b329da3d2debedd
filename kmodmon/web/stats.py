"""What the server bears and what it counts: limits as settings, counters as a frozen snapshot for the metrics."""

import logging
from dataclasses import dataclass

log = logging.getLogger(__name__)

KINDS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How much a client may cost. The defaults suit a scraper, a browser and a probe; seconds are wall time."""

    connections: int = 64
    """Open at once, handshakes included; the one that waits longest makes room for a new one."""
    head_seconds: float = 5.0
    """For a whole request head, and for a TLS handshake before it."""
    answer_seconds: float = 8.0
    """From the head to the last byte of the answer given to the kernel; a reader that does not read is dropped."""
    idle_seconds: float = 75.0
    """Between two requests of a connection: longer than a scrape interval, so that a scraper keeps its connection."""
    head_bytes: int = 16384
    stop_seconds: float = 2.0
    """For requests in flight when the server stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebStats:
    """Counters since the start, and two states. Every connection that is not served well is in one of them."""

    connections: int
    open_connections: int
    requests: int
    rejected: int
    """Connections closed for want of room: new ones, and waiting ones that made room for a new one."""
    timeouts: int
    """Connections dropped because a handshake, a head, an answer or the pause between took too long."""
    bad_requests: int
    """What was not HTTP, too long, or had a body."""
    handshake_failures: int
    handler_errors: int
    auth_failures: int
    rate_limited: int
    accept_errors: int
    """Times the system had no file descriptor or memory for one more connection."""
    config_errors: int
    config_ok: bool


class HttpFaults:
    """The counters while they count; one per server, touched on the loop only."""

    def __init__(self) -> None:
        self.connections = 0
        self.open_connections = 0
        self.requests = 0
        self.rejected = 0
        self.timeouts = 0
        self.bad_requests = 0
        self.handshake_failures = 0
        self.handler_errors = 0
        self.auth_failures = 0
        self.rate_limited = 0
        self.accept_errors = 0
        self._said: set[tuple[str, str]] = set()

    def fault(self, where: str, error: Exception) -> None:
        """Count a fault of ours, and log the first of its kind: a client may be able to cause it again and again."""
        self.handler_errors += 1
        kind = (where, type(error).__name__)
        if kind not in self._said and len(self._said) < KINDS:
            self._said.add(kind)
            log.error("%s failed, the client got no good answer; logged once, then only counted", where, exc_info=error)

    def snapshot(self, *, config_errors: int, config_ok: bool) -> WebStats:
        """The counters now, with what others know."""
        return WebStats(
            connections=self.connections,
            open_connections=self.open_connections,
            requests=self.requests,
            rejected=self.rejected,
            timeouts=self.timeouts,
            bad_requests=self.bad_requests,
            handshake_failures=self.handshake_failures,
            handler_errors=self.handler_errors,
            auth_failures=self.auth_failures,
            rate_limited=self.rate_limited,
            accept_errors=self.accept_errors,
            config_errors=config_errors,
            config_ok=config_ok,
        )
