"""From raw records of /dev/kmsg to what the kernel said: the account of the records, and the events in them.

Most records are nothing, and a flood is many records: so a batch is accounted for by its ends (the sequence numbers of
the first and the last record tell whether any is missing) and by the digits before the first comma, and only a batch in
which the prefilter hears something, or that comes while a report is open, is looked at record by record.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.kernel.error import ParseError
from kmodmon.kernel.kmsg import parse_prefix, parse_record
from kmodmon.kernel.taint import parse_letters
from kmodmon.kernel.text import safe_text
from kmodmon.model.event import Event, EventType, Severity
from kmodmon.model.log import KERNEL, LEVELS, USER, Hearing, LogAccount
from kmodmon.model.logline import LogLine
from kmodmon.model.report import KernelReport, ReportClass
from kmodmon.model.taint import Clue
from kmodmon.model.units import Instant
from kmodmon.signatures.prefilter import Prefilter
from kmodmon.signatures.recognise import Spoken, State, recognise, tick

# What the loader says when it taints, and the letter it means (kernel/module/main.c).
TAINT_SAYINGS: Mapping[str, str] = MappingProxyType(
    {
        "out_of_tree": "O",
        "verification_failed": "E",
        "proprietary": "P",
        "inherited_taint": "P",
        "staging": "C",
        "test_module": "N",
        "livepatch": "K",
        "forced_load": "F",
        "dangerous_option": "U",
    }
)
FORGERY_PAUSE_USEC = 60_000_000  # one event in a while; all are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard(Hearing):
    """The recogniser's memory, and when a forgery was last told."""

    state: State = field(default_factory=State)
    forgery_told: int | None = None  # CLOCK_MONOTONIC, microseconds

    @property
    def waits(self) -> bool:
        """Whether a report is open, so that silence must be noticed."""
        return self.state.wants_all


_FRESH = Heard()
_PREFILTER = Prefilter()  # remembers lines known to be boring; its verdict is a function of the line alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a batch came to."""

    account: LogAccount
    hearing: Heard
    events: tuple[Event, ...] = ()
    clues: tuple[Clue, ...] = ()


def hear(account: LogAccount, hearing: Hearing | None, records: Sequence[bytes], at: Instant) -> Said:
    """Take in records in the order they were read; those read before a restart are passed over."""
    heard = hearing if isinstance(hearing, Heard) else _FRESH
    fresh, account, lost = _account(account, records)
    lines: Iterable[LogLine] = ()
    if fresh:
        start = 0 if heard.state.wants_all else _PREFILTER.first(fresh)
        if start is not None:
            lines = _lines(fresh[start:])
    state, spoken = recognise(heard.state, lines, at.monotonic_usec)
    said = _said(account, replace(heard, state=state), spoken, at)
    return replace(said, events=(*_lost(lost, account, at), *said.events))


def heard_nothing(account: LogAccount, hearing: Hearing | None, at: Instant) -> Said:
    """Time passed: a report that has been silent for a second is complete."""
    heard = hearing if isinstance(hearing, Heard) else _FRESH
    state, spoken = tick(heard.state, at.monotonic_usec)
    return _said(account, heard if state is heard.state else replace(heard, state=state), spoken, at)


def _account(account: LogAccount, records: Sequence[bytes]) -> tuple[Sequence[bytes], LogAccount, int]:
    """Leave out what was read before, count the rest and the gaps."""
    malformed = 0
    if not _in_order(records):
        numbered = [(seq, raw) for raw in records if (seq := _seq(raw)) is not None]
        malformed = len(records) - len(numbered)
        expected = account.next_seq
        kept = [(seq, raw) for seq, raw in numbered if expected is None or seq >= expected]
        lost = _gaps([seq for seq, _ in kept], expected)
        records, last = [raw for _, raw in kept], kept[-1][0] if kept else None
    else:
        first, last = parse_prefix(records[0])[1], parse_prefix(records[-1])[1]
        known = 0 if account.next_seq is None else max(0, account.next_seq - first)
        records = records[known:]
        lost = max(0, first - account.next_seq) if account.next_seq is not None else 0
    if last is None or not records:
        return (), replace(account, malformed=account.malformed + malformed) if malformed else account, 0
    counts = Counter(raw.partition(b",")[0] for raw in records)
    return (
        records,
        replace(
            account,
            next_seq=last + 1,
            records=_added(account.records, counts),
            lost=account.lost + lost,
            malformed=account.malformed + malformed,
        ),
        lost,
    )


def _in_order(records: Sequence[bytes]) -> bool:
    """Whether the numbers rise by one from record to record; the ends tell, unless something is malformed."""
    try:
        return bool(records) and parse_prefix(records[-1])[1] - parse_prefix(records[0])[1] == len(records) - 1
    except ParseError:
        return False


