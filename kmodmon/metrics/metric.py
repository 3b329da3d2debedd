"""The declaration of a metric: HELP, kernel interface, meaning of absence, and the function from state to samples."""

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
    """The Prometheus type. A text is a label of a gauge named `_info` with the value 1, as in other exporters."""

    GAUGE = "gauge"
    COUNTER = "counter"
    UNTYPED = "untyped"  # a counter of the kernel whose name does not end in `_total`, as a counter's should


@dataclass(frozen=True, slots=True, kw_only=True)
class CountOf:
    """The metric counts events of these kinds, by the values of its labels."""

    kinds: tuple[type[EventDetails], ...]  # with their subclasses
    initial: tuple[Labels, ...] = ((),)  # label values whose series starts at 0, so that the first event increases it
    where: Callable[[Event], bool] = every_event
    reported_only: bool = False  # it leaves out events that their budget keeps out of the history


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestOf:
    """The metric is the time of the latest event of these kinds, in seconds since the epoch; see `EventTimestamp`."""

    kinds: tuple[type[EventDetails], ...]
    where: Callable[[Event], bool] = every_event
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    values: Mapping[str, Callable[[Event], str]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric family."""

    name: str  # of a counter: with `_total`, as in the exposition
    kind: MetricType = MetricType.GAUGE
    help: str
    labels: tuple[str, ...] = ()
    interface: str  # the kernel interface of its values, for people
    absent: str = "never"  # when it has no series, for people
    bound: str = "one series"  # what limits the number of its series, for people
    of: tuple[str, ...]  # fields of `State`: the samples change only when one of these does
    events: CountOf | LatestOf | None = None  # None: it is not moved by events
    samples: Callable[[State], Samples] | None = None  # None: the samples follow from `events`

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
    """The samples of a counter that events move, with 0 for each initial series without an event."""
    initial = metric.events.initial if isinstance(metric.events, CountOf) else ()
    counts = {**dict.fromkeys(initial, 0), **state.counts.get(metric.name, {})}
    return ((labels, float(count)) for labels, count in counts.items())


def event_metrics(metrics: Iterable[Metric]) -> EventMetrics:
    """Give the pipeline's part of the declarations: the counters and timestamps that events move."""
    counters: list[EventCounter] = []
    timestamps: list[EventTimestamp] = []
    for metric in metrics:
        match metric.events:
            case CountOf(kinds=kinds, where=where, reported_only=reported_only):
                counters.append(
                    EventCounter(
                        name=metric.name, kinds=kinds, labels=metric.labels, where=where, reported_only=reported_only
                    )
                )
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
    """The sample of a metric without labels; None gives no series."""
    return () if value is None else (((), float(value)),)
