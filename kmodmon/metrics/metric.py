"""How a metric is declared: once, with HELP, kernel file, what its absence means, and how state becomes samples."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from kmodmon.events.counters import Labels
from kmodmon.events.timestamps import Series
from kmodmon.state.state import State

Sample: TypeAlias = tuple[Labels, float]
Samples: TypeAlias = Iterable[Sample]


class MetricType(StrEnum):
    """The Prometheus type. Text facts are gauges named `_info` with value 1, as exporters do."""

    GAUGE = "gauge"
    COUNTER = "counter"
    UNTYPED = "untyped"  # a count that the kernel keeps; a gauge or counter of this name would break a convention


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric family. `of` names the parts of the state that the samples depend on: no change there, no new samples.

    A counter's `name` ends in `_total` here, as in the exposition. `bound` says what bounds the number of series.
    """

    name: str
    kind: MetricType = MetricType.GAUGE
    help: str
    labels: tuple[str, ...] = ()
    interface: str
    absent: str = "never"
    bound: str = "one series"
    of: tuple[str, ...]
    samples: Callable[[State], Samples]


def single(value: float | bool | None) -> tuple[Sample, ...]:
    """The one sample of a metric without labels; None gives no series, because absent is not zero."""
    return () if value is None else (((), float(value)),)


def counted(name: str, known: Iterable[Labels] = ((),)) -> Callable[[State], Samples]:
    """Samples of a counter of the tally; every label set in `known` starts at 0, so the first event is an increase."""
    zeros = dict.fromkeys(known, 0)

    def samples(state: State) -> Samples:
        return ((labels, float(value)) for labels, value in {**zeros, **state.counts.get(name, {})}.items())

    return samples


def stamped(name: str) -> Callable[[State], Samples]:
    """Samples of a timestamp gauge, seconds since the epoch."""
    nothing: Series = {}
    return lambda state: state.stamps.series.get(name, nothing).items()
