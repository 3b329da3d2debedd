"""Turns raw records of /dev/kmsg into counts, events, and clues to taint bits.

Most records match no signature, and a flood is many records. So a batch is counted as a whole
(`kmodmon.subjects.log_count`), and only the records that pass the prefilter, or that come while a report is open, are
parsed and given to the recognizer.

Each open() of /dev/kmsg reads the whole ring again. After a restart the records that the process before has counted
are replayed, and not counted again, in three stages:

- REPORTED: the events of these records are in the history. They only give clues to taint bits.
- UNFINISHED: begins at the first record of a report that was open when the process ended. The recognizer reads the
  same lines and comes to the same reports, so the open report is complete again. Reports whose events are in the
  history are known by the sequence number of their first record.
- NEW: records that no process has counted.

A complete report is told when the kernel's own counters and taint bits confirm it, or when it is known that they do not
(`kmodmon.reports.corroboration`); meanwhile it is held, and `Unfinished` covers it.
"""

import enum
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.event import Event, Severity
from kmodmon.events.report import KernelReport
from kmodmon.kernel.kmsg import KmsgRecord, parse_prefix, parse_record
from kmodmon.reports.budget import NOTHING_REPORTED, Admission, ReportBudget, admit
from kmodmon.reports.corroboration import judge
from kmodmon.reports.held import HeldReport, Verdict, hold, make_room, settle
from kmodmon.reports.load_refusal import NO_ATTEMPTS, Attempts, reported_once
from kmodmon.reports.prefilter import Prefilter
from kmodmon.reports.recognizer import Forgery, Recognized, RecognizerState, flush, recognize, tick
from kmodmon.reports.report_events import (
    NOTHING_PENDING,
    PendingSummaries,
    denial_event,
    emit_due,
    failure_event,
    report_event,
    taint_notice_clue,
)
from kmodmon.subjects.counter_readings import UNREAD_COUNTERS, CounterReadings
from kmodmon.subjects.log import LogAccount, LogMemory, LogRead, Unfinished
from kmodmon.subjects.log_count import count
from kmodmon.subjects.taint import Clue, clue_of
from kmodmon.types.error import ParseError
from kmodmon.types.units import Instant

CHUNK = 64  # records given to the recognizer at once while a report is open; they may close it
JUDGE_USEC = 100_000  # held reports are judged again after it, although no number was read
MAX_UNFINISHED = 1024  # reports in an unbroken storm; a restart replays the storm only as far back as that


class ReplayStage(enum.IntEnum):
    """How far the replay of the ring has come; the stages follow each other in this order."""

    REPORTED = 0
    UNFINISHED = 1
    NEW = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReaderState(LogMemory):
    """What the log reader remembers from one batch to the next, in this process only.

    Nothing changes in place, except that the prefilter learns irrelevant shapes. What it selects does not depend on
    them, so all states of one process share it.
    """

    prefilter: Prefilter = field(default_factory=Prefilter, repr=False, compare=False)
    recognizer: RecognizerState = field(default_factory=RecognizerState)
    stage: ReplayStage = ReplayStage.NEW
    attempts: Attempts = NO_ATTEMPTS
    held: tuple[HeldReport, ...] = ()
    judged_with: CounterReadings | None = None  # the readings with which the held reports were last judged
    judged_usec: int = 0  # CLOCK_MONOTONIC, when that was
    budget: ReportBudget = NOTHING_REPORTED
    summaries: PendingSummaries = NOTHING_PENDING

    @property
    def in_report(self) -> bool:
        """Whether a report is open."""
        return self.recognizer.wants_all

    @property
    def unsettled(self) -> bool:
        """Whether a report is open or held."""
        return self.in_report or bool(self.held)

    @property
    def waits(self) -> bool:
        """Whether a report is open or held, or a summary waits for the end of its pause."""
        return self.unsettled or self.summaries.pending

    @property
    def is_idle(self) -> bool:
        """Whether irrelevant records leave this state as it is."""
        return self.stage is ReplayStage.NEW and not self.waits


