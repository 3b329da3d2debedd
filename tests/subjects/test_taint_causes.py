"""Every taint bit has a cause: what happened between the reading that saw it clear and the one that saw it set."""

from dataclasses import replace

import pytest

from kmodmon.events.kinds.log import KernelReported, PreviousBootReported
from kmodmon.events.kinds.taint import TaintAdded
from kmodmon.state.observation import Tick
from kmodmon.state.state import State
from kmodmon.subjects.log import LogRead
from kmodmon.subjects.taint import PATIENCE_USEC, SETTLE_USEC, clue_of, taint_from_json, taint_to_json
from tests.kmsg_maker import WARNING, record
from tests.reports.test_live_log import OOPS
from tests.states import BOOT, Story, field, module

W, D, O, E = 1 << 9, 1 << 7, 1 << 12, 1 << 13  # noqa: E741 - as the kernel calls it
SOFT_LOCKUP = (
    b"watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [crash_mod/soft_:452]",
    b"CPU: 1 PID: 452 Comm: crash_mod/soft_ Tainted: G           OE      6.1.0-56-cloud-amd64 #1  Debian 6.1.190-1",
    b"RIP: 0010:soft_lockup+0x15/0x30 [crash_mod]",
    b"Call Trace:",
    b" thread+0x50/0x60 [crash_mod]",
)
BAD_PAGE = (
    b"BUG: Bad page state in process crash_mod/bad_p  pfn:06b5f",
    b"page:000000001f3cd1b4 refcount:0 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x6b5f",
    b"CPU: 0 PID: 452 Comm: crash_mod/bad_p Tainted: G           OE      6.1.0-56-cloud-amd64 #1  Debian 6.1.190-1",
    b"Call Trace:",
    b" bad_page.cold+0x63/0x94",
    b" thread+0x50/0x60 [crash_mod]",
)
MACHINE_CHECK = (
    b"mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 4: be00000000100153",
    b"mce: [Hardware Error]: TSC 0 ",
    b"mce: [Hardware Error]: PROCESSOR 2:663 TIME 1763903956 SOCKET 0 APIC 0 microcode 0",
)


class Told(Story):
    """A story with a log."""

    def __init__(self, state: State | None = None) -> None:
        super().__init__(state)
        self.seq = 0

    def log(self, *texts: bytes, after: float = 0.0) -> None:
        self.clock.advance(after)
        now = self.clock.monotonic_usec
        batch = tuple(record(self.seq + at, text, priority=4, usec=now) for at, text in enumerate(texts))
        self.seq += len(batch)
        self.see("kmsg", LogRead(records=batch, end=True, live=True))

    def tick(self, after: float = 1.0) -> None:
        self.see("clock", Tick(), after)

    def added(self) -> list[tuple[object, object]]:
        return [(field(e, "letter"), field(e, "cause")) for e in self.events if e.type == TaintAdded.kind.type]

    def cause(self, bit: int) -> str:
        return str(self.state.taint.ledger[bit].cause)


def begun() -> Told:
    story = Told()
    story.taint(0)
    return story


@pytest.mark.parametrize(
    ("lines", "bits", "expected"),
    [
        (WARNING, W, [("W", "report:warning")]),
        (OOPS, D, [("D", "report:null_pointer")]),
        (SOFT_LOCKUP, 1 << 14, [("L", "report:soft_lockup")]),
        (BAD_PAGE, 1 << 5, [("B", "report:bad_page")]),
        (MACHINE_CHECK, 1 << 4, [("M", "report:mce")]),
        ((b"m: loading out-of-tree module taints kernel.",), O, [("O", "module:m")]),
        (
            (b"m: module verification failed: signature and/or required key missing - tainting kernel",),
            E,
            [("E", "module:m")],
        ),
        ((b"m: module license 'Proprietary' taints kernel.",), 1, [("P", "module:m")]),
        ((b"m: module is from the staging directory, the quality is unknown, you have been warned.",), 1 << 10,
         [("C", "module:m")]),
        ((b"m: loading test module taints kernel.",), 1 << 18, [("N", "module:m")]),
        ((b"m: tainting kernel with TAINT_LIVEPATCH",), 1 << 15, [("K", "module:m")]),
        ((b"m: bad vermagic: kernel tainted.",), 1 << 1, [("F", "module:m")]),
        ((b"Setting dangerous option danger - tainting kernel",), 1 << 6, [("U", "report:dangerous_option")]),
    ],
)  # fmt: skip
def test_taint_when_the_log_says_why_then_that_is_the_cause(
    lines: tuple[bytes, ...], bits: int, expected: list[tuple[str, str]]
) -> None:
    story = begun()
    story.log(*lines, after=1)
    story.taint(bits, after=0.05)
    for _ in range(5):
        story.tick()
    assert story.added() == expected


def test_taint_when_read_before_the_report_is_complete_then_it_waits_for_it() -> None:
    story = begun()
    story.log(*WARNING[:6], after=1)
    story.taint(W, after=0.1)
    # Another line every half second: the report is not silent, and not complete.
    for _ in range(int(SETTLE_USEC / 500_000) + 2):
        story.log(b"usb 1-1: reset high-speed USB device", after=0.5)
    assert story.added() == []
    story.tick(after=2)
    assert story.added() == [("W", "report:warning")]


