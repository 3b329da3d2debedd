"""What kmodmon says of itself: the history, the HTTP server, the settings; numbers that the edges keep."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfStats:
    """Counters since the start of this process, and states."""

    history_events: int = 0
    history_bytes: int = 0
    history_write_errors: int = 0
    history_lost: int = 0
    history_healthy: bool = False
    http_requests: int = 0
    http_rejected: int = 0
    http_timeouts: int = 0
    http_auth_failures: int = 0
    http_bad_requests: int = 0
    http_handshake_failures: int = 0
    http_rate_limited: int = 0
    http_accept_errors: int = 0
    http_handler_errors: int = 0
    render_failures: int = 0
    journal_lost: int = 0
    config_ok: bool = True  # False: a changed file was refused and the earlier settings are in force
    config_loaded: float = 0.0  # seconds since the epoch


NO_SELF_STATS = SelfStats()
