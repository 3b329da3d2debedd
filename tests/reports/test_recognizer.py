from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.events.report import FaultReason, KernelReport, LoadFailure, ReportClass
from kmodmon.reports.assembler import MAX_OPEN
from kmodmon.reports.recognizer import Recognized, RecognizerState, flush, recognize, tick
from kmodmon.reports.saved_log import explain_log
from kmodmon.savedlog.savedlog import SavedLine, read_saved_log
from tests.reports.casefile import CASES, read_case

SECOND = 1_000_000
WARN = (
    "------------[ cut here ]------------",
    "WARNING: CPU: 1 PID: 149 at drivers/foo.c:16 foo_fn+0x19f/0x280 [foo]",
    "Modules linked in: foo(OE) bar",
    "CPU: 1 PID: 149 Comm: insmod Tainted: G           OE     6.1.0 #1",
    "RIP: 0010:foo_fn+0x19f/0x280 [foo]",
    "---[ end trace 0000000000000000 ]---",
)
OOPS = (
    "BUG: kernel NULL pointer dereference, address: 0000000000000010",
    "Oops: 0002 [#1] PREEMPT SMP NOPTI",
    "CPU: 1 PID: 149 Comm: insmod Tainted: G           OE     6.1.0 #1",
    "RIP: 0010:foo_fn+0x19f/0x280 [foo]",
)
EXT4 = "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #123456: comm ls: reading directory lblock 0"
FRAME = " foo_fn+0x1/0x2 [foo]"
OTHER = "usb 1-1: new high-speed USB device number 2 using xhci_hcd"


def _lines(texts: tuple[str, ...], facility: int = 0) -> list[SavedLine]:
    return [SavedLine(text=text, number=number, facility=facility) for number, text in enumerate(texts, 1)]


def _explained(*texts: str) -> tuple[KernelReport, ...]:
    return explain_log("\n".join(texts).encode())


def _pool() -> list[SavedLine]:
    saved = [line for path in CASES for line in read_saved_log(read_case(path).log)]
    return [replace(line, number=number, level=None, printk_usec=None) for number, line in enumerate(saved[::3], 1)]


POOL = _pool()


