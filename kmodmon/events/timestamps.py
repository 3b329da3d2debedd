"""Timestamp gauges: what happened stays visible for `retention.recent`, even if the module is gone.

An alert needs no luck between two scrapes. Bounded: at most `limit` series a gauge (the oldest go first, counted).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.events.counters import Labels, of_previous_boot, text_field
from kmodmon.events.event import Event, EventType
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
    """A gauge that holds when an event of some types last happened, as far as `concerns` says so."""

    gauge: str
    types: frozenset[EventType]
    labels: Callable[[Event], Labels]
    concerns: Callable[[Event], bool] = lambda event: True


def _module(event: Event) -> str:
    return event.module or ""


def _user(event: Event) -> str:
    uid = None if event.actor is None else event.actor.uid
    return "unknown" if uid is None else "root" if uid == 0 else "unprivileged"


EVENT_TIMESTAMPS: tuple[EventTimestamp, ...] = (
    EventTimestamp(
        gauge="kmodmon_module_load_timestamp_seconds",
        types=frozenset({EventType.MODULE_LOADED}),
        labels=lambda event: (
            _module(event),
            text_field(event, "signature"),
            text_field(event, "taints", ""),
            event.actor.name if event.actor is not None else "unknown",
        ),
    ),
    EventTimestamp(
        gauge="kmodmon_module_load_failure_timestamp_seconds",
        types=frozenset({EventType.MODULE_LOAD_FAILED}),
        labels=lambda event: (
            _module(event),
            text_field(event, "reason"),
            event.actor.name if event.actor is not None else "unknown",
        ),
    ),
    EventTimestamp(
        gauge="kmodmon_module_request_timestamp_seconds",
        types=frozenset({EventType.MODULE_REQUESTED}),
        labels=lambda event: (text_field(event, "name"), _user(event)),
    ),
    EventTimestamp(
        gauge="kmodmon_module_unload_timestamp_seconds",
        types=frozenset({EventType.MODULE_UNLOADED}),
        labels=lambda event: (
            _module(event),
            text_field(event, "taints", ""),
            event.actor.name if event.actor is not None else "unknown",
        ),
    ),
    EventTimestamp(
        gauge="kmodmon_module_hidden_timestamp_seconds",
        types=frozenset({EventType.MODULE_HIDDEN}),
        labels=lambda event: (_module(event), text_field(event, "confidence")),
    ),
    EventTimestamp(
        gauge="kmodmon_witness_contradiction_timestamp_seconds",
        types=frozenset({EventType.WITNESS_CONTRADICTED}),
        labels=lambda event: (_module(event), text_field(event, "kind")),
    ),
    EventTimestamp(
        gauge="kmodmon_kernel_taint_set_timestamp_seconds",
        types=frozenset({EventType.TAINT_ADDED}),
        labels=lambda event: (text_field(event, "flag"), text_field(event, "cause")),
    ),
    EventTimestamp(
        gauge="kmodmon_posture_change_timestamp_seconds",
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
    EventTimestamp(
        gauge="kmodmon_module_parameter_change_timestamp_seconds",
        types=frozenset({EventType.PARAMETER_CHANGED}),
        labels=lambda event: (_module(event), text_field(event, "parameter")),
    ),
    EventTimestamp(
        gauge="kmodmon_file_change_timestamp_seconds",
        types=frozenset({EventType.FILE_CHANGED}),
        labels=lambda event: (text_field(event, "tree"), _module(event)),
    ),
    EventTimestamp(
        gauge="kmodmon_policy_violation_timestamp_seconds",
        types=frozenset({EventType.POLICY_VIOLATED}),
        labels=lambda event: (text_field(event, "rule"), _module(event), event.severity.value),
    ),
    EventTimestamp(
        gauge="kmodmon_baseline_drift_timestamp_seconds",
        types=frozenset({EventType.BASELINE_DRIFTED}),
        labels=lambda event: (text_field(event, "kind"), _module(event)),
    ),
    EventTimestamp(
        gauge="kmodmon_kernel_report_timestamp_seconds",
        types=frozenset({EventType.KERNEL_REPORT}),
        labels=lambda event: (text_field(event, "signature"), _module(event)),
        concerns=lambda event: not of_previous_boot(event),
    ),
    EventTimestamp(
        gauge="kmodmon_previous_boot_report_timestamp_seconds",
        types=frozenset({EventType.KERNEL_REPORT}),
        labels=lambda event: (text_field(event, "signature"), _module(event)),
        concerns=of_previous_boot,
    ),
)


def timestamp_events(stamps: Timestamps, events: Iterable[Event], limit: int) -> Timestamps:
    """Set the gauges that the events touch; the same object when none did."""
    changed: dict[str, dict[Labels, float]] = {}
    dropped = stamps.dropped
    for event in events:
        for rule in EVENT_TIMESTAMPS:
            if event.type in rule.types and rule.concerns(event):
                series = changed.setdefault(rule.gauge, dict(stamps.series.get(rule.gauge, {})))
                labels = rule.labels(event)
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
        name: MappingProxyType({labels: at for labels, at in one.items() if at < moment.seconds})
        for name, one in stamps.series.items()
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
