"""Metrics of the kernel's taint: every known bit is 0 or 1, and every unknown bit that is set has its series too."""

from collections.abc import Iterable

from kmodmon.events.kinds.taint import TaintAdded, TaintCleared
from kmodmon.kernel.taint import decode
from kmodmon.metrics.metric import CountOf, LatestOf, Metric, MetricType, Sample, single
from kmodmon.state.state import State

_TAINTED = "/proc/sys/kernel/tainted"


def _flags(state: State) -> Iterable[Sample]:
    value = state.taint.value
    if value is None:
        return ()
    flags = state.taint.flags
    defined = {(flag.label, flag.letter): float(value >> flag.bit & 1) for flag in flags if flag.defined}
    return {**defined, **{(flag.label, flag.letter): 1.0 for flag in decode(value, flags)}}.items()


METRICS: tuple[Metric, ...] = (
    Metric(
        name="kmodmon_kernel_tainted",
        help="The kernel's taint number, 0 for an untainted kernel (/proc/sys/kernel/tainted).",
        interface=_TAINTED,
        absent="unreadable",
        of=("taint",),
        samples=lambda state: single(state.taint.value),
    ),
    Metric(
        name="kmodmon_kernel_taint",
        help="1 if a taint flag is set, else 0; unknown bits have a series while they are set.",
        labels=("flag", "letter"),
        interface=_TAINTED,
        absent="unreadable",
        bound="flags that this kernel's vendor names, 64 bits",
        of=("taint",),
        samples=_flags,
    ),
    Metric(
        name="kmodmon_kernel_taint_set_timestamp_seconds",
        help="When a taint flag was set, and by what, kept for retention.recent.",
        labels=("flag", "cause"),
        interface=_TAINTED,
        absent="no flag was set within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(TaintAdded,)),
    ),
    Metric(
        name="kmodmon_kernel_taint_cleared_total",
        kind=MetricType.COUNTER,
        help="Taint flags that fell within a boot; must stay 0, the kernel never clears one.",
        interface=_TAINTED,
        of=("counts",),
        events=CountOf(kinds=(TaintCleared,)),
    ),
)