def _all(lines: list[SavedLine], cuts: tuple[int, ...] = ()) -> tuple[KernelReport, ...]:
    state, reports = RecognizerState(), list[KernelReport]()
    edges = sorted({0, len(lines), *(cut % (len(lines) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        state, recognized = recognize(state, lines[start:end])
        reports += recognized.reports
    return (*reports, *flush(state)[1].reports)


@settings(deadline=None)
@given(st.lists(st.sampled_from(POOL), max_size=120), st.lists(st.integers(0, 200), max_size=6))
def test_recognise_when_the_stream_is_cut_anywhere_then_the_reports_are_the_same(
    lines: list[SavedLine], cuts: list[int]
) -> None:
    assert _all(lines, tuple(cuts)) == _all(lines)


@settings(deadline=None)
@given(st.lists(st.text(max_size=80), max_size=40))
def test_recognise_when_given_any_text_then_never_raises(texts: list[str]) -> None:
    _all(_lines(tuple(texts)))


def test_recognise_when_given_a_batch_then_leaves_the_old_state_as_it_was() -> None:
    lines = _lines(WARN)
    before, _ = recognize(RecognizerState(), lines[:3])
    frozen = flush(before)[1].reports
    recognize(before, lines[3:])
    assert flush(before)[1].reports == frozen


def test_tick_when_a_report_is_silent_for_a_second_then_closes_it() -> None:
    state, recognized = recognize(RecognizerState(), _lines(WARN[:4]), now_usec=10 * SECOND)
    assert recognized == Recognized()
    assert state.wants_all
    state, recognized = tick(state, 10 * SECOND + SECOND // 2)
    assert recognized.reports == ()
    state, recognized = tick(state, 11 * SECOND)
    assert [report.module for report in recognized.reports] == ["foo"]
    assert not state.wants_all


def test_recognise_when_a_storm_of_different_reports_comes_then_stays_bounded_and_gives_each() -> None:
    texts = tuple(f"WARNING: CPU: 0 PID: 1 at drivers/f.c:1 f_{chr(97 + n % 26)}_{n:x}q+0x1/0x2" for n in range(1000))
    state, recognized = recognize(RecognizerState(), _lines(texts), now_usec=SECOND)
    _, last = flush(state)
    assert len(state.open) <= MAX_OPEN
    assert len(recognized.reports) + len(last.reports) == 1000


def test_recognise_when_one_report_never_ends_then_closes_it() -> None:
    texts = (WARN[1], *(f" frame_{number}+0x1/0x2" for number in range(5000)))
    state, recognized = recognize(RecognizerState(), _lines(texts))
    assert len(recognized.reports) == 1
    assert len(recognized.reports[0].frames) <= 64
    assert not state.open


def test_recognise_when_user_space_writes_a_report_then_counts_a_forgery_and_reports_nothing() -> None:
    state, recognized = recognize(RecognizerState(), _lines(WARN, facility=1), now_usec=SECOND)
    assert recognized.reports == () and not state.open
    assert recognized.forged == len(recognized.forgeries) == 1
    assert (recognized.forgeries[0].signature, recognized.forgeries[0].facility) == ("warning", 1)


def test_recognise_when_user_space_writes_into_an_open_report_then_the_report_is_untouched() -> None:
    mixed = [line for pair in zip(_lines(WARN), _lines(WARN[::-1], facility=1), strict=True) for line in pair]
    state, _ = recognize(RecognizerState(), mixed, now_usec=SECOND)
    _, recognized = flush(state)
    assert [(report.lines, report.comm) for report in recognized.reports] == [(5, "insmod")]


def test_recognise_when_the_loader_refuses_then_gives_reason_and_only_a_named_module() -> None:
    texts = (
        "Loading of unsigned module is rejected",
        "foo: Unknown symbol bar (err -2)",
        "Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7",
        "Lockdown: dd: /dev/mem,kmem,port is restricted; see man kernel_lockdown.7",
        "foo: loading out-of-tree module taints kernel.",
    )
    _, recognized = recognize(RecognizerState(), _lines(texts))
    assert [(notice.reason, notice.module, notice.symbol) for notice in recognized.load_failures] == [
        (LoadFailure.UNSIGNED, None, None),
        (LoadFailure.UNKNOWN_SYMBOL, "foo", "bar"),
        (LoadFailure.LOCKDOWN, None, "unsigned module loading"),
    ]
    assert [notice.comm for notice in recognized.denials] == ["insmod", "dd"]
    assert [(notice.module, notice.module_reason) for notice in recognized.taints] == [("foo", FaultReason.NAMED)]
    assert recognized.reports == ()


def test_recognise_when_numbers_addresses_and_processes_differ_then_the_fingerprint_is_the_same() -> None:
    other = tuple(
        text.replace("0x19f", "0x200").replace("149", "77").replace("insmod", "modprobe").replace("CPU: 1", "CPU: 3")
        for text in WARN
    )
    first, second = (_all(_lines(texts))[0] for texts in (WARN, other))
    assert first.pid != second.pid
    assert (first.fingerprint, first.title) == (second.fingerprint, second.title)


def test_recognise_when_two_bugs_differ_in_function_then_the_fingerprints_differ() -> None:
    other = tuple(text.replace("foo_fn", "bar_fn") for text in WARN)
    assert _all(_lines(WARN))[0].fingerprint != _all(_lines(other))[0].fingerprint


def test_recognise_when_a_record_continues_the_module_list_then_the_list_goes_on() -> None:
    lines = [
        *_lines(WARN[:2]),
        SavedLine(text="Modules linked in: a(OE) b", number=3),
        SavedLine(text=" c d(P) [last unloaded: e]", number=4, continuation=True),
    ]
    report = _all(lines)[0]
    assert [(module.name, module.flags) for module in report.linked] == [("a", "OE"), ("b", ""), ("c", ""), ("d", "P")]
    assert report.last_unloaded == "e"


def test_report_when_made_json_then_has_the_public_keys() -> None:
    report = _all(_lines(WARN))[0]
    assert list(report.to_json()) == [
        "class", "signature", "title", "severity", "module", "function", "taint", "panic", "fingerprint", "first_line",
        "last_line",
    ]  # fmt: skip
    assert report.to_json()["taint"] == "OE"
    assert report.report_class is ReportClass.WARNING


def test_blank_lines_when_between_the_lines_of_a_log_then_they_are_no_distance() -> None:
    texts = (WARN[1], *(OTHER, "", "  ") * 63, FRAME)
    assert [report.lines for report in _all(_lines(texts))] == [2]


def test_blanks_when_a_body_line_has_a_long_run_then_24_are_kept() -> None:
    (report,) = _explained(WARN[1], f"Code: 0f{' ' * 24}0b", f"Code: 0f{' ' * 25}0b", f"Code: 0f{' ' * 99}0b")
    assert report.evidence[1:] == (f"Code: 0f{' ' * 24}0b",) * 3


def test_banner_when_it_comes_again_behind_another_line_then_it_is_no_echo() -> None:
    lockup = "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [foo:123]"
    assert [report.lines for report in _explained(lockup, lockup)] == [2]
    assert [report.lines for report in _explained(lockup, OTHER, lockup)] == [1, 1]


def test_end_of_a_panic_when_the_panic_is_over_then_it_begins_no_report() -> None:
    panic = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"
    end = f"---[ end {panic} ]---"
    assert [report.lines for report in _explained(panic, OTHER, end)] == [2]
    assert [report.lines for report in _explained(panic, *[OTHER] * 65, end)] == [1]
    assert [report.lines for report in _explained(*[OTHER] * 65, end)] == [1]


def test_end_of_a_panic_when_the_panics_own_line_is_lost_then_the_report_ended_in_a_panic() -> None:
    (report,) = _explained(*OOPS, "---[ end Kernel panic - not syncing: Fatal exception ]---")
    assert (report.panic, report.lines) == (True, len(OOPS) + 1)


def test_end_trace_when_the_registers_come_again_then_they_belong_to_no_report() -> None:
    (report,) = _explained(*WARN, "RIP: 0010:bar_fn+0x1/0x2 [bar]", "RAX: 0000000000000000 RBX: 0000000000000000")
    assert (report.lines, report.last_line) == (len(WARN) - 1, len(WARN))


def test_end_trace_when_a_panic_follows_then_its_dump_belongs_to_the_report() -> None:
    panic = ("Kernel panic - not syncing: Fatal exception", "Kernel Offset: disabled", "RIP: 0010:bar_fn+0x1/0x2 [bar]")
    (report,) = _explained(*OOPS, WARN[-1], *panic, "---[ end Kernel panic - not syncing: Fatal exception ]---")
    assert (report.panic, report.module, report.lines) == (True, "foo", len(OOPS) + 5)


@pytest.mark.parametrize(("above", "lines", "last_line"), [(3, 4, 5), (4, 5, 5)])
def test_line_of_equal_signs_when_four_lines_are_above_then_it_ends_the_report(
    above: int, lines: int, last_line: int
) -> None:
    kasan = (
        "BUG: KASAN: slab-use-after-free in foo_read+0x12/0x40 [foo]",
        "Read of size 8 at addr ffff888012345678 by task cat/149",
        "CPU: 1 PID: 149 Comm: cat Tainted: G           OE      6.6.0 #1",
        "Call Trace:",
    )
    (report,) = _explained(*kasan[:above], "=" * 66, FRAME)
    assert (report.lines, report.last_line) == (lines, last_line)


def test_record_when_it_continues_a_trace_then_it_is_no_list_of_modules() -> None:
    lines = [
        *_lines((*WARN[1:3], "Call Trace:")),
        SavedLine(text=" [<ffffffff810a376f>] foo_read+0x1f/0x280 [foo]", number=4, continuation=True),
    ]
    (report,) = _all(lines)
    assert [frame.function for frame in report.frames] == ["foo_read"]
    assert [module.name for module in report.linked] == ["foo", "bar"]


def test_body_when_only_a_report_of_one_line_is_open_then_it_belongs_to_it() -> None:
    task = "CPU: 1 PID: 149 Comm: ls Tainted: G           OE     6.1.0 #1"
    (report,) = _explained(EXT4, task, "Call Trace:", " ext4_find_entry+0x1f/0x280 [ext4]")
    assert (report.signature, report.lines, report.taint_letters) == ("ext4_error", 4, "OE")
    assert [frame.function for frame in report.frames] == ["ext4_find_entry"]


def test_body_when_a_report_of_one_line_comes_into_a_trace_then_the_trace_goes_on() -> None:
    warning, ext4 = _explained(WARN[1], "Call Trace:", EXT4, FRAME)
    assert (warning.lines, ext4.lines) == (3, 1)


def test_panic_of_a_filesystem_when_an_oops_goes_on_below_its_error_then_the_panic_is_not_of_the_oops() -> None:
    panic = "Kernel panic - not syncing: EXT4-fs (device sda1): panic forced after error"
    oops, ext4 = _explained(*OOPS[:2], EXT4, *OOPS[2:], panic)
    assert [(report.panic, report.lines) for report in (oops, ext4)] == [(False, len(OOPS)), (True, 2)]


def test_body_when_a_warning_comes_into_an_oops_then_it_belongs_to_the_newer() -> None:
    oops, warning = _explained(*OOPS[:2], WARN[1], FRAME)
    assert (oops.lines, oops.frames) == (2, ())
    assert (warning.lines, len(warning.frames)) == (2, 1)


def test_body_when_another_caller_writes_then_it_belongs_to_no_report_of_the_first() -> None:
    (report,) = _explained(f"[    1.000000][  T149] {WARN[1]}", f"[    1.000001][   T77] {FRAME}")
    assert (report.lines, report.frames) == (1, ())


def test_cut_here_when_another_caller_writes_it_then_its_report_begins_there() -> None:
    first, second = _explained(
        f"[    1.000000][  T149] {WARN[1]}",
        f"[    1.000001][   T77] {WARN[0]}",
        f"[    1.000002][  T149] {FRAME}",
        f"[    1.000003][   T77] {WARN[1].replace('foo_fn', 'bar_fn')}",
    )
    assert [(first.first_line, first.lines), (second.first_line, second.lines)] == [(1, 2), (2, 1)]


@pytest.mark.parametrize("cpu", [0, 1])
def test_second_dump_when_reports_of_two_cpus_are_open_then_it_belongs_to_that_of_its_cpu(cpu: int) -> None:
    lockups = [f"watchdog: BUG: soft lockup - CPU#{number} stuck for 22s! [foo:{number}]" for number in (0, 1)]
    tasks = [f"CPU: {number} PID: {number} Comm: foo Tainted: G           OEL    6.1.0 #1" for number in (0, 1)]
    reports = _explained(*lockups, *tasks, tasks[cpu], "Call Trace:", FRAME)
    assert [report.lines for report in reports] == [5 - 3 * cpu, 2 + 3 * cpu]


def test_recognize_when_no_clock_is_given_then_the_time_is_0() -> None:
    state, _ = recognize(RecognizerState(), _lines(WARN))
    assert tick(state, SECOND - 1)[1].reports == ()
    state, recognized = tick(state, SECOND)
    assert len(recognized.reports) == 1
