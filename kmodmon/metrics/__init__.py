"""Layer 2: what is exposed. One table a file; every file of this room is listed here, and nowhere else."""

from kmodmon.metrics import files, hidden, log, modules, parameters, policy, posture, self_monitoring, sources, taint
from kmodmon.metrics.metric import Metric

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
