"""Reports of earlier boots from many dumps: each is in one event, and those left out are counted."""

from kmodmon.kernel.pstore import Dump
from kmodmon.reports.previous_boot import MAX_REPORTS, previous_boot_reports
from tests.fake_clock import FakeClock

WARNING = (
    "<4>[{stamp}.000000] ------------[ cut here ]------------\n"
    "<4>[{stamp}.000001] WARNING: CPU: 0 PID: 1 at drivers/x/f{number}.c:7 f{number}+0x1/0x2 [m{number}]\n"
    "<4>[{stamp}.000002] ---[ end trace 0000000000000000 ]---\n"
)


def dump(*numbers: int) -> Dump:
    text = "".join(WARNING.format(stamp=100 + number, number=number) for number in numbers)
    return Dump(kind="dmesg", backend="efi_pstore", reason="Oops", time_usec=None, text=text.encode())


def test_earlier_when_there_are_many_reports_then_the_last_event_counts_those_that_are_not_told() -> None:
    events = previous_boot_reports((), [dump(*range(MAX_REPORTS + 9))], FakeClock().now())
    assert len(events) == MAX_REPORTS
    assert [event.fields.get("untold") for event in events[-2:]] == [None, 9]


def test_earlier_when_a_dump_is_there_twice_then_each_report_is_told_once() -> None:
    events = previous_boot_reports((), [dump(1, 2), dump(2, 1)], FakeClock().now())
    assert [event.module for event in events] == ["m1", "m2"]
    assert all("untold" not in event.fields for event in events)
