"""Counters, computed from events: the pipeline adds what each event counts, and nothing else moves a counter.

Which counters there are is declared with the metrics (`kmodmon/metrics`), and given to the pipeline.
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
    """The value of a label for an event: of the event itself, else the field of that name of its details.

    What is not known is `unknown`, but for the module: an event about no module has an empty label.
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
    """No condition."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCounter:
    """A counter that events with details of some classes move by one, as far as `where` holds."""

    name: str
    kinds: tuple[type[EventDetails], ...]
    labels: tuple[str, ...] = ()
    where: Callable[[Event], bool] = every_event


def count_events(counts: Counts, events: Iterable[Event], counters: Iterable[EventCounter]) -> Counts:
    """Add what the events say to the counters; the same object when nothing moved."""
    changed: dict[str, dict[Labels, int]] = {}
    for event in events:
        for counter in counters:
            if isinstance(event.details, counter.kinds) and counter.where(event):
                series = changed.setdefault(counter.name, dict(counts.get(counter.name, {})))
                labels = tuple(label_value(event, label) for label in counter.labels)
                series[labels] = series.get(labels, 0) + 1
    return MappingProxyType({**counts, **changed}) if changed else counts


def counts_to_json(counts: Counts) -> JsonObject:
    """The counters as a checkpoint: name -> list of [label values, count]."""
    return {name: [[list(labels), value] for labels, value in series.items()] for name, series in counts.items()}


def counts_from_json(document: JsonObject) -> Counts:
    """Undo :func:`counts_to_json`; entries of another shape are dropped (they are counters, not facts)."""
    rows = {name: entries_from_json(tuple[Labels, int], entries) for name, entries in document.items()}
    return MappingProxyType({name: dict(entries) for name, entries in rows.items()})
