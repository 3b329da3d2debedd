"""Layer 2: what is exposed. One table a file; every file of this room is listed here, and nowhere else."""

from kmodmon.metrics import log, modules, own, parameters, posture, sources, taint
from kmodmon.metrics.metric import Metric

METRICS: tuple[Metric, ...] = (
    *sources.METRICS,
    *modules.METRICS,
    *taint.METRICS,
    *posture.METRICS,
    *parameters.METRICS,
    *log.METRICS,
    *own.METRICS,
)
