"""How a metric is declared: once, with HELP, kernel file, what its absence means, and how state becomes samples."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.events.counters import EventCounter, Labels, every_event
from kmodmon.events.event import Event, EventDetails
from kmodmon.events.timestamps import EventMetrics, EventTimestamp, Series
from kmodmon.state.state import State

Sample: TypeAlias = tuple[Labels, float]
Samples: TypeAlias = Iterable[Sample]


class MetricType(StrEnum):
    """The Prometheus type. Text facts are gauges named `_info` with value 1, as exporters do."""

    GAUGE = "gauge"
    COUNTER = "counter"
    UNTYPED = "untyped"  # a count that the kernel keeps; a gauge or counter of this name would break a convention


@dataclass(frozen=True, slots=True, kw_only=True)
class CountOf:
    """The metric counts events with details of these classes, as far as `where` holds, by its labels.

    Every label set in `initial` starts at 0, so that the first event is an increase.
    """

    kinds: tuple[type[EventDetails], ...]
    initial: tuple[Labels, ...] = ((),)
    where: Callable[[Event], bool] = every_event


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestOf:
    """The metric holds when an event with details of these classes last happened, in seconds since the epoch.

    `fields` and `values` say what a label holds that is not called like a field of the details (`EventTimestamp`).
    """

    kinds: tuple[type[EventDetails], ...]
    where: Callable[[Event], bool] = every_event
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    values: Mapping[str, Callable[[Event], str]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric family.

    `of` names the parts of the state that the samples depend on: no change there, no new samples. A metric that events
    move says so by `events`, and needs no `samples` of its own. A counter's `name` ends in `_total` here, as in the
    exposition. `bound` says what bounds the number of series.
    """

    name: str
    kind: MetricType = MetricType.GAUGE
    help: str
    labels: tuple[str, ...] = ()
    interface: str
    absent: str = "never"
    bound: str = "one series"
    of: tuple[str, ...]
    events: CountOf | LatestOf | None = None
    samples: Callable[[State], Samples] | None = None

    def read(self, state: State) -> Samples:
        """The samples of a state."""
        match self.events:
            case _ if self.samples is not None:
                return self.samples(state)
            case CountOf():
                return counted(self, state)
            case _:
                return state.stamps.series.get(self.name, _NO_SERIES).items()


_NO_SERIES: Series = MappingProxyType({})


def counted(metric: Metric, state: State) -> Samples:
    """Samples of a counter that events move; label sets known beforehand start at 0."""
    initial = metric.events.initial if isinstance(metric.events, CountOf) else ()
    counts = {**dict.fromkeys(initial, 0), **state.counts.get(metric.name, {})}
    return ((labels, float(count)) for labels, count in counts.items())


def event_metrics(metrics: Iterable[Metric]) -> EventMetrics:
    """What the pipeline needs to know of the metrics that events move."""
    counters: list[EventCounter] = []
    timestamps: list[EventTimestamp] = []
    for metric in metrics:
        match metric.events:
            case CountOf(kinds=kinds, where=where):
                counters.append(EventCounter(name=metric.name, kinds=kinds, labels=metric.labels, where=where))
            case LatestOf(kinds=kinds, where=where, fields=fields, values=values):
                timestamps.append(
                    EventTimestamp(
                        name=metric.name, kinds=kinds, labels=metric.labels, where=where, fields=fields, values=values
                    )
                )
            case None:
                pass
    return EventMetrics(counters=tuple(counters), timestamps=tuple(timestamps))


def single(value: float | bool | None) -> tuple[Sample, ...]:
    """The one sample of a metric without labels; None gives no series, because absent is not zero."""
    return () if value is None else (((), float(value)),)