@dataclass(frozen=True, slots=True, kw_only=True)
class LogResult:
    """The account and the memory after a batch, and what the batch gave."""

    account: LogAccount
    log_memory: LogReaderState
    events: tuple[Event, ...] = ()
    clues: tuple[Clue, ...] = ()


def process_records(
    account: LogAccount,
    memory: LogMemory | None,
    read: LogRead,
    at: Instant,
    readings: CounterReadings = UNREAD_COUNTERS,
) -> LogResult:
    """Count records in the order in which they were read, and recognize reports in them.

    `memory`: None for the first batch of a process. `readings`: of the counters that confirm reports.
    """
    state = _reader_state(account, memory)
    selected = state.prefilter.select(read.records)
    newest_usec = _printk_usec(read.records[-1]) if read.records and read.live else None
    counted = count(account, read.records, account.clock.after_read(at, newest_usec), regular=selected.regular)
    if state.is_idle and not selected.hits and counted.account.is_reported:
        return LogResult(account=counted.account, log_memory=state)
    reader = _LogReader(counted.account, state, at, readings)
    reader.replay(counted.replayed)
    if counted.fresh or _all_replayed(counted.replayed, account):
        reader.enter(ReplayStage.NEW)
    reader.process(counted.fresh, selected.hits if len(counted.fresh) == len(read.records) else None)
    return reader.result()


def process_timeout(
    account: LogAccount, memory: LogMemory | None, at: Instant, readings: CounterReadings = UNREAD_COUNTERS
) -> LogResult:
    """Close a report without new lines for a second, tell held ones that are decided, and emit due summaries."""
    reader = _LogReader(account, _reader_state(account, memory), at, readings)
    reader.flush_idle()
    return reader.result()


def _all_replayed(records: Sequence[bytes], account: LogAccount) -> bool:
    """Whether the newest of the records that were counted before is among these."""
    return bool(records) and account.next_seq is not None and parse_prefix(records[-1])[1] + 1 >= account.next_seq


def _reader_state(account: LogAccount, memory: LogMemory | None) -> LogReaderState:
    if isinstance(memory, LogReaderState):
        return memory
    if account.next_seq is None:
        return LogReaderState()
    return LogReaderState(stage=ReplayStage.REPORTED)


