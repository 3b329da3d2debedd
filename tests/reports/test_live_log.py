"""The live log: each record is counted and each report is in one event, wherever the stream is cut or we are killed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.events.event import Event, EventType
from kmodmon.events.kinds.log import KernelReported, LogForged, LogLost
from kmodmon.events.kinds.module import ModuleLoadFailed
from kmodmon.kernel.kmsg import parse_record
from kmodmon.reports.live_log import CHUNK, LogReaderState, process_records, process_timeout
from kmodmon.reports.recognizer import RecognizerState, flush, recognize
from kmodmon.reports.report_events import FORGED_PAUSE_USEC, LOST_PAUSE_USEC
from kmodmon.subjects.log import NO_LOG, LogAccount, LogMemory, LogRead, account_from_json, account_to_json
from kmodmon.subjects.taint import Clue
from kmodmon.types.units import Instant, Usec
from tests.kmsg_maker import WARNING, boots, record, records, renumbered, warning
from tests.subjects.test_log_count import STREAMS, count_singly

NOW = Instant(realtime_usec=Usec(1_700_000_000_000_000), monotonic_usec=Usec(900_000_000))
OOPS = (
    b"BUG: kernel NULL pointer dereference, address: 0000000000000000",
    b"#PF: supervisor write access in kernel mode",
    b"#PF: error_code(0x0002) - not-present page",
    b"PGD 0 P4D 0 ",
    b"Oops: 0002 [#1] PREEMPT SMP NOPTI",
    b"CPU: 0 PID: 481 Comm: oops_mod Tainted: G        W  OE      6.1.0-56-cloud-amd64 #1  Debian 6.1.190-1",
    b"RIP: 0010:oops_here+0x10/0x20 [oops_mod]",
    b"RSP: 0018:ffffb1e2c0457f08 EFLAGS: 00010246",
    b"Call Trace:",
    b" <TASK>",
    b" oops_thread+0x1c/0x30 [oops_mod]",
    b" kthread+0xda/0x100",
    b" ret_from_fork+0x22/0x30",
    b" </TASK>",
    b"Modules linked in: oops_mod(OE) warn_mod(OE)",
    b"CR2: 0000000000000000",
    b"---[ end trace 0000000000000000 ]---",
)
QUIET = tuple(b"usb 1-%d: new high-speed USB device number %d using xhci_hcd" % (at, at) for at in range(1, 9))


def later(seconds: float) -> Instant:
    return NOW.back_to(NOW.monotonic_usec + int(seconds * 1e6))


@dataclass(slots=True)
class Listener:
    """Account and memory of a daemon from batch to batch; events and account are on disk and survive a kill."""

    account: LogAccount = NO_LOG
    log_memory: LogMemory | None = None
    events: list[Event] = field(default_factory=list)
    clues: list[Clue] = field(default_factory=list)

    def take(self, batch: Sequence[bytes], at: Instant = NOW, *, end: bool = True, live: bool = False) -> list[Event]:
        result = process_records(self.account, self.log_memory, LogRead(records=tuple(batch), end=end, live=live), at)
        self.account, self.log_memory = result.account, result.log_memory
        self.events += result.events
        self.clues += result.clues
        return list(result.events)

    def wait(self, at: Instant) -> list[Event]:
        result = process_timeout(self.account, self.log_memory, at)
        self.account, self.log_memory = result.account, result.log_memory
        self.events += result.events
        return list(result.events)

    def killed(self) -> "Listener":
        """The next process: what was written is all that it knows."""
        return Listener(account=account_from_json(account_to_json(self.account)), events=self.events, clues=self.clues)

    def of(self, kind: EventType) -> list[Event]:
        return [event for event in self.events if event.type == kind]

    @property
    def reports(self) -> list[tuple[object, ...]]:
        reported = self.of(KernelReported.kind.type)
        return [(e.fields["class"], e.module, e.fields["first_line"], e.fields["last_line"]) for e in reported]

    @property
    def refusals(self) -> list[tuple[object, ...]]:
        reported = self.of(ModuleLoadFailed.kind.type)
        return [(event.module, event.fields["reason"], event.fields["symbol"]) for event in reported]


def process_whole(stream: Sequence[bytes]) -> Listener:
    listener = Listener()
    listener.take(stream)
    listener.wait(later(5))
    return listener


@pytest.mark.parametrize(("length", "known"), [(55, True), (59, True), (60, False), (900, False)])
def test_process_records_when_a_name_is_longer_than_a_kernel_holds_then_no_module_is_named(
    length: int, known: bool
) -> None:
    # A name from the log becomes a label of metrics, and a line with a line feed in it may be a user's.
    name = "x" * length
    oops = (line.replace(b"oops_mod", name.encode()) for line in OOPS)
    listener = process_whole(records((b"Module %b is blacklisted" % name.encode(), *oops), priority=3))
    named = [listener.of(kind.kind.type) for kind in (ModuleLoadFailed, KernelReported)]
    assert [[event.module for event in events] for events in named] == [[name if known else None]] * 2


def mixed(seed: int = 1, length: int = 40) -> tuple[bytes, ...]:
    """A log of quiet lines, reports and refusals, some of which are interrupted by others."""
    rng = random.Random(seed)
    texts: list[bytes] = []
    for number in range(length):
        match rng.randrange(6):
            case 0:
                texts += warning(b"mod_%d" % number)
            case 1:
                texts += OOPS[: rng.randrange(4, len(OOPS) + 1)]
            case 2:
                texts += (b"bad_%d: Unknown symbol nowhere (err -2)" % number,)
            case _:
                texts += rng.choices(QUIET, k=rng.randrange(1, 30))
    return records(texts)


def test_hear_when_a_module_warns_then_one_report_names_it() -> None:
    listener = process_whole(records((*QUIET, *WARNING, *QUIET)))
    assert listener.reports == [("warning", "warn_mod", 8, 8 + len(WARNING) - 1)]
    assert listener.account.total == len(QUIET) * 2 + len(WARNING)


def test_hear_when_the_report_has_no_end_yet_then_it_is_told_after_a_second_of_silence() -> None:
    listener = Listener()
    assert listener.take(records(WARNING[:8])) == []
    assert listener.wait(later(0.5)) == []
    assert [event.type for event in listener.wait(later(1.1))] == [KernelReported.kind.type]
    assert listener.account.unfinished is None


def test_hear_when_the_same_report_comes_again_then_it_is_counted_and_not_told() -> None:
    listener = process_whole(records(WARNING * 5))
    assert (len(listener.reports), dict(listener.account.repeats)) == (1, {"warning": 4})


@pytest.mark.parametrize("release", boots())
def test_hear_when_a_stock_kernel_boots_then_it_reports_nothing(release: str) -> None:
    listener = process_whole(boots()[release])
    assert (listener.reports, listener.account.forged) == ([], 0)
    assert listener.account.total == len(boots()[release])


@given(STREAMS, st.lists(st.integers(0, 60), max_size=4))
def test_hear_when_anything_is_read_then_it_counts_as_one_by_one(stream: list[bytes], cuts: list[int]) -> None:
    listener = Listener()
    for begin, end in pairwise([0, *sorted(cuts), len(stream)]):
        listener.take(stream[begin:end])
    naive = count_singly(NO_LOG, stream).account
    fields = ("first_seq", "next_seq", "records", "lost", "malformed")
    assert [getattr(listener.account, name) for name in fields] == [getattr(naive, name) for name in fields]


@given(st.lists(st.integers(0, 600), max_size=12), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_hear_when_the_stream_is_cut_differently_then_the_same_is_told(cuts: list[int], seed: int) -> None:
    stream = mixed(seed)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    listener = Listener()
    for begin, end in pairwise(places):
        listener.take(stream[begin:end])
    listener.wait(later(5))
    whole = process_whole(stream)
    assert (listener.reports, listener.refusals) == (whole.reports, whole.refusals)
    assert replace(listener.account, clock=whole.account.clock) == whole.account


@pytest.mark.parametrize("seed", range(8))
def test_hear_when_only_what_the_prefilter_picks_is_heard_then_nothing_is_missed(seed: int) -> None:
    stream = mixed(seed, length=80)
    state, recognized = recognize(RecognizerState(), map(parse_record, stream))
    _, last = flush(state)
    expected = (*recognized.reports, *last.reports)
    first_of_kind = {(report.fingerprint, report.module): report for report in reversed(expected)}
    reported = [
        (report.report_class.value, report.module, report.first_line)
        for report in expected
        if report is first_of_kind[report.fingerprint, report.module]
    ]
    listener = process_whole(stream)
    assert [(report_class, module, first) for report_class, module, first, _ in listener.reports] == reported
    assert len(reported) + sum(listener.account.repeats.values()) == len(expected) > 0


@given(st.lists(st.integers(0, 600), min_size=1, max_size=5), st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_hear_when_killed_anywhere_then_each_report_is_told_once_and_whole(kills: list[int], seed: int) -> None:
    # Every report has a name of its own, so that none is a repeat of another.
    texts = [line for at in range(20) for line in (*QUIET[: at % 5], *warning(b"mod_%d" % at))]
    random.Random(seed).shuffle(quiet := list(QUIET))
    stream = records((*texts, *quiet))
    listener = Listener()
    begin = 0
    for kill in sorted(min(kill, len(stream)) for kill in kills):
        listener.take(stream[begin:kill], end=False)
        listener = listener.killed()
        listener.take(stream[:kill][-400:])  # what the ring still holds
        begin = kill
    listener.take(stream[begin:])
    listener.wait(later(5))
    whole = process_whole(stream)
    assert listener.reports == whole.reports
    assert (listener.account.total, listener.account.lost) == (len(stream), 0)


@given(st.integers(0, 400), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_hear_when_killed_while_reports_overlap_then_nothing_is_told_twice(kill: int, seed: int) -> None:
    stream = mixed(seed)
    kill = min(kill, len(stream))
    listener = Listener()
    listener.take(stream[:kill], end=False)
    listener = listener.killed()
    listener.take(stream)
    listener.wait(later(5))
    whole = process_whole(stream)
    firsts = [first for _, _, first, _ in listener.reports]
    assert len(firsts) == len(set(firsts))
    assert listener.refusals == whole.refusals

    # After a restart a repeat may be told once more; the number of reports stays.
    def reported(of: Listener) -> int:
        return len(of.reports) + sum(of.account.repeats.values())

    assert reported(listener) == reported(whole)


def test_hear_when_killed_in_a_report_that_the_ring_lost_then_the_rest_goes_on() -> None:
    stream = records((*QUIET, *WARNING, *QUIET, *warning(b"other")))
    listener = Listener()
    listener.take(stream[:12])
    listener = listener.killed()
    listener.take(stream[30:])
    listener.wait(later(5))
    assert [module for _, module, _, _ in listener.reports] == ["other"]
    assert (listener.account.total, listener.account.lost) == (len(stream) - 18, 18)


def test_hear_when_the_ring_is_opened_again_by_the_same_process_then_an_open_report_goes_on() -> None:
    stream = records((*QUIET, *WARNING))
    listener = Listener()
    listener.take(stream[:14])
    listener.take(stream)
    listener.wait(later(5))
    assert listener.reports == process_whole(stream).reports


@pytest.mark.parametrize("pauses", [(0,), (5,), (0, 3, 9), (13,), (14,)])
def test_hear_when_the_ring_pauses_while_it_is_read_again_then_an_open_report_goes_on(pauses: Sequence[int]) -> None:
    """Nothing more for now does not mean that all is read again: whoever writes may be late."""
    stream = records((*QUIET, *WARNING))
    listener = Listener()
    listener.take(stream[:14])
    listener = listener.killed()
    for begin, end in pairwise((0, *pauses, len(stream))):
        listener.take(stream[begin:end])
    listener.wait(later(5))
    assert listener.reports == process_whole(stream).reports


def test_hear_when_restarted_then_what_was_told_gives_clues_again_and_no_events() -> None:
    stream = records((b"hello_mod: loading out-of-tree module taints kernel.", *WARNING))
    listener = process_whole(stream).killed()
    listener.events.clear()
    listener.clues.clear()
    listener.take(stream)
    listener.wait(later(9))
    assert listener.events == []
    assert [(str(clue.cause), clue.bits) for clue in listener.clues] == [
        ("module:hello_mod", 1 << 12),
        ("report:warning", 1 << 9),
    ]


def test_hear_when_numbers_are_missing_then_the_loss_is_told_at_once_and_then_in_sums() -> None:
    listener = Listener()
    listener.take(records([b"a"] * 3))
    assert [e.fields["lost"] for e in listener.take(records([b"a"] * 3, first=10), later(1))] == [7]
    assert listener.take(records([b"a"], first=20), later(2)) == []
    assert listener.take(records([b"a"], first=30), later(3)) == []
    assert listener.log_memory is not None and listener.log_memory.waits
    assert [e.fields["lost"] for e in listener.wait(later(2 + LOST_PAUSE_USEC / 1e6))] == [7 + 9]
    assert listener.account.lost == sum(int(str(e.fields["lost"])) for e in listener.of(LogLost.kind.type))
    assert not listener.log_memory.waits


def test_hear_when_killed_before_a_loss_was_told_then_the_next_process_tells_it() -> None:
    listener = Listener()
    listener.take(records([b"a"], first=0))
    listener.take(records([b"a"], first=5), later(1))
    listener.take(records([b"a"], first=9), later(2))
    listener = listener.killed()
    assert [e.fields["lost"] for e in listener.take(records([b"a"], first=9), later(3))] == [3]


def test_hear_when_user_space_writes_like_the_kernel_then_it_is_a_forgery_and_no_report() -> None:
    listener = Listener()
    reported = listener.take(records((*OOPS, *WARNING), priority=8))
    listener.wait(later(5))
    assert [event.type for event in reported] == [LogForged.kind.type]
    assert reported[0].fields["signature"] == "null_pointer"
    assert listener.account.forged == reported[0].fields["count"]
    assert listener.reports == []
    again = listener.take(records(OOPS, first=len(OOPS) + len(WARNING), priority=12), later(6))
    assert again == []
    summed = listener.wait(later(1 + FORGED_PAUSE_USEC / 1e6))
    assert sum(int(str(e.fields["count"])) for e in (*reported, *summed)) == listener.account.forged


def test_hear_when_user_space_writes_into_a_report_then_the_report_stays_as_it_was() -> None:
    lines = [record(at, text) for at, text in enumerate(WARNING)]
    lines[5:5] = [record(0, b"RIP: 0010:innocent+0x1/0x2 [innocent]", priority=12)]
    stream = [b"%b,%d,%b" % (raw.split(b",", 2)[0], at, raw.split(b",", 2)[2]) for at, raw in enumerate(lines)]
    (report,) = process_whole(stream).of(KernelReported.kind.type)
    assert (report.module, report.fields["function"]) == ("warn_mod", "warn_init")


def test_hear_when_lines_follow_a_report_in_a_flood_then_it_is_complete_before_silence() -> None:
    texts = (*WARNING, *(b"logflood: line %d" % at for at in range(5 * CHUNK)))
    listener = Listener()
    assert [event.module for event in listener.take(records(texts))] == ["warn_mod"]


def test_hear_when_a_record_is_no_record_then_it_is_counted_and_the_stream_goes_on() -> None:
    good = records(WARNING)
    listener = Listener()
    listener.take((*good[:4], b"", b"garbage\n", b"6;no\n", *good[4:]))
    listener.wait(later(5))
    assert (listener.account.malformed, listener.account.total) == (3, len(good))
    assert [module for _, module, _, _ in listener.reports] == ["warn_mod"]


def test_hear_when_read_late_then_the_event_has_the_time_of_its_record() -> None:
    (event,) = process_whole(records(WARNING)).of(KernelReported.kind.type)
    assert event.at == NOW.back_to(1_000_000)
    assert event.fields["printk_usec"] == 1_000_000


def test_hear_when_printk_drifts_then_events_keep_our_time() -> None:
    stream = renumbered(records((*QUIET, *WARNING)), 0, NOW.monotonic_usec - 50_000_000)
    listener = Listener()
    listener.take((), end=True)
    listener.take(stream, live=True)
    listener.wait(later(5))
    (event,) = listener.of(KernelReported.kind.type)
    assert NOW.monotonic_usec - event.at.monotonic_usec == (len(WARNING) - 1) * 100


def test_hear_when_batches_follow_each_other_then_one_prefilter_learns_from_all_of_them() -> None:
    listener, other = Listener(), Listener()
    listener.take(records(QUIET))
    first = listener.log_memory
    listener.take(records((*QUIET, *WARNING), first=len(QUIET)))
    other.take(records(QUIET))
    assert isinstance(first, LogReaderState) and isinstance(listener.log_memory, LogReaderState)
    assert listener.log_memory.prefilter is first.prefilter
    assert isinstance(other.log_memory, LogReaderState) and other.log_memory.prefilter is not first.prefilter


@given(st.lists(st.binary(max_size=120), max_size=50))
@settings(max_examples=200)
def test_hear_when_given_any_bytes_then_nothing_is_raised(batch: list[bytes]) -> None:
    listener = Listener()
    listener.take(batch)
    listener.wait(later(5))
    assert listener.account.total + listener.account.malformed == len(batch)


@given(st.lists(st.one_of(st.sampled_from((*OOPS, *WARNING)), st.binary(max_size=60)), max_size=80), st.randoms())
@settings(max_examples=100, deadline=None)
def test_hear_when_reports_are_torn_and_shuffled_then_nothing_is_raised(texts: list[bytes], rng: random.Random) -> None:
    listener = Listener()
    stream = [
        record(at, text.replace(b"\n", b" "), priority=rng.choice((0, 4, 6, 12))) for at, text in enumerate(texts)
    ]
    listener.take(stream)
    listener.wait(later(5))
    assert listener.account.total == len(stream)
