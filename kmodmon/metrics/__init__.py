"""The metrics that kmodmon exposes: one table in each file, and all tables together in METRICS."""

from kmodmon.events.timestamps import EventMetrics
from kmodmon.metrics import files, hidden, log, modules, parameters, policy, posture, self_monitoring, sources, taint
from kmodmon.metrics.metric import Metric, event_metrics

METRICS: tuple[Metric, ...] = (
    *sources.METRICS,
    *modules.METRICS,
    *hidden.METRICS,
    *files.METRICS,
    *taint.METRICS,
    *posture.METRICS,
    *parameters.METRICS,
    *policy.METRICS,
    *log.METRICS,
    *self_monitoring.METRICS,
)
EVENT_METRICS: EventMetrics = event_metrics(METRICS)
