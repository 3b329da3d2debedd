"""Timestamp gauges: when something last happened, exposed for the time of the setting `retention.recent`.

So an alert sees what happened between two scrapes, also when the module is unloaded since. A gauge has at most `limit`
series; more push out the oldest, which are counted. The gauges are declared with the metrics (`kmodmon/metrics`), which
are passed to the pipeline.
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
    """All timestamp gauges."""

    series: Mapping[str, Series] = field(default_factory=lambda: MappingProxyType({}))  # by metric, the oldest first
    dropped: int = 0  # series over the limit since the daemon started


NO_TIMESTAMPS = Timestamps()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTimestamp:
    """A gauge whose value is the time of the latest event of some kinds, for each set of label values."""

    name: str  # of the metric
    kinds: tuple[type[EventDetails], ...]  # with their subclasses
    labels: tuple[str, ...]
    where: Callable[[Event], bool] = every_event  # only events for which it is true count
    # label -> field of the details, for a label that is called otherwise
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    # label -> function that computes its value, for a label that is no field
    values: Mapping[str, Callable[[Event], str]] = field(default_factory=lambda: MappingProxyType({}))

    def labels_of(self, event: Event) -> Labels:
        """The label values for an event."""
        return tuple(
            self.values[label](event) if label in self.values else label_value(event, self.fields.get(label, label))
            for label in self.labels
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMetrics:
    """The metrics that events move."""

    counters: tuple[EventCounter, ...] = ()
    timestamps: tuple[EventTimestamp, ...] = ()


NO_EVENT_METRICS = EventMetrics()


def timestamp_events(
    stamps: Timestamps, events: Iterable[Event], gauges: Iterable[EventTimestamp], limit: int
) -> Timestamps:
    """Set the gauges of these events; return the same object when there is none."""
    changed: dict[str, dict[Labels, float]] = {}
    dropped = stamps.dropped
    for event in events:
        for gauge in gauges:
            if isinstance(event.details, gauge.kinds) and gauge.where(event):
                series = changed.setdefault(gauge.name, dict(stamps.series.get(gauge.name, {})))
                labels = gauge.labels_of(event)
                series.pop(labels, None)
                series[labels] = event.at.seconds
                while len(series) > limit:  # several at once after the limit was lowered
                    del series[next(iter(series))]
                    dropped += 1
    return Timestamps(series=MappingProxyType({**stamps.series, **changed}), dropped=dropped) if changed else stamps


def expire(stamps: Timestamps, now: Instant, keep_seconds: float) -> Timestamps:
    """Remove series older than `keep_seconds`; return the same object when there is none."""
    horizon = now.seconds - keep_seconds
    if all(at > horizon for series in stamps.series.values() for at in series.values()):
        return stamps
    kept = {
        name: {labels: at for labels, at in series.items() if at > horizon} for name, series in stamps.series.items()
    }
    return replace(stamps, series=MappingProxyType(kept))


def happened_before(stamps: Timestamps, moment: Instant) -> Timestamps:
    """Keep only the series from before `moment`."""
    series = {
        name: MappingProxyType({labels: at for labels, at in gauge.items() if at < moment.seconds})
        for name, gauge in stamps.series.items()
    }
    return replace(stamps, series=MappingProxyType(series))


def timestamps_to_json(stamps: Timestamps) -> JsonObject:
    """The gauges as a checkpoint: name -> list of [label values, seconds since the epoch]."""
    return {name: [[list(labels), at] for labels, at in series.items()] for name, series in stamps.series.items()}


def timestamps_from_json(document: JsonObject) -> Timestamps:
    """Undo :func:`timestamps_to_json`; entries of another shape are dropped."""
    rows = {name: entries_from_json(tuple[Labels, float], entries) for name, entries in document.items()}
    return Timestamps(series=MappingProxyType({name: dict(entries) for name, entries in rows.items()}))


def timestamps_joined(stamps: Timestamps, earlier: JsonObject) -> Timestamps:
    """Put the series of an earlier run before those of this one; `timestamp_events` enforces the limit later."""
    before = timestamps_from_json(earlier).series
    names = dict.fromkeys((*before, *stamps.series))
    nothing: Series = {}
    series = {name: {**before.get(name, nothing), **stamps.series.get(name, nothing)} for name in names}
    return replace(stamps, series=MappingProxyType(series))
