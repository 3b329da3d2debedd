"""From raw records of /dev/kmsg to what the kernel said: the account of the records, and the events in them.

Most records are nothing, and a flood is many records: a batch is counted as a whole (`model.logcount`), and only the
records in which the prefilter hears something, or that come while a report is open, reach the recogniser.

The device gives its whole ring again to whoever opens it. After a restart the records that were counted before are
heard once more and not counted, in three stages:

- PAST: whatever was told of them was told; they only give clues to taint bits that nobody explained yet.
- AGAIN: from where the recogniser last had nothing open. It hears the same lines and comes to the same reports, so a
  report that was open when the process ended is whole again; those that were told are known by their first record.
- NOW: records that nobody counted yet.
"""

import enum
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kmodmon.events.event import Event
from kmodmon.events.report import KernelReport
from kmodmon.kernel.kmsg import parse_prefix, parse_record
from kmodmon.reports.load_refusal import NO_ATTEMPTS, Attempts, reported_once
from kmodmon.reports.log_line import LogLine
from kmodmon.reports.prefilter import Prefilter
from kmodmon.reports.recognizer import Recognized, RecognizerState, flush, recognize, tick
from kmodmon.reports.report_events import (
    NOTHING_PENDING,
    PendingSummaries,
    denial_event,
    emit_due,
    failure_event,
    report_event,
    taint_line_clue,
)
from kmodmon.subjects.log import LogAccount, LogMemory, LogRead, Unfinished
from kmodmon.subjects.log_count import count
from kmodmon.subjects.taint import Clue, clue_of
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text
from kmodmon.types.units import Instant

CHUNK = 64  # records handed to the recogniser at once while a report is open: as many as it may need to close it
MAX_TOLD = 1024  # a storm that long without a quiet record is not heard again from its beginning

_PREFILTER = Prefilter()  # remembers lines known to be boring; its verdict is a function of the line alone


_NOTHING_HEARD = RecognizerState()


class ReplayStage(enum.IntEnum):
    """How far hearing the ring again has come."""

    PAST = 0
    AGAIN = 1
    NOW = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReaderState(LogMemory):
    """The recogniser's memory and what belongs to it."""

    state: RecognizerState = _NOTHING_HEARD
    stage: ReplayStage = ReplayStage.NOW
    attempts: Attempts = NO_ATTEMPTS
    dues: PendingSummaries = NOTHING_PENDING

    @property
    def in_report(self) -> bool:
        """Whether a report is open."""
        return self.state.wants_all

    @property
    def waits(self) -> bool:
        """Whether a report is open, or something is told after a pause."""
        return self.in_report or self.dues.owed

    @property
    def is_idle(self) -> bool:
        """Whether records that mean nothing change nothing here."""
        return self.stage is ReplayStage.NOW and not self.waits


@dataclass(frozen=True, slots=True, kw_only=True)
class LogResult:
    """What a batch came to."""

    account: LogAccount
    hearing: LogReaderState
    events: tuple[Event, ...] = ()
    clues: tuple[Clue, ...] = ()


def process_records(account: LogAccount, hearing: LogMemory | None, read: LogRead, at: Instant) -> LogResult:
    """Take in records in the order they were read; `hearing` is None when the process has just started."""
    picked = _PREFILTER.pick(read.records)
    newest = _stamp(read.records[-1]) if read.records and read.live else None
    counted = count(account, read.records, account.clock.looked(at, newest), regular=picked.regular)
    heard = _memory(account, hearing)
    if heard.is_idle and not picked.hits and counted.account.is_told:
        return LogResult(account=counted.account, hearing=heard)
    ear = _LogReader(account, heard, at)
    ear.again(counted.known)
    ear.account = counted.account
    if counted.fresh or read.end:
        ear.enter(ReplayStage.NOW)
    ear.listen(counted.fresh, picked.hits if len(counted.fresh) == len(read.records) else None)
    return ear.said()


def process_timeout(account: LogAccount, hearing: LogMemory | None, at: Instant) -> LogResult:
    """Time passed: a report that has been silent for a second is complete, and what was held back is told."""
    ear = _LogReader(account, _memory(account, hearing), at)
    ear.silence()
    return ear.said()


def _memory(account: LogAccount, hearing: LogMemory | None) -> LogReaderState:
    if isinstance(hearing, LogReaderState):
        return hearing
    if account.next_seq is None:
        return LogReaderState()
    return LogReaderState(stage=ReplayStage.PAST, state=replace(_NOTHING_HEARD, dedupe=False))


