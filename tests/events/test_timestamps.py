"""Timestamp gauges: bounded, the rest counted, also when the bound is lowered while there are more."""

from kmodmon.events.event import Event
from kmodmon.events.kinds.module import ModuleUnloaded
from kmodmon.events.timestamps import NO_TIMESTAMPS, timestamp_events
from kmodmon.metrics import EVENT_METRICS, METRICS
from kmodmon.state.state import State
from tests.fake_clock import FakeClock
from tests.states import BOOT

GAUGE = "kmodmon_module_unload_timestamp_seconds"
(DROPPED,) = (metric for metric in METRICS if metric.name == "kmodmon_recent_series_dropped_total")


def unloads(*names: str) -> tuple[Event, ...]:
    details = ModuleUnloaded(taints="", srcversion=None, lifetime_ms=None)
    return tuple(Event(details=details, at=FakeClock().now(), module=name) for name in names)


def test_stamps_when_there_are_too_many_then_the_oldest_go_and_a_metric_counts_them() -> None:
    stamps = timestamp_events(NO_TIMESTAMPS, unloads("a", "b", "c", "a"), EVENT_METRICS.timestamps, 2)
    assert [labels[0] for labels in stamps.series[GAUGE]] == ["c", "a"]
    state = State(boot_id=BOOT, started=FakeClock().now(), stamps=stamps)
    assert tuple(DROPPED.read(state)) == (((), float(stamps.dropped)),) and stamps.dropped == 2


def test_stamps_when_the_limit_is_lowered_then_the_next_event_brings_them_within_it() -> None:
    stamps = timestamp_events(NO_TIMESTAMPS, unloads(*"abcdefgh"), EVENT_METRICS.timestamps, 100)
    lowered = timestamp_events(stamps, unloads("z"), EVENT_METRICS.timestamps, 3)
    assert [labels[0] for labels in lowered.series[GAUGE]] == ["g", "h", "z"] and lowered.dropped == 6
