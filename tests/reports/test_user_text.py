"""Text that users choose in records of the kernel: it opens no report, and is counted as a forgery."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.report import KernelReport
from kmodmon.kernel.kmsg import parse_record
from kmodmon.reports.recognizer import Recognized, RecognizerState, flush, recognize
from kmodmon.reports.signatures.table import search
from kmodmon.reports.signatures.task_line import MAX_NAME, TAILS, without_name
from tests.kmsg_maker import record

OOPS_LINES = (
    "BUG: unable to handle page fault for address: ffffdeadbeef0000",
    "Oops: 0002 [#1] PREEMPT SMP NOPTI",
    "CPU: 3 PID: 1 Comm: systemd Tainted: P           OE     6.1.0 #1",
    "RIP: 0010:nv_open+0x4a/0x80 [nvidia]",
    "Call Trace:",
    " <TASK>",
    " nv_ioctl+0x12/0x40 [nvidia]",
)
BAD_FRAME = "[19363] bad frame in rt_sigreturn frame:00007ffd ip:7f sp:7ffe orax:ffffffffffffffff"


def heard(texts: Sequence[str]) -> tuple[Recognized, tuple[KernelReport, ...]]:
    """Give what records of the kernel with these texts are recognized as, and their reports."""
    raw = [record(seq, text.encode().replace(b"\n", rb"\x0a")) for seq, text in enumerate(texts)]
    state, recognized = recognize(RecognizerState(), [parse_record(one) for one in raw])
    _, rest = flush(state)
    return recognized, (*recognized.reports, *rest.reports)


@pytest.mark.parametrize(
    "text",
    [
        *("x\n" + line for line in OOPS_LINES[:2]),
        "x\nKernel panic - not syncing: Fatal exception",
        "x\nWARNING: CPU: 0 PID: 1 at kernel/fork.c:1 fork+0x1/0x2 [innocent]",
        "x\nnvidia: Unknown symbol f (err -2)",
        "x\nLockdown: systemd: unsigned module loading is restricted; see man kernel_lockdown.7",
        "x\nnvidia: loading out-of-tree module taints kernel.",
        "x\n\n\n" + "\n".join(OOPS_LINES),
        "\n".join(("x", *OOPS_LINES)),
    ],
)
def test_a_record_when_a_user_put_line_feeds_into_it_then_it_opens_no_report_and_counts(text: str) -> None:
    recognized, reports = heard((f"tmpfs: Unknown parameter '{text}'",))
    assert (reports, recognized.notices, recognized.forged) == ((), (), 1)
    (forgery,) = recognized.forgeries
    assert (forgery.facility, forgery.number) == (0, 0)
    assert forgery.text.startswith("tmpfs: Unknown parameter 'x\\x0a")


def test_a_record_when_it_opens_a_report_then_its_later_lines_continue_it() -> None:
    (recognized, reports) = heard(("\n".join(OOPS_LINES),))
    assert [(report.signature, report.module, report.comm) for report in reports] == [
        ("page_fault", "nvidia", "systemd")
    ]
    assert recognized.forged == 0


def test_a_record_when_it_opens_a_report_then_its_later_lines_open_no_other() -> None:
    recognized, reports = heard(
        ("BUG: Dentry 0000000000000000{i=1,n=a\nKernel panic - not syncing: x\n}  still in use",)
    )
    assert [report.signature for report in reports] == ["bug_generic"]
    assert recognized.forged == 1


def test_a_record_when_a_report_is_open_then_its_later_lines_give_it_nothing() -> None:
    forged = "tmpfs: Unknown parameter 'x\nRIP: 0010:evil+0x1/0x2 [evil]\nModules linked in: evil(POE)\n evil+0x1/0x2'"
    recognized, (report,) = heard((OOPS_LINES[0], forged, *OOPS_LINES[1:]))
    assert (report.function, report.module, report.linked) == ("nv_open", "nvidia", ())
    assert all("evil" not in line for line in report.evidence)
    assert recognized.forged == 0


def test_a_record_when_the_name_of_a_task_holds_a_line_feed_then_the_report_is_told() -> None:
    _, reports = heard(("INFO: task a\nb:471 blocked for more than 120 seconds.",))
    assert [(report.signature, report.comm, report.pid) for report in reports] == [("hung_task", "a b", 471)]


@pytest.mark.parametrize(
    "name",
    [
        "Oops: 0002 [#1]",
        "kernel BUG at a",
        "divide error: 0",
        "BUG: KASAN: x",
        "\nOops: 0002 [#1",
        "LBUG\n",
        "WARNING: at f+0",
    ],
)
def test_a_line_when_it_begins_with_the_name_of_a_task_then_the_name_opens_no_report(name: str) -> None:
    assert len(name) <= MAX_NAME
    for line in (
        f"{name}{BAD_FRAME}",
        f"{name} (471): drop_caches: 3",
        f"{name}/471: potentially unexpected fatal signal 11.",
        f"{name}[471]: segfault at 0 ip 0000561 sp 00007ffc error 4 in cat[5610+1000]",
        f"{name}[471] vsyscall attempted with vsyscall=none ip:ffffffffff600000 cs:33 sp:7ffc ax:1 si:1 di:1",
        f"{name}[471] trap divide error ip:561 sp:7ffc error:0 in cat[5610+1000]",
    ):
        recognized, reports = heard((line,))
        assert reports == (), line
        assert recognized.forged == (search(line.replace("\n", " ")) is not None or "\n" in name)


def test_a_line_when_it_begins_with_the_name_of_a_task_then_an_open_report_takes_nothing_of_it() -> None:
    _, (report,) = heard((OOPS_LINES[0], "RIP: 0010:f [v]" + BAD_FRAME, *OOPS_LINES[1:]))
    assert (report.function, report.module) == ("nv_open", "nvidia")


def test_a_report_when_it_begins_with_the_name_of_a_task_then_the_name_does_not_change_what_it_is() -> None:
    recognized, (report,) = heard(("Oops: 0002 [#1] invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0",))
    assert (report.signature, report.comm) == ("oom_kill", "Oops: 0002 [#1]")
    assert recognized.forged == 0


@pytest.mark.parametrize(
    "name", [name[:MAX_NAME] for name in ("[1]: segfault at", "[1] bad frame i", "a[1] trap x ip:")]
)
def test_a_report_when_a_task_is_named_like_such_a_line_then_it_is_told(name: str) -> None:
    line = f"INFO: task {name}:471 blocked for more than 120 seconds."
    assert without_name(line) is None
    _, reports = heard((line,))
    assert [report.signature for report in reports] == ["hung_task"]


@pytest.mark.parametrize("tail", [tail for tail, _ in TAILS])
@given(st.data())
def test_a_tail_when_written_in_any_way_then_it_does_not_fit_into_a_name(tail: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(tail, fullmatch=True))
    assert len(text) > MAX_NAME or tail.endswith("$")  # a report does not end in a name
    if "\n" not in text:
        assert without_name("x" + text) is not None


def test_tails_when_listed_then_each_names_a_file() -> None:
    assert all(origin for _, origin in TAILS)