class _LogReader:
    """A mutable copy of account and memory for the time of one batch."""

    def __init__(self, account: LogAccount, state: LogReaderState, at: Instant, readings: CounterReadings) -> None:
        self.account = account
        self.state = state
        self.at = at
        self.readings = readings
        self.events: list[Event] = []
        self.clues: list[Clue] = []
        self._settled: list[int] = []  # first lines of the reports that were told or counted since the last tracking

    def result(self) -> LogResult:
        """Return the parts as they are now; a part without a change is the same object as before the batch."""
        self._settle()
        self._track_unfinished()
        account, summaries, due = emit_due(self.account, self.state.summaries, self.at)
        state = replace(self.state, summaries=summaries)
        return LogResult(account=account, log_memory=state, events=(*self.events, *due), clues=tuple(self.clues))

    def replay(self, records: Sequence[bytes]) -> None:
        """Process records that were counted before: after a restart only, not when the log is merely reopened."""
        if self.state.stage is ReplayStage.NEW or not records:
            return
        unfinished = self.account.unfinished
        split = len(records)
        if unfinished is not None:
            begin = unfinished.since_seq
            split = next((index for index, raw in enumerate(records) if parse_prefix(raw)[1] >= begin), split)
        if self.state.stage is ReplayStage.REPORTED:
            self.process(records[:split])
        if split < len(records):
            self.enter(ReplayStage.UNFINISHED)
            self.process(records[split:])

    def enter(self, stage: ReplayStage) -> None:
        """Go on to a later stage."""
        if stage <= self.state.stage:
            return
        if self.state.stage is ReplayStage.REPORTED:
            # A report that a timeout closed is still open here, because a replay has no timeouts: close it.
            self._apply(*flush(self.state.recognizer))
        self.state = replace(self.state, stage=stage)

    def process(self, records: Sequence[bytes], hits: Sequence[int] | None = None) -> None:
        """Give the recognizer the records that matter; `hits`: the prefilter's selection, None: not selected yet."""
        if not records:
            return
        hits = self.state.prefilter.select(records).hits if hits is None else hits
        position = 0
        while position < len(records):
            begins = not self.state.in_report
            end = position + CHUNK
            if begins:
                hit = bisect_left(hits, position)
                if hit == len(hits):
                    return
                position, end = hits[hit], _run_end(hits, hit)
            chunk = records[position:end]
            self._apply(*recognize(self.state.recognizer, _parse(chunk), self.at.monotonic_usec), chunk, begins=begins)
            position = end

    def flush_idle(self) -> None:
        """Close reports that got no line for a second."""
        self._apply(*tick(self.state.recognizer, self.at.monotonic_usec))

    def _apply(
        self,
        recognizer: RecognizerState,
        recognized: Recognized,
        records: Sequence[bytes] = (),
        *,
        begins: bool = False,
    ) -> None:
        # `begins`: no report was open before `records`.
        attempts, refusals = reported_once(self.state.attempts, recognized.load_failures)
        self.state = replace(self.state, recognizer=recognizer, attempts=attempts)
        stage, clock = self.state.stage, self.account.clock
        clues = (taint_notice_clue(notice, clock, self.at) for notice in recognized.taints)
        self.clues += (clue for clue in clues if clue is not None)
        reported = () if self.account.unfinished is None else self.account.unfinished.reported
        for report in recognized.reports:
            if stage is ReplayStage.REPORTED or report.first_line in reported:
                self._recall(report)
            else:
                self._judge(report)
        if stage is ReplayStage.NEW:
            self._emit(recognized, refusals)
        if stage is ReplayStage.NEW and (begins or self._settled):
            self._track_unfinished(records if begins else ())

    def _recall(self, report: KernelReport) -> None:
        """Take the clue of a report that is in an event already."""
        begun, now = self._begun_usec(report), self.at.monotonic_usec
        answer = judge(report, self.readings, begun_usec=begun, complete_usec=begun, now_usec=now)
        confirmed = False if answer is None else answer.confirmed
        clue = clue_of(report_event(_answered(report, confirmed), self.account.clock, self.at))
        if clue is not None:
            self.clues.append(clue)

    def _judge(self, report: KernelReport) -> None:
        """Tell a report that is complete now, or hold it until it is decided."""
        begun, now = self._begun_usec(report), self.at.monotonic_usec
        answer = judge(report, self.readings, begun_usec=begun, complete_usec=now, now_usec=now)
        if answer is not None:
            self._admit(_answered(report, answer.confirmed), 1)
            self._settled.append(report.first_line)
            return
        held, verdicts = make_room(hold(self.state.held, report, begun, now), self.readings)
        self.state = replace(self.state, held=held)
        self._conclude(verdicts)

    def _begun_usec(self, report: KernelReport) -> int:
        return (self.account.clock.moment(report.printk_usec) or self.at).monotonic_usec

    def _settle(self) -> None:
        """Decide about the held reports, when a number was read or some time has passed since it was done last."""
        now = self.at.monotonic_usec
        judged = self.state.judged_with is self.readings and now - self.state.judged_usec < JUDGE_USEC
        if not self.state.held or judged:
            return
        held, verdicts = settle(self.state.held, self.readings, now)
        self.state = replace(self.state, held=held, judged_with=self.readings, judged_usec=now)
        self._conclude(verdicts)

    def _conclude(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            entry = verdict.held
            if verdict.answer is None:
                self._suppress(entry.report, len(entry.numbers))
            else:
                self._admit(_answered(entry.report, verdict.answer.confirmed), len(entry.numbers))
            self._settled += entry.numbers

    def _admit(self, report: KernelReport, times: int) -> None:
        """Make an event of a report unless it is a repeat, or its share is used up; the other `times` are repeats."""
        budget, admission = admit(self.state.budget, report, self.at.monotonic_usec)
        self.state = replace(self.state, budget=budget)
        if report.unconfirmed:
            self._count_unconfirmed(report, times)
        if admission is Admission.SUPPRESSED:
            self._suppress(report, times)
            return
        if admission is Admission.REPORTED:
            self.events.append(report_event(report, self.account.clock, self.at))
            times -= 1
        if times and not report.unconfirmed:
            self.account = replace(self.account, repeats=_added(self.account.repeats, report.signature, times))

    def _suppress(self, report: KernelReport, times: int) -> None:
        unnamed = _added(self.account.suppressed_unnamed, report.signature, times)
        self.account = replace(self.account, suppressed=self.account.suppressed + times, suppressed_unnamed=unnamed)

    def _count_unconfirmed(self, report: KernelReport, times: int) -> None:
        unconfirmed = _added(self.account.unconfirmed, report.signature, times)
        self.account = replace(self.account, forged=self.account.forged + times, unconfirmed=unconfirmed)
        text = report.evidence[0] if report.evidence else report.title
        self._keep_sample(Forgery(signature=report.signature, text=text, number=report.first_line, facility=0))

    def _emit(self, recognized: Recognized, refusals: Iterable[KernelReport]) -> None:
        clock, at = self.account.clock, self.at
        self.events += (failure_event(refusal, clock, at) for refusal in refusals)
        self.events += (denial_event(denial, clock, at) for denial in recognized.denials if denial.reason is None)
        if recognized.forged:
            self.account = replace(self.account, forged=self.account.forged + recognized.forged)
        if recognized.forgeries:
            self._keep_sample(recognized.forgeries[0])

    def _keep_sample(self, forgery: Forgery) -> None:
        if self.state.summaries.forged_sample is None:
            summaries = replace(self.state.summaries, forged_sample=forgery)
            self.state = replace(self.state, summaries=summaries)

    def _track_unfinished(self, records: Sequence[bytes] = ()) -> None:
        """Note where a restart continues. `records`: those in which a report opened; empty: no report opened."""
        before, after, settled = self.account.unfinished, None, tuple(self._settled)
        self._settled.clear()
        if self.state.stage is not ReplayStage.NEW and before is None:
            return
        if self.state.stage is not ReplayStage.NEW or self.state.unsettled:
            after = before
            if before is not None and settled:
                after = replace(before, reported=(*before.reported, *settled))
            elif before is None and records:
                after = Unfinished(since_seq=parse_prefix(records[0])[1], reported=settled)
        if after is not None and len(after.reported) > MAX_UNFINISHED:
            pending = (*(draft.first.number for draft in self.state.recognizer.open), *_held_numbers(self.state))
            first = min(pending, default=after.since_seq)
            reported = tuple(number for number in after.reported if number >= first)
            after = Unfinished(since_seq=first, reported=reported[-MAX_UNFINISHED:])
        if after is not before:
            self.account = replace(self.account, unfinished=after)


def _held_numbers(state: LogReaderState) -> Iterator[int]:
    return (number for entry in state.held for number in entry.numbers)


def _answered(report: KernelReport, confirmed: bool | None) -> KernelReport:
    if confirmed is None:
        return report
    severity = report.severity
    if not confirmed and severity in (Severity.CRITICAL, Severity.ERROR):
        severity = Severity.WARNING  # it may be a forgery
    return replace(report, confirmed=confirmed, severity=severity)


def _added(counts: Mapping[str, int], signature: str, times: int) -> Mapping[str, int]:
    return MappingProxyType({**counts, signature: counts.get(signature, 0) + times})


def _run_end(hits: Sequence[int], first: int) -> int:
    """Return the end of the run of adjacent records that begins at `hits[first]`."""
    end = hits[first] + 1
    for hit in hits[first + 1 : first + CHUNK]:
        if hit != end:
            break
        end += 1
    return end


def _printk_usec(raw: bytes) -> int | None:
    fields = raw[:80].split(b",", 3)[2:3]  # PRIO,SEQ,USEC,
    return int(fields[0]) if fields and fields[0].isdigit() else None


def _parse(records: Iterable[bytes]) -> Iterator[KmsgRecord]:
    for raw in records:
        try:
            yield parse_record(raw)
        except ParseError:
            continue  # counted as malformed, or by its sequence number; it has no text
