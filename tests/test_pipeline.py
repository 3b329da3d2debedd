"""What `step` itself does: the parts are tried in their own rooms."""

import pytest

from kmodmon.config.settings import Settings
from kmodmon.events.kinds.log import KernelReported, LogForged
from kmodmon.events.kinds.policy import PolicyViolated
from kmodmon.events.kinds.source import TraceEventsLost
from kmodmon.events.kinds.taint import TaintAdded, TaintCleared
from kmodmon.lifecycle.signals import TraceRead
from kmodmon.pipeline import Rules
from kmodmon.state.observation import Tick
from kmodmon.subjects.rules import RulesFileRead
from kmodmon.types.source_name import SourceName
from tests.kmsg_maker import WARNING, read, records
from tests.states import Story, module

W = 1 << 9


def test_log_when_records_are_missing_then_its_source_shows_how_many_and_no_other_does() -> None:
    story = Story()
    story.see("kmsg", read(records((b"a", b"b"))))
    assert story.state.sources[SourceName.KMSG].lost == 0
    story.taint(0)
    before = story.state.sources
    story.see("kmsg", read(records((b"c",), first=7)))
    assert story.state.sources[SourceName.KMSG].lost == 5 and set(story.state.sources) == {"kmsg", "taint"}
    assert story.state.sources[SourceName.TAINT] is before[SourceName.TAINT]


def test_report_when_told_then_it_is_counted_stamped_and_remembered() -> None:
    story = Story()
    story.see("kmsg", read(records(WARNING), live=True))
    for _ in range(3):
        story.see("clock", Tick(), after=1.0)
    assert [event.type for event in story.events].count(KernelReported.kind.type) == 1
    assert len(story.state.reported) == 1
    assert sum(story.state.counts["kmodmon_kernel_reports_total"].values()) == 1


@pytest.mark.parametrize("priority", [7, 8])
def test_report_when_written_then_only_the_kernels_own_facility_is_believed(priority: int) -> None:
    """Priority 8 is the lowest that user space can write: facility 1, level 0."""
    story = Story()
    story.see("kmsg", read(records(WARNING, priority=priority), live=True))
    for _ in range(3):
        story.see("clock", Tick(), after=1.0)
    expected = KernelReported.kind.type if priority < 8 else LogForged.kind.type
    assert [event.type for event in story.events] == [expected]
    counted = ("debug", "kernel") if priority < 8 else ("emerg", "user")
    assert story.state.log.records == {counted: len(WARNING)}


def test_rules_when_nothing_is_set_then_as_the_settings_are_by_default() -> None:
    retention = Settings().retention
    assert (Rules().keep_recent_seconds, Rules().recent_series) == (retention.recent, retention.max_series)


@pytest.mark.parametrize(("seconds", "kept"), [(86_399, True), (86_400, False)])
def test_time_of_an_event_when_a_day_is_over_then_it_is_not_exposed_any_more(seconds: int, kept: bool) -> None:
    story = Story()
    story.modules()
    story.modules(module("a"))
    counts = story.state.counts
    assert any(story.state.stamps.series.values())
    story.see("clock", Tick(), after=seconds)
    assert any(story.state.stamps.series.values()) is kept and story.state.counts is counts


def test_event_when_it_is_only_counted_then_the_count_is_kept() -> None:
    story = Story()
    story.see("trace", TraceRead(), lost=4)
    assert [event.type for event in story.events] == [TraceEventsLost.kind.type]
    assert sum(story.state.counts["kmodmon_events_total"].values()) == 1
    assert not any(story.state.stamps.series.values())


def test_tick_when_nothing_waits_then_the_state_is_the_same_object() -> None:
    story = Story()
    story.modules(module("a"))
    story.taint(0)
    before = story.state
    assert story.see("clock", Tick(), after=1.0) == () and story.state is before


def test_taint_when_value_ledger_or_pending_bits_change_then_it_is_judged_in_that_step() -> None:
    story = Story()
    story.see("policy", RulesFileRead(what="policy", path="/p", raw=None))
    story.modules()
    first = [event.type for event in story.taint(W)]
    assert first == [PolicyViolated.kind.type] and [one.subject for one in story.state.findings.current.values()]
    assert [event.type for event in story.taint(0)][:1] == [TaintCleared.kind.type]
    assert not story.state.findings.current
    assert story.taint(W) == ()
    assert [event.type for event in story.see("clock", Tick(), after=10.0)] == [
        TaintAdded.kind.type,
        PolicyViolated.kind.type,
    ]
