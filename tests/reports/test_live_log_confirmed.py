"""Reports of the live log against the kernel's own numbers: the real ones are told, whatever is forged around them."""

from collections.abc import Iterator
from itertools import count

import pytest

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.log import KernelReported, LogForged, ReportsSuppressed
from kmodmon.events.kinds.taint import TaintAdded
from kmodmon.events.sentence import sentence_of
from kmodmon.metrics import METRICS
from kmodmon.metrics.exposition import Exposition, ExpositionFormat
from kmodmon.reports.budget import Share
from kmodmon.reports.held import MAX_HELD
from kmodmon.reports.live_log import LogReaderState
from kmodmon.state.checkpoint import CHECKPOINTS
from kmodmon.state.observation import Tick
from kmodmon.state.state import State
from kmodmon.subjects.log import LogRead
from kmodmon.subjects.posture import CountersRead
from tests.kmsg_maker import record
from tests.reports.test_live_log import OOPS
from tests.states import BOOT, Story, field

DIE, WARN = 1 << 7, 1 << 9
ZERO = {"oops_count": 0, "warn_count": 0}
SOFT_LOCKUP = (
    b"watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [crash_mod/soft_:452]",
    b"CPU: 1 PID: 452 Comm: crash_mod/soft_ Tainted: G           OE      6.1.0-56-cloud-amd64 #1  Debian 6.1.190-1",
    b"RIP: 0010:soft_lockup+0x15/0x30 [crash_mod]",
)


def forged_oops(name: bytes) -> tuple[bytes, ...]:
    return tuple(line.replace(b"oops_mod", name) for line in OOPS)


class Host(Story):
    """A kernel with counters. What the log says and what was counted are told apart, as an attacker would have it."""

    def __init__(self, state: State | None = None, counters: dict[str, int] | None = None, taint: int = 0) -> None:
        super().__init__(state)
        self.counters = dict(ZERO) if counters is None else counters
        self.tainted = taint
        self.ring: list[bytes] = []
        self.read()
        self.clock.advance(10)

    def read(self, after: float = 0.0) -> None:
        """Read the numbers, as the engine does when the log has a report."""
        self.see("counters", CountersRead(counters=dict(self.counters)), after)
        self.taint(self.tainted)

    def log(self, *texts: bytes, read: bool = True) -> None:
        now = self.clock.monotonic_usec
        batch = tuple(record(len(self.ring) + at, text, priority=4, usec=now) for at, text in enumerate(texts))
        self.ring += batch
        self.see("kmsg", LogRead(records=batch, end=True, live=True))
        if read:
            self.read(after=0.05)

    def wait(self, seconds: int = 3) -> None:
        """Ticks, each with a reading soon after it."""
        for _ in range(seconds):
            self.see("clock", Tick(), 1.0)
            if self.state.log_memory is not None and self.state.log_memory.unsettled:
                self.read(after=0.05)

    def oops(self, texts: tuple[bytes, ...] = OOPS) -> None:
        self.counters["oops_count"] += 1
        self.tainted |= DIE
        self.log(*texts)

    def killed(self) -> "Host":
        """The next process of the same boot, which has the checkpoints."""
        state = State(boot_id=BOOT, started=self.clock.now(), resumed=True)
        for checkpoint in CHECKPOINTS:
            state = checkpoint.load(state, checkpoint.save(self.state))
        after = Host.__new__(Host)
        Story.__init__(after, state)
        after.clock, after.ring, after.counters, after.tainted = self.clock, self.ring, self.counters, self.tainted
        after.events = self.events
        after.read()
        after.see("kmsg", LogRead(records=tuple(self.ring), end=True))
        return after

    @property
    def reports(self) -> list[tuple[object, str | None, object]]:
        return [(field(event, "signature"), event.module, field(event, "confirmed")) for event in self.told]

    @property
    def told(self) -> list[Event]:
        return [event for event in self.events if event.type == KernelReported.kind.type]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.type == kind]

    def metric(self, series: str) -> float:
        body = Exposition(METRICS).body(self.state, ExpositionFormat.TEXT).decode()
        return sum(float(line.split()[-1]) for line in body.splitlines() if line.startswith(series))


def test_report_when_the_kernel_counted_it_then_it_is_told_as_confirmed_when_it_is_complete() -> None:
    host = Host()
    host.oops()
    host.wait(1)
    assert host.reports == [("null_pointer", "oops_mod", True)]
    assert host.told[0].severity is Severity.CRITICAL
    assert host.metric('kmodmon_kernel_reports_total{signature="null_pointer"}') == 1
    assert host.metric("kmodmon_kernel_log_forged_total") == 0


def test_report_when_the_kernel_counted_nothing_then_it_is_told_as_unconfirmed_and_wakes_nobody() -> None:
    host = Host()
    host.log(*OOPS)
    host.wait()
    assert host.reports == [("null_pointer", "oops_mod", False)]
    (event,) = host.told
    assert (event.severity, field(event, "severity")) == (Severity.WARNING, "warning")
    assert sentence_of(event).startswith("Unconfirmed: ")
    assert [field(forged, "count") for forged in host.of(LogForged.kind.type)] == [1]
    assert host.metric("kmodmon_kernel_reports_total") == 0
    assert host.metric("kmodmon_kernel_report_timestamp_seconds{") == 0
    assert host.metric('kmodmon_kernel_reports_unconfirmed_total{signature="null_pointer"}') == 1
    assert host.metric("kmodmon_kernel_log_forged_total") == 1


def test_report_when_the_kernel_has_no_numbers_for_it_then_it_is_told_as_ever() -> None:
    host = Host(counters={}, taint=DIE | WARN)
    host.log(*OOPS)
    host.wait(1)
    assert host.reports == [("null_pointer", "oops_mod", None)]
    assert host.told[0].severity is Severity.CRITICAL
    assert host.metric("kmodmon_kernel_reports_total") == 1