class _LogReader:
    """The working copy of account and memory while one batch is taken in; nothing outside one call sees it."""

    def __init__(self, account: LogAccount, heard: LogReaderState, at: Instant) -> None:
        self.account = account
        self.at = at
        self.state = heard.state
        self.stage = heard.stage
        self.attempts = heard.attempts
        self.dues = heard.dues
        self.events: list[Event] = []
        self.clues: list[Clue] = []

    def said(self) -> LogResult:
        """What it came to; parts that did not change stay the same objects."""
        account, dues, owed = emit_due(self.account, self.dues, self.at)
        heard = LogReaderState(state=self.state, stage=self.stage, attempts=self.attempts, dues=dues)
        return LogResult(account=account, hearing=heard, events=(*self.events, *owed), clues=tuple(self.clues))

    def again(self, known: Sequence[bytes]) -> None:
        """Records that were counted before: heard again after a restart, else passed over."""
        if self.stage is ReplayStage.NOW or not known:
            return
        unfinished = self.account.unfinished
        split = len(known)
        if unfinished is not None:
            split = next((at for at, raw in enumerate(known) if parse_prefix(raw)[1] >= unfinished.since), split)
        if self.stage is ReplayStage.PAST:
            self.listen(known[:split])
        if split < len(known):
            self.enter(ReplayStage.AGAIN)
            self.listen(known[split:])

    def enter(self, stage: ReplayStage) -> None:
        """Go on to a later stage."""
        if stage <= self.stage:
            return
        if self.stage is ReplayStage.PAST:
            # Silence, which ended reports then, is not heard again: begin with nothing open, as it was.
            self.take(*flush(self.state, self.at.monotonic_usec))
        self.stage = stage
        if stage is ReplayStage.NOW:
            self.state = replace(self.state, dedupe=True)
            if not self.state.wants_all:
                self.account = replace(self.account, unfinished=None)

    def listen(self, records: Sequence[bytes], hits: Sequence[int] | None = None) -> None:
        """Hand to the recogniser what it may want to hear; `hits`: what the prefilter picked, if that is known."""
        if not records:
            return
        hits = _PREFILTER.pick(records).hits if hits is None else hits
        position = 0
        while position < len(records):
            began = not self.state.wants_all
            end = position + CHUNK
            if began:
                found = bisect_left(hits, position)
                if found == len(hits):
                    return
                position, end = hits[found], _run_end(hits, found)
            chunk = records[position:end]
            self.take(*recognize(self.state, _lines(chunk), self.at.monotonic_usec), chunk, began=began)
            position = end

    def silence(self) -> None:
        """Nothing was read."""
        self.take(*tick(self.state, self.at.monotonic_usec))

    def take(
        self, state: RecognizerState, spoken: Recognized, records: Sequence[bytes] = (), *, began: bool = False
    ) -> None:
        """Take over what the recogniser understood of `records`; `began`: it had nothing open before them."""
        self.state = state
        clock = self.account.clock
        self.attempts, refusals = reported_once(self.attempts, spoken.load_failures)
        self.clues += (clue for one in spoken.taints if (clue := taint_line_clue(one, clock, self.at)) is not None)
        told = () if self.account.unfinished is None else self.account.unfinished.told
        for report in spoken.reports:
            self._report(report, known=self.stage is ReplayStage.PAST or report.first_line in told)
        if self.stage is ReplayStage.NOW:
            self._now(spoken, refusals)
            self._remember_open(spoken, records, began)

    def _report(self, report: KernelReport, *, known: bool) -> None:
        event = report_event(report, self.account.clock, self.at)
        if not known:
            self.events.append(event)
        elif (clue := clue_of(event)) is not None:
            self.clues.append(clue)

    def _now(self, spoken: Recognized, refusals: Iterable[KernelReport]) -> None:
        clock, at = self.account.clock, self.at
        self.events += (failure_event(one, clock, at) for one in refusals)
        self.events += (denial_event(one, clock, at) for one in spoken.denials if one.reason is None)
        if spoken.forgeries and self.dues.forgery is None:
            self.dues = replace(self.dues, forgery=spoken.forgeries[0])
        if spoken.repeats or spoken.suppressed or spoken.forged:
            repeats = dict(self.account.repeats)
            for repeat in spoken.repeats:
                repeats[repeat.signature] = repeats.get(repeat.signature, 0) + repeat.count
            self.account = replace(
                self.account,
                repeats=repeats,
                suppressed=self.account.suppressed + spoken.suppressed,
                forged=self.account.forged + spoken.forged,
            )

    def _remember_open(self, spoken: Recognized, records: Sequence[bytes], began: bool) -> None:
        before, after = self.account.unfinished, None
        if self.state.wants_all and began:
            after = Unfinished(since=parse_prefix(records[0])[1], told=spoken.closed)
        elif self.state.wants_all and before is not None:
            after = replace(before, told=(*before.told, *spoken.closed)) if spoken.closed else before
        if after is not None and len(after.told) > MAX_TOLD:
            first = min((draft.first.number for draft in self.state.open), default=after.since)
            after = Unfinished(since=first, told=tuple(one for one in after.told if one >= first)[-MAX_TOLD:])
        if after is not before:
            self.account = replace(self.account, unfinished=after)


def _run_end(hits: Sequence[int], found: int) -> int:
    """The end of the run of neighbouring hits that begins with the one at `found`."""
    end = hits[found] + 1
    for hit in hits[found + 1 : found + CHUNK]:
        if hit != end:
            break
        end += 1
    return end


def _stamp(raw: bytes) -> int | None:
    stamp = raw[:80].split(b",", 3)[2:3]  # PRIO,SEQ,USEC,
    return int(stamp[0]) if stamp and stamp[0].isdigit() else None


def _lines(records: Iterable[bytes]) -> Iterable[LogLine]:
    for raw in records:
        try:
            record = parse_record(raw)
        except ParseError:
            continue  # counted by its number; there is no text to look at
        yield LogLine(
            text=safe_text(record.text),
            level=record.level,
            facility=record.facility,
            seq=record.seq,
            printk_usec=record.printk_usec,
            caller=record.caller,
            continuation=record.continuation,
            number=record.seq,
        )
