"""Metrics of kmodmon itself, from the declarations in :class:`kmodmon.subjects.self_stats.SelfMetric`."""

import math

from kmodmon.metrics.metric import Metric, MetricType, single
from kmodmon.subjects.self_stats import SelfMetric


def _family(own: SelfMetric) -> Metric:
    return Metric(
        name=own.metric,
        kind=MetricType(own.kind),
        help=own.help,
        interface="none",
        of=("own",),
        absent="the history is in memory, or was not read yet" if math.isnan(own.initial) else "never",
        samples=lambda state: single(None if math.isnan(state.own[own]) else state.own[own]),
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
    *map(_family, SelfMetric),
)
