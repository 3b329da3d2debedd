"""Metrics of kmodmon itself; `process_*` and `python_*` come from prometheus-client."""

from collections.abc import Callable

from kmodmon.metrics.metric import Metric, MetricType, single
from kmodmon.subjects.self_stats import SelfStats


def _own(name: str, help: str, take: Callable[[SelfStats], float], kind: MetricType = MetricType.GAUGE) -> Metric:
    return Metric(
        name=name, kind=kind, help=help, interface="none", of=("own",), samples=lambda state: single(take(state.own))
    )


METRICS: tuple[Metric, ...] = (
    Metric(
        name="kmodmon_recent_series_dropped_total",
        kind=MetricType.COUNTER,
        help="Timestamp series given up because there were more than retention.max_series, since the daemon started.",
        interface="none",
        of=("stamps",),
        samples=lambda state: single(state.stamps.dropped),
    ),
    _own("kmodmon_history_events", "Events in the history.", lambda own: own.history_events),
    _own("kmodmon_history_size_bytes", "Size of the history on disk.", lambda own: own.history_bytes),
    _own("kmodmon_history_up", "1 if the history can be written.", lambda own: own.history_healthy),
    _own(
        "kmodmon_history_write_errors_total",
        "Failed attempts to write the history since the daemon started.",
        lambda own: own.history_write_errors,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_history_lost_total",
        "Events that never reached the history since the daemon started.",
        lambda own: own.history_lost,
        MetricType.COUNTER,
    ),
    _own("kmodmon_http_requests_total", "HTTP requests answered.", lambda own: own.http_requests, MetricType.COUNTER),
    _own(
        "kmodmon_http_rejected_total",
        "Connections closed for want of room.",
        lambda own: own.http_rejected,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_http_timeouts_total",
        "Connections dropped because their client took too long.",
        lambda own: own.http_timeouts,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_http_auth_failures_total",
        "Requests refused for want of a valid user and password.",
        lambda own: own.http_auth_failures,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_http_bad_requests_total",
        "Requests that were not HTTP, too long, or had a body.",
        lambda own: own.http_bad_requests,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_http_handshake_failures_total",
        "TLS handshakes that failed, client certificates that are not allowed among them.",
        lambda own: own.http_handshake_failures,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_http_rate_limited_total",
        "Requests refused by the rate limit of web.config.file.",
        lambda own: own.http_rate_limited,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_http_accept_errors_total",
        "Times the system had no file descriptor or memory for one more connection.",
        lambda own: own.http_accept_errors,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_http_handler_errors_total",
        "Requests that failed in kmodmon itself.",
        lambda own: own.http_handler_errors,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_exposition_failures_total",
        "Metric families that could not be rendered and were left out.",
        lambda own: own.render_failures,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_journal_lost_total",
        "Events, and lines of kmodmon's own log, that the journal or stderr did not take.",
        lambda own: own.journal_lost,
        MetricType.COUNTER,
    ),
    _own(
        "kmodmon_config_last_reload_successful",
        "1 if the settings file that is there now is the one in force, 0 if it was refused.",
        lambda own: own.config_ok,
    ),
    _own(
        "kmodmon_config_last_reload_success_timestamp_seconds",
        "When the settings in force were read.",
        lambda own: own.config_loaded,
    ),
)
