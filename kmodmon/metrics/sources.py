"""Metrics of the sources: whether each is present and readable, and what it lost."""

import platform
from collections.abc import Iterable

from kmodmon import __version__
from kmodmon.events.event import EventDetails
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.metrics.metric import CountOf, Metric, MetricType, Sample
from kmodmon.state.state import State

_SOURCES = "sources (fixed by the program)"

_BUDGETED: tuple[str, ...] = tuple(kind.type for kind in EVENT_KINDS.values() if kind.budget_name is not None)


def _suppressed(state: State) -> Iterable[Sample]:
    counts: dict[str, int] = {**dict.fromkeys(_BUDGETED, 0), **state.budget.suppressed}
    return (((name,), float(count)) for name, count in counts.items())


METRICS: tuple[Metric, ...] = (
    Metric(
        name="kmodmon_build_info",
        help="Version of kmodmon and of the Python it runs on.",
        labels=("version", "python"),
        interface="none",
        of=(),
        samples=lambda state: [((__version__, platform.python_version()), 1.0)],
    ),
    Metric(
        name="kmodmon_source_present",
        help="1 if the kernel offers the interface of a source, else 0.",
        labels=("source",),
        interface="see `kmodmon doctor`",
        bound=_SOURCES,
        of=("sources",),
        samples=lambda state: [((name,), float(source.present)) for name, source in state.sources.items()],
    ),
    Metric(
        name="kmodmon_source_up",
        help="1 if the last look at a source succeeded; no series for a source whose interface is not there.",
        labels=("source",),
        interface="see `kmodmon doctor`",
        absent="the interface is not there",
        bound=_SOURCES,
        of=("sources",),
        samples=lambda state: [((name,), float(source.up)) for name, source in state.sources.items() if source.present],
    ),
    Metric(
        name="kmodmon_source_lost_total",
        kind=MetricType.COUNTER,
        help="Records, datagrams or trace events that the kernel dropped before a source could read them.",
        labels=("source",),
        interface="kmsg sequence gaps, netlink ENOBUFS, trace overruns",
        bound=_SOURCES,
        of=("sources",),
        samples=lambda state: [((name,), float(source.lost)) for name, source in state.sources.items()],
    ),
    Metric(
        name="kmodmon_source_unreadable",
        help="Things inside a source's interface that could not be read at the last look.",
        labels=("source",),
        interface="see `kmodmon doctor`",
        bound=_SOURCES,
        of=("sources",),
        samples=lambda state: [((name,), float(source.unreadable)) for name, source in state.sources.items()],
    ),
    Metric(
        name="kmodmon_source_last_read_timestamp_seconds",
        help="When a source was last read with success.",
        labels=("source",),
        interface="see `kmodmon doctor`",
        absent="never read with success",
        bound=_SOURCES,
        of=("sources",),
        samples=lambda state: [
            ((name,), source.last_read.seconds)
            for name, source in state.sources.items()
            if source.last_read is not None
        ],
    ),
    Metric(
        name="kmodmon_events_total",
        kind=MetricType.COUNTER,
        help="Events of this boot by type, without those that their budget kept out of the history.",
        labels=("type",),
        interface="all sources",
        bound="event types",
        of=("counts",),
        events=CountOf(kinds=(EventDetails,), initial=tuple((name,) for name in EVENT_KINDS), reported_only=True),
    ),
    Metric(
        name="kmodmon_events_suppressed_total",
        kind=MetricType.COUNTER,
        help="Events of this boot that users can cause and that were only counted, because there were too many.",
        labels=("type",),
        interface="all sources",
        bound="event types with a budget",
        of=("budget",),
        samples=_suppressed,
    ),
)