def _seq(raw: bytes) -> int | None:
    try:
        return parse_prefix(raw)[1]
    except ParseError:
        return None


def _gaps(numbers: Sequence[int], expected: int | None) -> int:
    lost = 0
    for number in numbers:
        if expected is not None and number > expected:
            lost += number - expected
        expected = number + 1
    return lost


def _added(records: Mapping[tuple[str, str], int], counts: Mapping[bytes, int]) -> Mapping[tuple[str, str], int]:
    after = dict(records)
    for digits, count in counts.items():
        priority = int(digits) if digits.isdigit() else USER_DEFAULT
        key = LEVELS[priority & 7], KERNEL if priority < 8 else USER
        after[key] = after.get(key, 0) + count
    return MappingProxyType(after)


USER_DEFAULT = 12  # user.warning: what a line without a priority gets


def _lines(records: Sequence[bytes]) -> Iterable[LogLine]:
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


def _said(account: LogAccount, heard: Heard, spoken: Spoken, at: Instant) -> Said:
    forged, heard = _forged(heard, spoken, at)
    account = _with_repeats(account, spoken)
    events = (
        *(_report(report, at) for report in spoken.reports),
        *(_failure(report, at) for report in spoken.load_failures),
        *(_denial(report, at) for report in spoken.denials if report.reason is None),
        *forged,
    )
    clues = tuple(clue for saying in spoken.taints if (clue := _clue(saying, at)) is not None)
    return Said(account=account, hearing=heard, events=events, clues=clues)


def _with_repeats(account: LogAccount, spoken: Spoken) -> LogAccount:
    if not (spoken.repeats or spoken.suppressed or spoken.forged):
        return account
    repeats = dict(account.repeats)
    for repeat in spoken.repeats:
        repeats[repeat.signature] = repeats.get(repeat.signature, 0) + repeat.count
    return replace(
        account,
        repeats=MappingProxyType(repeats),
        suppressed=account.suppressed + spoken.suppressed,
        forged=account.forged + spoken.forged,
    )


def _when(report: KernelReport, at: Instant) -> Instant:
    # printk's clock is the scheduler's: like CLOCK_MONOTONIC it stands still in suspend, and it never steps.
    return at if report.printk_usec is None else at.back_to(min(report.printk_usec, at.monotonic_usec))


def _report(report: KernelReport, at: Instant) -> Event:
    return Event(
        type=EventType.KERNEL_REPORT,
        at=_when(report, at),
        severity=report.severity,
        module=report.module,
        evidence=report.evidence,
        fields=report.fields(),
    )


def _failure(report: KernelReport, at: Instant) -> Event:
    reason = report.reason
    return Event(
        type=EventType.MODULE_LOAD_FAILED,
        at=_when(report, at),
        severity=Severity.WARNING,
        module=report.module,
        evidence=report.evidence,
        fields={
            "reason": "unknown" if reason is None else reason.value,
            "signature": report.signature,
            "symbol": report.symbol,
            "comm": report.comm,
        },
    )


def _denial(report: KernelReport, at: Instant) -> Event:
    return Event(
        type=EventType.LOCKDOWN_DENIED,
        at=_when(report, at),
        severity=Severity.WARNING,
        evidence=report.evidence,
        fields={"signature": report.signature, "what": report.symbol, "comm": report.comm},
    )


def _clue(saying: KernelReport, at: Instant) -> Clue | None:
    letter = TAINT_SAYINGS.get(saying.signature)
    if letter is None or saying.klass is not ReportClass.MODULE_TAINT:
        return None
    cause = f"module:{saying.module}" if saying.module is not None else f"report:{saying.signature}"
    return Clue(
        at=_when(saying, at),
        bits=parse_letters(letter).value,
        cause=cause,
        module=saying.module,
        evidence=saying.evidence,
    )


def _lost(lost: int, account: LogAccount, at: Instant) -> tuple[Event, ...]:
    if not lost:
        return ()
    return (
        Event(
            type=EventType.LOG_LOST,
            at=at,
            severity=Severity.WARNING,
            evidence=("gap in the sequence numbers of /dev/kmsg",),
            fields={"lost": lost, "next_seq": account.next_seq},
        ),
    )


def _forged(heard: Heard, spoken: Spoken, at: Instant) -> tuple[tuple[Event, ...], Heard]:
    told = heard.forgery_told
    if not spoken.forgeries or (told is not None and at.monotonic_usec - told < FORGERY_PAUSE_USEC):
        return (), heard
    first = spoken.forgeries[0]
    event = Event(
        type=EventType.LOG_FORGED,
        at=at,
        severity=Severity.WARNING,
        evidence=(first.text,),
        fields={"signature": first.signature, "facility": first.facility, "seq": first.number, "count": spoken.forged},
    )
    return (event,), replace(heard, forgery_told=at.monotonic_usec)
