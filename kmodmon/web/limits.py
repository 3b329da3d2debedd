"""How much a client of the HTTP server may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Limits of one server; the defaults suit a scraper, a browser and a probe."""

    connections: int = 64
    """Open at once, TLS handshakes included; above that, the one that waits longest for its client is closed."""
    head_seconds: float = 5.0
    """For a whole request head, and for a TLS handshake before it."""
    answer_seconds: float = 8.0
    """From the head until the kernel has taken the last byte of the answer."""
    idle_seconds: float = 75.0
    """Between two requests of a connection: longer than a scrape interval, so that a scraper keeps its connection."""
    head_bytes: int = 16384
    """For a request head that is not complete."""
    stop_seconds: float = 2.0
    """For the answers that are under way when the server stops."""
