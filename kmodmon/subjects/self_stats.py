"""The numbers that kmodmon exposes about itself, and the object that counts them.

:class:`SelfMetric` declares a number with its name and help in the exposition. The code that counts calls
:meth:`SelfCounters.add`; a number that another object keeps is read through :meth:`SelfCounters.bind`. The state holds
a snapshot, :class:`SelfStats`. Metrics named ``process_*`` and ``python_*`` come from prometheus-client.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

UNKNOWN = math.nan
COUNTER, GAUGE = "counter", "gauge"


class SelfMetric(Enum):
    """One number: its metric name, its HELP text, its Prometheus type, and its value at the start (UNKNOWN: no sample).

    Counters count since the start of this process. The order here is the order in the exposition.
    """

    def __init__(self, metric: str, help: str, kind: str, initial: float = 0) -> None:
        self.metric = metric
        self.help = help
        self.kind = kind
        self.initial = initial

    HISTORY_EVENTS = ("kmodmon_history_events", "Events in the history.", GAUGE)
    HISTORY_BYTES = ("kmodmon_history_size_bytes", "Size of the history on disk.", GAUGE)
    HISTORY_HEALTHY = ("kmodmon_history_up", "1 if the history can be written.", GAUGE)
    HISTORY_HEAD_ID = (
        "kmodmon_history_head_id",
        "Id of the newest event in the history on disk.",
        GAUGE,
        UNKNOWN,
    )
    HISTORY_HEAD_HASH = (
        "kmodmon_history_head_hash",
        "First 48 bits of the hash of the event kmodmon_history_head_id.",
        GAUGE,
        UNKNOWN,
    )
    HISTORY_WRITE_ERRORS = (
        "kmodmon_history_write_errors_total",
        "Failed attempts to write the history since the daemon started.",
        COUNTER,
    )
    HISTORY_LOST = (
        "kmodmon_history_lost_total",
        "Events that never reached the history since the daemon started.",
        COUNTER,
    )
    HTTP_REQUESTS = ("kmodmon_http_requests_total", "HTTP requests answered.", COUNTER)
    HTTP_REJECTED = ("kmodmon_http_rejected_total", "Connections closed for want of room.", COUNTER)
    HTTP_TIMEOUTS = ("kmodmon_http_timeouts_total", "Connections dropped because their client took too long.", COUNTER)
    HTTP_AUTH_FAILURES = (
        "kmodmon_http_auth_failures_total",
        "Requests refused for want of a valid user and password.",
        COUNTER,
    )
    HTTP_BAD_REQUESTS = (
        "kmodmon_http_bad_requests_total",
        "Requests that were not HTTP, too long, or had a body.",
        COUNTER,
    )
    HTTP_HANDSHAKE_FAILURES = (
        "kmodmon_http_handshake_failures_total",
        "TLS handshakes that failed, client certificates that are not allowed among them.",
        COUNTER,
    )
    HTTP_RATE_LIMITED = (
        "kmodmon_http_rate_limited_total",
        "Requests refused by the rate limit of web.config.file.",
        COUNTER,
    )
    HTTP_ACCEPT_ERRORS = (
        "kmodmon_http_accept_errors_total",
        "Times the system had no file descriptor or memory for one more connection.",
        COUNTER,
    )
    HTTP_HANDLER_ERRORS = ("kmodmon_http_handler_errors_total", "Requests that failed in kmodmon itself.", COUNTER)
    RENDER_FAILURES = (
        "kmodmon_exposition_failures_total",
        "Metric families that could not be rendered and were left out.",
        COUNTER,
    )
    JOURNAL_LOST = (
        "kmodmon_journal_lost_total",
        "Events, and lines of kmodmon's own log, that the journal or stderr did not take.",
        COUNTER,
    )
    CONFIG_OK = (
        "kmodmon_config_last_reload_successful",
        "1 if the settings file that is there now is the one in force, 0 if it was refused.",
        GAUGE,
        1,
    )
    CONFIG_LOADED = (
        "kmodmon_config_last_reload_success_timestamp_seconds",
        "When the settings in force were read.",
        GAUGE,
    )


@dataclass(frozen=True, slots=True)
class SelfStats:
    """A snapshot of the numbers; what is not in `values` is as at the start."""

    values: Mapping[SelfMetric, float]

    def __getitem__(self, metric: SelfMetric) -> float:
        """The value of `metric`."""
        return self.values.get(metric, metric.initial)


NO_SELF_STATS = SelfStats(MappingProxyType({}))


class SelfCounters:
    """The numbers while they change. One for the daemon, used on its loop only."""

    def __init__(self) -> None:
        self._values = {metric: metric.initial for metric in SelfMetric}
        self._readers: dict[SelfMetric, Callable[[], float]] = {}

    def add(self, metric: SelfMetric, amount: int = 1) -> None:
        """Count `amount` more."""
        self._values[metric] += amount

    def bind(self, readers: Mapping[SelfMetric, Callable[[], float]]) -> None:
        """Take these numbers from functions, which are called in this order at each snapshot."""
        self._readers.update(readers)

    def snapshot(self) -> SelfStats:
        """Every number now, in a snapshot that does not change."""
        values = self._values | {metric: read() for metric, read in self._readers.items()}
        return SelfStats(MappingProxyType(values))
