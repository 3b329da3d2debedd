"""Timestamp gauges: what happened stays visible for `retention.recent`, even if the module is gone.

An alert needs no luck between two scrapes. Bounded: at most `limit` series a gauge (the oldest go first, counted).
Which gauges there are is declared with the metrics (`kmodmon/metrics`), and given to the pipeline.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.events.counters import EventCounter, Labels, every_event, label_value
from kmodmon.events.event import Event, EventDetails
from kmodmon.types.codec import entries_from_json
from kmodmon.types.units import Instant, JsonObject

Series: TypeAlias = Mapping[Labels, float]  # label values -> seconds since the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamps:
    """All timestamp gauges, by metric name; insertion order is age order."""

    series: Mapping[str, Series] = field(default_factory=lambda: MappingProxyType({}))
    dropped: int = 0  # since the daemon started


NO_TIMESTAMPS = Timestamps()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTimestamp:
    """A gauge that holds when an event with details of some classes last happened, as far as `where` holds.

    `fields` names the field of the details whose value a label has, where the names differ; `values` computes labels
    that are no field.
    """

    name: str
    kinds: tuple[type[EventDetails], ...]
    labels: tuple[str, ...]
    where: Callable[[Event], bool] = every_event
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    values: Mapping[str, Callable[[Event], str]] = field(default_factory=lambda: MappingProxyType({}))

    def labels_of(self, event: Event) -> Labels:
        """The label values for an event."""
        return tuple(
            self.values[label](event) if label in self.values else label_value(event, self.fields.get(label, label))
            for label in self.labels
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMetrics:
    """All metrics that events move."""

    counters: tuple[EventCounter, ...] = ()
    timestamps: tuple[EventTimestamp, ...] = ()


NO_EVENT_METRICS = EventMetrics()


def timestamp_events(
    stamps: Timestamps, events: Iterable[Event], gauges: Iterable[EventTimestamp], limit: int
) -> Timestamps:
    """Set the gauges that the events touch; the same object when none did."""
    changed: dict[str, dict[Labels, float]] = {}
    dropped = stamps.dropped
    for event in events:
        for gauge in gauges:
            if isinstance(event.details, gauge.kinds) and gauge.where(event):
                series = changed.setdefault(gauge.name, dict(stamps.series.get(gauge.name, {})))
                labels = gauge.labels_of(event)
                series.pop(labels, None)
                series[labels] = event.at.seconds
                while len(series) > limit:  # more than one too many after the limit was lowered
                    del series[next(iter(series))]
                    dropped += 1
    return Timestamps(series=MappingProxyType({**stamps.series, **changed}), dropped=dropped) if changed else stamps


def expire(stamps: Timestamps, now: Instant, keep_seconds: float) -> Timestamps:
    """Forget what happened more than `keep_seconds` ago; the same object when nothing did."""
    horizon = now.seconds - keep_seconds
    if all(at > horizon for series in stamps.series.values() for at in series.values()):
        return stamps
    kept = {
        name: {labels: at for labels, at in series.items() if at > horizon} for name, series in stamps.series.items()
    }
    return replace(stamps, series=MappingProxyType(kept))


def happened_before(stamps: Timestamps, moment: Instant) -> Timestamps:
    """Only what happened before `moment`."""
    series = {
        name: MappingProxyType({labels: at for labels, at in each.items() if at < moment.seconds})
        for name, each in stamps.series.items()
    }
    return replace(stamps, series=MappingProxyType(series))


def timestamps_to_json(stamps: Timestamps) -> JsonObject:
    """The gauges as a checkpoint."""
    return {name: [[list(labels), at] for labels, at in series.items()] for name, series in stamps.series.items()}


def timestamps_from_json(document: JsonObject) -> Timestamps:
    """Undo :func:`timestamps_to_json`; entries of another shape are dropped."""
    rows = {name: entries_from_json(tuple[Labels, float], entries) for name, entries in document.items()}
    return Timestamps(series=MappingProxyType({name: dict(entries) for name, entries in rows.items()}))


def timestamps_joined(stamps: Timestamps, earlier: JsonObject) -> Timestamps:
    """The gauges with those of an earlier run, the newer ones last; `stamp` keeps them within their number."""
    before = timestamps_from_json(earlier).series
    names = dict.fromkeys((*before, *stamps.series))
    nothing: Series = {}
    series = {name: {**before.get(name, nothing), **stamps.series.get(name, nothing)} for name in names}
    return replace(stamps, series=MappingProxyType(series))