def test_taint_when_nothing_explains_it_then_it_is_unexplained_after_a_while() -> None:
    story = begun()
    story.taint(W, after=1)
    story.tick(after=SETTLE_USEC / 2e6)
    assert story.added() == []
    story.tick(after=SETTLE_USEC / 1e6)
    assert story.added() == [("W", "unexplained")]


def test_taint_when_a_log_never_falls_silent_then_patience_ends() -> None:
    story = begun()
    story.taint(1 << 16, after=1)
    for _ in range(int(PATIENCE_USEC / 1e6) + 1):
        story.log(*WARNING[:4], after=1)
    assert ("X", "unexplained") in story.added()


def test_taint_when_a_report_came_while_the_bit_was_clear_then_it_is_not_the_cause() -> None:
    story = begun()
    story.log(*BAD_PAGE, after=1)  # explains B, D and W, but only B was set
    story.taint(1 << 5, after=3)
    story.tick(after=30)
    story.taint(1 << 5 | W, after=30)
    story.tick(after=SETTLE_USEC / 1e6 + 1)
    assert story.added() == [("B", "report:bad_page"), ("W", "unexplained")]


def test_taint_when_the_report_says_that_the_bit_was_set_already_then_it_is_not_the_cause() -> None:
    story = begun()
    story.log(*(line.replace(b"OE      6.1", b"OE W    6.1") for line in WARNING), after=1)
    story.taint(W, after=0.1)
    for _ in range(5):
        story.tick()
    assert story.added() == [("W", "unexplained")]


def test_taint_when_set_before_our_first_look_and_the_log_still_says_why_then_the_cause_is_known_silently() -> None:
    story = Told()
    story.taint(O | W | 1 << 16)
    texts = (b"m: loading out-of-tree module taints kernel.", *WARNING)
    batch = tuple(record(at, text, priority=4, usec=5_000_000 + at) for at, text in enumerate(texts))
    story.see("kmsg", LogRead(records=batch, end=True))
    story.tick(after=2)
    assert (story.cause(12), story.cause(9), story.cause(16)) == ("module:m", "report:warning", "before-start")
    since = story.state.taint.ledger[12].since
    assert since is not None and since.monotonic_usec == 5_000_000
    assert story.added() == []


def test_taint_when_a_report_comes_after_our_first_look_then_it_did_not_set_what_was_set() -> None:
    story = Told()
    story.taint(W)
    story.log(*WARNING, after=5)
    story.tick(after=2)
    assert story.cause(9) == "before-start"


def test_taint_when_it_came_while_we_were_down_then_the_log_tells_after_the_restart() -> None:
    before = begun()
    saved = taint_from_json(taint_to_json(before.state.taint))
    story = Told(State(boot_id=BOOT, started=before.clock.now(), resumed=True, taint=saved))
    story.clock.monotonic_usec = before.clock.monotonic_usec
    warned_at = story.clock.monotonic_usec + 600_000_000
    story.clock.advance(3600)
    story.taint(W)
    batch = tuple(record(at, text, priority=4, usec=warned_at) for at, text in enumerate(WARNING))
    story.see("kmsg", LogRead(records=batch, end=True))
    story.tick(after=2)
    assert story.added() == [("W", "report:warning")]
    assert story.state.taint.ledger[9].since is not None


def test_taint_when_killed_between_the_report_and_the_reading_then_it_is_still_explained() -> None:
    before = begun()
    before.log(*WARNING, after=1)
    before.tick(after=2)
    assert before.events == []  # the report waits for the reading
    log, taint = before.state.log, taint_from_json(taint_to_json(before.state.taint))
    story = Told(State(boot_id=BOOT, started=before.clock.now(), resumed=True, taint=taint, log=log))
    story.clock.monotonic_usec, story.clock.realtime_usec = before.clock.monotonic_usec, before.clock.realtime_usec
    story.taint(W, after=1)
    usec = before.clock.monotonic_usec - 2_000_000
    ring = tuple(record(at, text, priority=4, usec=usec) for at, text in enumerate(WARNING))
    story.see("kmsg", LogRead(records=ring, end=True))
    story.tick(after=2)
    assert [event.type for event in story.events] == [KernelReported.kind.type, TaintAdded.kind.type]
    assert story.added() == [("W", "report:warning")]


def test_taint_when_a_module_carries_the_letter_then_it_is_the_cause() -> None:
    story = begun()
    story.modules()
    story.modules(module("hello", "OE"), after=5)
    story.taint(O | E, after=0.1)
    for _ in range(5):
        story.tick()
    assert story.added() == [("O", "module:hello"), ("E", "module:hello")]


def test_clue_when_a_report_is_of_an_earlier_boot_then_it_explains_nothing() -> None:
    story = begun()
    story.log(*WARNING, after=1)
    story.taint(W)
    story.tick(after=2)
    (report,) = (event for event in story.events if event.type == KernelReported.kind.type)
    assert clue_of(report) is not None
    assert isinstance(report.details, KernelReported)
    earlier = PreviousBootReported(
        report=report.details.report,
        dump="dmesg-efi",
        dump_reason=None,
        dump_realtime=None,
        dump_parts_missing=0,
        kernel_only=True,
    )
    assert clue_of(replace(report, details=earlier)) is None
