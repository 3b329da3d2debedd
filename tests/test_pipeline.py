"""What `step` itself does: the parts are tried in their own rooms."""

from kmodmon.events.event import EventType
from kmodmon.state.observation import Tick
from tests.kmsg_maker import WARNING, read, records
from tests.states import Story


def test_log_when_records_are_missing_then_its_source_shows_how_many_and_no_other_does() -> None:
    story = Story()
    story.see("kmsg", read(records((b"a", b"b"))))
    assert story.state.sources["kmsg"].lost == 0
    story.taint(0)
    before = story.state.sources
    story.see("kmsg", read(records((b"c",), first=7)))
    assert story.state.sources["kmsg"].lost == 5 and set(story.state.sources) == {"kmsg", "taint"}
    assert story.state.sources["taint"] is before["taint"]


def test_report_when_told_then_it_is_counted_stamped_and_remembered() -> None:
    story = Story()
    story.see("kmsg", read(records(WARNING), live=True))
    for _ in range(3):
        story.see("clock", Tick(), after=1.0)
    assert [event.type for event in story.events].count(EventType.KERNEL_REPORT) == 1
    assert len(story.state.told) == 1
    assert sum(story.state.counts["kmodmon_kernel_reports_total"].values()) == 1