def test_soft_lockup_when_only_the_taint_bit_tells_then_that_confirms_it() -> None:
    host = Host()
    host.tainted |= 1 << 14
    host.log(*SOFT_LOCKUP)
    host.wait(1)
    assert host.reports == [("soft_lockup", "crash_mod", True)]
    host.log(*(line.replace(b"crash_mod", b"other") for line in SOFT_LOCKUP))
    host.wait(2)
    assert host.reports[1:] == [("soft_lockup", "other", None)], "L was set before, and 6.1 has no counter"


def test_panic_when_the_host_goes_on_then_it_is_unconfirmed() -> None:
    host = Host()
    host.log(b"Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b")
    host.wait()
    assert host.reports == [("panic_init_died", None, False)]


def test_taint_when_a_forged_report_comes_then_it_is_not_the_cause_of_a_bit() -> None:
    host = Host()
    host.log(*OOPS)
    host.wait()
    host.tainted |= DIE  # somebody wrote to /proc/sys/kernel/tainted
    host.read()
    host.wait(5)
    (added,) = host.of(TaintAdded.kind.type)
    assert field(added, "cause") == "unexplained"


def test_taint_when_the_report_is_real_then_it_is_the_cause_though_it_was_held() -> None:
    host = Host()
    host.oops()
    host.wait(5)
    (added,) = host.of(TaintAdded.kind.type)
    assert field(added, "cause") == "report:null_pointer"


def test_report_when_a_forgery_comes_beside_it_then_the_real_one_is_never_doubted() -> None:
    host = Host()
    host.log(*forged_oops(b"nvidia"))
    host.oops()
    host.log(*forged_oops(b"innocent"))
    host.wait()
    assert ("null_pointer", "oops_mod", True) in host.reports
    assert len(host.reports) == 3


def test_report_when_the_very_same_was_forged_before_it_then_it_is_told_and_no_repeat() -> None:
    host = Host()
    host.log(*OOPS)
    host.wait()
    host.oops()
    host.wait()
    assert host.reports == [("null_pointer", "oops_mod", False), ("null_pointer", "oops_mod", True)]
    assert host.metric("kmodmon_kernel_reports_total") == 1


def test_report_when_killed_while_it_is_held_then_the_next_process_tells_it_once() -> None:
    host = Host()
    host.log(*OOPS, b"unrelated", *(b"line %d" % number for number in range(80)), read=False)
    assert host.reports == [] and host.state.log.unfinished is not None
    host.counters["oops_count"] += 1
    after = host.killed()
    after.wait(2)
    assert after.reports == [("null_pointer", "oops_mod", True)]
    again = after.killed()
    again.wait(4)
    assert len(again.reports) == 1 and again.state.log.unfinished is None


def test_report_when_printed_before_any_number_was_read_then_compared_with_the_boot() -> None:
    for counters, confirmed in (({"oops_count": 1, "warn_count": 0}, True), (ZERO, False)):
        host = Host(counters=dict(counters), taint=DIE if confirmed else 0)
        usec = 1_000_000
        ring = tuple(record(at, text, usec=usec) for at, text in enumerate(OOPS))
        host.see("kmsg", LogRead(records=ring, end=True))
        host.wait()
        assert host.reports == [("null_pointer", "oops_mod", confirmed)]


def test_clue_when_a_restart_reads_a_forged_report_again_then_it_explains_no_bit() -> None:
    host = Host()
    host.log(*OOPS)
    host.wait()
    after = host.killed()
    assert after.state.taint.clues == ()
    host.oops()
    host.wait()
    assert [str(clue.cause) for clue in host.killed().state.taint.clues] == ["report:null_pointer"] * 2


def test_reports_when_a_share_is_used_up_then_one_event_names_what_was_left_out_a_minute_later() -> None:
    host = Host()
    most = Share.OTHER.value
    for number in range(most + 20):
        host.log(*forged_oops(b"m_%s" % bytes([97 + number // 26 % 26, 97 + number % 26])), read=False)
    host.wait(4)
    assert len(host.told) == most
    assert host.state.log.suppressed == 20
    assert host.of(ReportsSuppressed.kind.type) == []
    host.wait(61)
    (event,) = host.of(ReportsSuppressed.kind.type)
    assert event.fields == {"count": 20, "signatures": {"null_pointer": 20}}
    host.oops(forged_oops(b"real"))
    host.wait(1)
    assert host.reports[-1] == ("null_pointer", "real", True)


def _distinct(prefix: bytes) -> Iterator[bytes]:
    letters = b"abcdefghijklmnopqrstuvwxyz"
    for number in count():
        yield prefix + bytes(letters[number // 26**place % 26] for place in range(4))


@pytest.mark.parametrize("per_second", [100, 7700])  # 7,700 are 100,000 records
def test_report_when_thousands_are_forged_around_it_then_it_is_told_with_its_module(per_second: int) -> None:
    host = Host()
    names = _distinct(b"forged_")
    for round_ in range(20):
        for _ in range(per_second // 20):
            host.log(*forged_oops(next(names))[:13], read=False)
        if round_ == 10:
            host.counters["oops_count"] += 1
            host.tainted |= DIE
            host.log(*OOPS, read=False)
        host.read(after=0.05)
        if round_ == 19:
            host.wait(1)
        memory = host.state.log_memory
        assert isinstance(memory, LogReaderState) and len(memory.held) <= MAX_HELD
    host.wait(4)
    assert ("null_pointer", "oops_mod", True) in host.reports
    believed = [row for row in host.reports if row[2]]
    assert len(host.told) - len(believed) <= Share.OTHER.value
    assert host.state.log.unfinished is None
