"""The limits of recognition: when a report is over, how much of it is kept, and when a repeat is news again."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kmodmon.events.report import FaultReason
from kmodmon.reports.recognizer import Recognized, RecognizerState, flush, recognize, tick
from kmodmon.savedlog.savedlog import SavedLine

CUT = "------------[ cut here ]------------"
BANNER = "WARNING: CPU: 1 PID: 149 at drivers/foo.c:16 foo_fn+0x19f/0x280 [foo]"
FRAME = " foo_fn+0x1/0x2 [foo]"
OTHER = "usb 1-1: new high-speed USB device number 2 using xhci_hcd"
HUNG = "INFO: task kworker/0:1:77 blocked for more than 120 seconds."


def lines(*texts: str, facility: int = 0) -> list[SavedLine]:
    return [SavedLine(text=text, number=number, facility=facility) for number, text in enumerate(texts, 1)]


def warning(number: int) -> str:
    return BANNER.replace("foo_fn", f"fn_{chr(97 + number % 26)}_{number:x}q")


def recognized(given: Sequence[SavedLine], now_usec: int = 0) -> Recognized:
    """What one batch gives, without what is still open at its end."""
    return recognize(RecognizerState(), given, now_usec)[1]


def closed_lines(given: Sequence[SavedLine]) -> list[int]:
    """The numbers of lines of the reports that are over by the last line."""
    return [report.lines for report in recognized(given).reports]


def test_report_when_64_foreign_lines_follow_then_it_is_over_with_the_next() -> None:
    assert closed_lines(lines(BANNER, *[OTHER] * 64)) == []
    assert closed_lines(lines(BANNER, *[OTHER] * 65)) == [1]


def test_report_when_it_never_ends_then_2000_lines_and_one_are_kept() -> None:
    assert closed_lines(lines(BANNER, *[FRAME] * 2000)) == []
    (report,) = recognized(lines(BANNER, *[FRAME] * 2001)).reports
    assert (report.lines, len(report.frames), len(report.evidence)) == (2001, 64, 24)


@pytest.mark.parametrize(
    ("banner", "passed", "over"),
    [
        (BANNER, 5_000_000, False),
        (BANNER, 5_000_001, True),
        (BANNER, -60_000_000, False),
        (BANNER, -60_000_001, True),
        (HUNG, 30_000_000, False),
        (HUNG, 30_000_001, True),
    ],
)
def test_report_when_printks_clock_leaps_then_it_is_over(banner: str, passed: int, over: bool) -> None:
    first, second = (replace(line, printk_usec=100_000_000) for line in lines(banner, OTHER))
    assert bool(closed_lines([first, replace(second, printk_usec=100_000_000 + passed)])) is over


def test_report_when_a_line_has_no_time_then_no_leap_ends_it() -> None:
    stamped = [replace(line, printk_usec=1) for line in lines(BANNER, OTHER)]
    assert closed_lines([stamped[0], replace(stamped[1], printk_usec=None)]) == []
    assert closed_lines([replace(stamped[0], printk_usec=None), replace(stamped[1], printk_usec=10**9)]) == []


@pytest.mark.parametrize(("between", "first"), [(0, 1), (11, 1), (12, 14)])
def test_cut_here_when_the_banner_comes_within_12_lines_then_the_report_begins_there(between: int, first: int) -> None:
    state, _ = recognize(RecognizerState(), lines(CUT, *[OTHER] * between, BANNER))
    assert [report.first_line for report in flush(state)[1].reports] == [first]


def test_cut_here_when_no_banner_comes_then_it_is_forgotten() -> None:
    assert recognize(RecognizerState(), lines(CUT, *[OTHER] * 12))[0].wants_all
    assert not recognize(RecognizerState(), lines(CUT, *[OTHER] * 13))[0].wants_all


def test_reports_when_nine_are_open_then_the_oldest_is_closed() -> None:
    assert closed_lines(lines(*map(warning, range(8)))) == []
    assert [report.first_line for report in recognized(lines(*map(warning, range(9)))).reports] == [1]


def test_modules_when_the_list_is_long_then_512_are_kept() -> None:
    names = " ".join(f"m{number}" for number in range(600))
    state, _ = recognize(RecognizerState(), lines(BANNER, f"Modules linked in: {names}"))
    (report,) = flush(state)[1].reports
    assert [module.name for module in report.linked] == [f"m{number}" for number in range(512)]


def test_evidence_when_a_line_is_long_then_240_characters_are_kept() -> None:
    state, _ = recognize(RecognizerState(), lines(BANNER, FRAME + "x" * 500))
    assert [len(line) for line in flush(state)[1].reports[0].evidence] == [len(BANNER), 240]


def test_forgeries_when_many_then_32_are_kept_with_240_characters_and_all_are_counted() -> None:
    found = recognized(lines(*[BANNER + "x" * 500] * 40, facility=3))
    assert (len(found.forgeries), found.forged, found.reports) == (32, 40, ())
    assert {(len(one.text), one.facility) for one in found.forgeries} == {(240, 3)}
    assert [one.number for one in found.forgeries] == list(range(1, 33))


def test_tick_when_less_than_a_second_of_silence_then_nothing_is_closed() -> None:
    state, _ = recognize(RecognizerState(), lines(BANNER), 5_000_000)
    # a line of user space is no line of the kernel
    state, _ = recognize(state, lines(OTHER, facility=3), 5_900_000)
    assert tick(state, 5_999_999) == (state, Recognized())
    assert len(tick(state, 6_000_000)[1].reports) == 1


def test_echo_when_two_consoles_print_a_line_then_it_is_one_banner() -> None:
    state, _ = recognize(RecognizerState(), lines(BANNER, BANNER))
    assert [report.lines for report in flush(state)[1].reports] == [2]


def test_cut_here_when_the_banner_is_in_the_next_batch_then_the_report_begins_there() -> None:
    first, *rest = lines(CUT, OTHER, BANNER)
    state, _ = recognize(RecognizerState(), [first])
    state, _ = recognize(state, rest)
    assert [report.first_line for report in flush(state)[1].reports] == [1]


def test_pointer_when_it_is_on_the_line_after_rip_then_it_is_no_frame() -> None:
    oops = lines(
        "Unable to handle kernel NULL pointer dereference at 0000000000000010 RIP: ",
        " [<ffffffff8836e2c1>] :nfs:nfs_readdir+0x1c1/0x4f0",
        "Call Trace:",
        " [<ffffffff810a376f>] vfs_readdir+0x1f/0x280",
    )
    (report,) = flush(recognize(RecognizerState(), oops)[0])[1].reports
    assert (report.function, report.module, report.module_reason) == ("nfs_readdir", "nfs", FaultReason.INSTRUCTION)
    assert [frame.function for frame in report.frames] == ["vfs_readdir"]


def test_taint_when_a_second_dump_names_it_again_then_that_of_the_first_stays() -> None:
    task = "CPU: 1 UID: 0 PID: 149 Comm: insmod Tainted: G           O        6.12.0 #1"
    first, second = "Tainted: [O]=OOT_MODULE", "Tainted: [W]=WARN, [O]=OOT_MODULE"
    state, _ = recognize(RecognizerState(), lines(BANNER, task, first, "Call Trace:", FRAME, task, second))
    (report,) = flush(state)[1].reports
    assert (report.taint_letters, report.lines) == ("O", 7)


def test_notice_when_its_title_has_a_place_for_the_symbol_then_it_is_filled() -> None:
    denied = "Lockdown: dd: /dev/mem,kmem,port is restricted; see man kernel_lockdown.7"
    found = recognized(lines(denied, "foo: Unknown symbol bar (err -2)"))
    assert [(one.title, one.symbol, one.module) for one in found.notices] == [
        ("lockdown: /dev/mem,kmem,port", "/dev/mem,kmem,port", None), ("unknown symbol: foo", "bar", "foo"),
    ]  # fmt: skip
