"""How much a client of the HTTP server may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Limits of one server; the defaults suit a scraper, a browser and a probe."""

    connections: int = 64
    """Open at once that have asked for something; above that, the one that waits longest for its client is closed."""
    head_seconds: float = 5.0
    """For a whole request head, and for a TLS handshake before it."""
    answer_seconds: float = 8.0
    """From the head until the kernel has taken the last byte of the answer."""
    idle_seconds: float = 75.0
    """Between two requests of a connection: longer than a scrape interval, so that a scraper keeps its connection."""
    head_bytes: int = 16384
    """For a request head."""
    stop_seconds: float = 2.0
    """For the answers that are under way when the server stops."""

    @property
    def waiting(self) -> int:
        """How many further connections may be open that have not asked for anything yet (about 6 KiB each).

        Enough that clients which come back as soon as they are closed are rarely closed: accepting them again and again
        would keep others waiting.
        """
        return min(8 * self.connections, max(512, self.connections))

    @property
    def unreserved(self) -> int:
        """How many of `connections` may be there for something else than metrics and health.

        As many requests may be in their handlers at once.
        """
        return self.connections - max(2, self.connections // 8)
