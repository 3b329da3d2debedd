"""Counters of events: the pipeline adds each event to the counters of its kind, and nothing else moves them.

The counters are declared with the metrics (`kmodmon/metrics`), which are passed to the pipeline.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.events.event import Event, EventDetails
from kmodmon.types.codec import entries_from_json
from kmodmon.types.units import JsonObject

Labels: TypeAlias = tuple[str, ...]
Counts: TypeAlias = Mapping[str, Mapping[Labels, int]]  # counter name -> label values -> count since boot
NO_COUNTS: Counts = MappingProxyType({})


def label_value(event: Event, label: str) -> str:
    """The value of a label for an event: an attribute of the event, or else the field of that name of its details.

    A value that is None is `unknown`; only the module of an event about no module is the empty text.
    """
    match label:
        case "module":
            return event.module or ""
        case "actor":
            return "unknown" if event.actor is None else event.actor.name
        case "severity":
            return event.severity.value
        case "type":
            return event.type
        case _:
            value = getattr(event.details, label)
            return "unknown" if value is None else str(value)


def every_event(event: Event) -> bool:
    """Hold for every event: the default condition of a counter or timestamp."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCounter:
    """A counter that each event of some kinds moves by one."""

    name: str  # of the metric
    kinds: tuple[type[EventDetails], ...]  # with their subclasses
    labels: tuple[str, ...] = ()  # see `label_value`
    where: Callable[[Event], bool] = every_event  # only events for which it is true are counted
    reported_only: bool = False  # it leaves out events that their budget keeps out of the history


def count_events(
    counts: Counts, happened: Iterable[Event], reported: Iterable[Event], counters: Iterable[EventCounter]
) -> Counts:
    """Add the events to the counters; return the same object when no counter moved.

    `reported`: those of them that are told, which are all that some counters count.
    """
    changed: dict[str, dict[Labels, int]] = {}
    for events, reported_only in ((happened, False), (reported, True)):
        for event in events:
            for counter in counters:
                counts_it = counter.reported_only is reported_only and isinstance(event.details, counter.kinds)
                if counts_it and counter.where(event):
                    series = changed.setdefault(counter.name, dict(counts.get(counter.name, {})))
                    labels = tuple(label_value(event, label) for label in counter.labels)
                    series[labels] = series.get(labels, 0) + 1
    return MappingProxyType({**counts, **changed}) if changed else counts


def counts_to_json(counts: Counts) -> JsonObject:
    """The counters as a checkpoint: name -> list of [label values, count]."""
    return {name: [[list(labels), value] for labels, value in series.items()] for name, series in counts.items()}


def counts_from_json(document: JsonObject) -> Counts:
    """Undo :func:`counts_to_json`; entries of another shape are dropped."""
    rows = {name: entries_from_json(tuple[Labels, int], entries) for name, entries in document.items()}
    return MappingProxyType({name: dict(entries) for name, entries in rows.items()})
