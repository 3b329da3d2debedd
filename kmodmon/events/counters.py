"""Counters, folded from events: nobody ever calls .inc(). One line of COUNTED is one counter fed by events."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.events.event import Event, EventType
from kmodmon.types.codec import entries_from_json
from kmodmon.types.units import JsonObject

Labels: TypeAlias = tuple[str, ...]
Counts: TypeAlias = Mapping[str, Mapping[Labels, int]]  # counter name -> label values -> count since boot
NO_COUNTS: Counts = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCounter:
    """A counter that events of some types move; `labels` gives the label values, `by` how far."""

    counter: str
    types: frozenset[EventType]
    labels: Callable[[Event], Labels] = lambda event: ()
    by: Callable[[Event], int] = lambda event: 1


def text_field(event: Event, name: str, default: str = "unknown") -> str:
    """A field of an event as label text."""
    value = event.fields.get(name)
    return value if isinstance(value, str) else default


def of_previous_boot(event: Event) -> bool:
    """Whether a report is of an earlier boot: found in pstore, and no trouble of the kernel that runs."""
    return event.fields.get("previous_boot") is True


EVENT_COUNTERS: tuple[EventCounter, ...] = (
    EventCounter(counter="kmodmon_events_total", types=frozenset(EventType), labels=lambda event: (event.type.value,)),
    EventCounter(
        counter="kmodmon_module_loads_total",
        types=frozenset({EventType.MODULE_LOADED}),
        labels=lambda event: (text_field(event, "signature"),),
    ),
    EventCounter(counter="kmodmon_module_unloads_total", types=frozenset({EventType.MODULE_UNLOADED})),
    EventCounter(
        counter="kmodmon_module_load_failures_total",
        types=frozenset({EventType.MODULE_LOAD_FAILED}),
        labels=lambda event: (text_field(event, "reason"),),
    ),
    EventCounter(counter="kmodmon_module_transients_total", types=frozenset({EventType.MODULE_TRANSIENT})),
    EventCounter(
        counter="kmodmon_witness_contradictions_total",
        types=frozenset({EventType.WITNESS_CONTRADICTED}),
    ),
    EventCounter(counter="kmodmon_kernel_taint_cleared_total", types=frozenset({EventType.TAINT_CLEARED})),
    EventCounter(
        counter="kmodmon_posture_changes_total",
        types=frozenset(
            {
                EventType.POSTURE_CHANGED,
                EventType.LOCKDOWN_CHANGED,
                EventType.MODULES_DISABLED,
                EventType.SIGNATURE_ENFORCEMENT_CHANGED,
            }
        ),
        labels=lambda event: (text_field(event, "setting"),),
    ),
    EventCounter(counter="kmodmon_module_parameter_changes_total", types=frozenset({EventType.PARAMETER_CHANGED})),
    EventCounter(
        counter="kmodmon_file_changes_total",
        types=frozenset({EventType.FILE_CHANGED}),
        labels=lambda event: (text_field(event, "tree"),),
    ),
    EventCounter(
        counter="kmodmon_kernel_reports_total",
        types=frozenset({EventType.KERNEL_REPORT}),
        labels=lambda event: (text_field(event, "signature"),),
        by=lambda event: 0 if of_previous_boot(event) else 1,
    ),
    EventCounter(
        counter="kmodmon_previous_boot_reports_total",
        types=frozenset({EventType.KERNEL_REPORT}),
        labels=lambda event: (text_field(event, "signature"),),
        by=lambda event: 1 if of_previous_boot(event) else 0,
    ),
)


def count_events(counts: Counts, events: Iterable[Event]) -> Counts:
    """Add what the events say to the counters; the same object when nothing moved."""
    changed: dict[str, dict[Labels, int]] = {}
    for event in events:
        for rule in EVENT_COUNTERS:
            if event.type in rule.types and (by := rule.by(event)):
                series = changed.setdefault(rule.counter, dict(counts.get(rule.counter, {})))
                labels = rule.labels(event)
                series[labels] = series.get(labels, 0) + by
    return MappingProxyType({**counts, **changed}) if changed else counts


def counts_to_json(counts: Counts) -> JsonObject:
    """The counters as a checkpoint: name -> list of [label values, count]."""
    return {name: [[list(labels), value] for labels, value in series.items()] for name, series in counts.items()}


def counts_from_json(document: JsonObject) -> Counts:
    """Undo :func:`counts_to_json`; entries of another shape are dropped (they are counters, not facts)."""
    rows = {name: entries_from_json(tuple[Labels, int], entries) for name, entries in document.items()}
    return MappingProxyType({name: dict(entries) for name, entries in rows.items()})
