"""The taint ledger: for every set bit since when, by what cause, with which evidence.

Source: /proc/sys/kernel/tainted says that a bit is set; what explains it arrives on other ways, a little earlier or
later: a module that carries the letter, a load that failed after it had tainted, a report in the log. Events leave
clues; a bit that appears waits up to SETTLE for one, and is "unexplained" after that. The kernel never clears a bit:
a number that falls within a boot means that somebody wrote kernel memory.

A bit is first seen set at one reading and was clear at the one before, so what set it lies between the two (what lies
before found it clear and did not set it). Bits that were set before the first reading of the boot are no news; a clue
from before that reading, which the log still holds, tells their cause silently.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.cause import BEFORE_START, UNEXPLAINED, USER, Cause, parse_cause
from kmodmon.events.codec import actor_or_none
from kmodmon.events.event import Actor, Event, Severity
from kmodmon.events.kinds.log import KernelReported, PreviousBootReported
from kmodmon.events.kinds.module import ModuleChanged, ModuleInitFailed, ModuleLoaded, ModuleTransient
from kmodmon.events.kinds.taint import TaintAdded, TaintCleared
from kmodmon.events.report import KernelReport, ReportClass
from kmodmon.kernel.taint import FLAGS, Flag, decode, parse_letters
from kmodmon.lifecycle.signals import TraceEntry, TraceKind
from kmodmon.types.codec import json_value, lenient_from_json, to_json, value_or_none
from kmodmon.types.outcome import Observation
from kmodmon.types.units import Instant, JsonObject

SETTLE_USEC = 3_000_000  # the log and the trace are read within milliseconds; a slow file check may take longer
PATIENCE_USEC = 20_000_000  # while the log still tells a report; it is complete when nothing more of it comes
CLOCK_USEC = 1_000_000  # the log's clock is not ours
ACTOR_USEC = 5_000_000  # clues of one load by the log and by the trace lie no farther apart
MAX_CLUES = 256
_USER_BIT = 6

# Which bits a report of a class explains (include/linux/panic.h; the callers of add_taint()).
REPORT_TAINTS: Mapping[ReportClass, int] = MappingProxyType(
    {
        ReportClass.OOPS: 1 << 7,
        ReportClass.BUG: 1 << 7 | 1 << 9,
        ReportClass.WARNING: 1 << 9,
        ReportClass.STACK_OVERFLOW: 1 << 7,
        ReportClass.CORRUPTION: 1 << 5 | 1 << 7 | 1 << 9,
        ReportClass.REFCOUNT: 1 << 9,
        ReportClass.SOFT_LOCKUP: 1 << 14,
        ReportClass.HARD_LOCKUP: 1 << 9,
        ReportClass.LOCKDEP: 1 << 9,
        ReportClass.ATOMIC_SLEEP: 1 << 9,
        ReportClass.KASAN: 1 << 5 | 1 << 9,
        ReportClass.KFENCE: 1 << 5 | 1 << 9,
        ReportClass.KMSAN: 1 << 5 | 1 << 9,
        ReportClass.KCSAN: 1 << 9,
        ReportClass.UBSAN: 1 << 9,
        ReportClass.MACHINE_CHECK: 1 << 4,
        ReportClass.NMI: 1 << 9,
        ReportClass.PANIC: 1 << 7 | 1 << 9,
        ReportClass.OTHER: 1 << 9,
    }
)
_PRINTED_FIRST = 1 << 7 | 1 << 9 | 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintRead(Observation):
    """/proc/sys/kernel/tainted."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """Something that would explain some bits."""

    at: Instant
    bits: int
    cause: Cause
    module: str | None = None
    actor: Actor | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintEntry:
    """One line of the ledger."""

    bit: int
    since: Instant | None  # None: set before our first look in this boot
    cause: Cause
    module: str | None = None
    actor: Actor | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A bit that waits for a clue. `clear_at`: when it was last seen clear; None: not known."""

    since: Instant
    clear_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintState:
    """`value` is None until read. `pending` are bits that still wait for a clue. `flags`: this kernel's table."""

    value: int | None = None
    flags: tuple[Flag, ...] = FLAGS
    ledger: Mapping[int, TaintEntry] = field(default_factory=lambda: MappingProxyType({}))
    pending: Mapping[int, Waiting] = field(default_factory=lambda: MappingProxyType({}))
    clues: tuple[Clue, ...] = ()
    first_at: Instant | None = None  # our first reading in this boot
    read_at: Instant | None = None  # our last one


UNREAD_TAINT = TaintState()


def taint_read(taint: TaintState, value: int, at: Instant, resumed: bool) -> tuple[TaintState, tuple[Event, ...]]:
    """Fold the number the kernel shows. `resumed`: an earlier run of this boot left a ledger behind."""
    clear_at = taint.read_at
    taint = replace(taint, first_at=taint.first_at or at, read_at=at)
    if value == taint.value:
        return taint, ()
    if taint.value is None and not resumed:
        entries = {flag.bit: TaintEntry(bit=flag.bit, since=None, cause=BEFORE_START) for flag in decode(value)}
        taint = replace(taint, value=value, ledger=MappingProxyType(entries))
        return _recalled(taint, taint.clues), ()
    before = taint.value if taint.value is not None else sum(1 << bit for bit in taint.ledger)
    fallen = decode(before & ~value, taint.flags)
    # A bit that came back after it fell is news as well.
    news = {flag.bit: Waiting(since=at, clear_at=clear_at) for flag in decode(value & ~before)}
    pending = {**news, **{bit: waiting for bit, waiting in taint.pending.items() if value >> bit & 1}}
    events = tuple(_cleared(flag, before, value, at) for flag in fallen)
    return replace(taint, value=value, pending=MappingProxyType(pending)), events


def _cleared(flag: Flag, before: int, value: int, at: Instant) -> Event:
    return Event(
        details=TaintCleared(flag=flag.label, letter=flag.letter, bit=flag.bit, old=before, new=value),
        at=at,
        severity=Severity.CRITICAL,
        evidence=(f"tainted was {before}, now {value}", "the kernel itself never clears a taint bit"),
    )


def notice_clues(taint: TaintState, events: Iterable[Event], clues: tuple[Clue, ...] = ()) -> TaintState:
    """Remember what the events could explain, and clues that are no event."""
    new = (*clues, *(clue for event in events if (clue := clue_of(event, taint.flags)) is not None))
    return _recalled(replace(taint, clues=(*taint.clues, *new)[-MAX_CLUES:]), new) if new else taint


def _recalled(taint: TaintState, clues: tuple[Clue, ...]) -> TaintState:
    """Find causes of bits that were set before our first reading, in the order in which things happened."""
    first = taint.first_at
    without_cause = [bit for bit, entry in taint.ledger.items() if entry.cause == BEFORE_START]
    if first is None or not without_cause:
        return taint
    past = tuple(clue for clue in clues if clue.at.monotonic_usec <= first.monotonic_usec)
    entries = {bit: _entry(bit, clue) for bit in without_cause if (clue := _best(past, bit, None)) is not None}
    return replace(taint, ledger=MappingProxyType({**taint.ledger, **entries})) if entries else taint


def explain(
    taint: TaintState, now: Instant, *, started: Instant, log_open: bool = False
) -> tuple[TaintState, tuple[Event, ...]]:
    """Tie waiting bits to clues; a bit that waited in vain is unexplained.

    `started`: when this run began. `log_open`: a report is being told.
    """
    if not taint.pending:
        return taint, ()
    patience = PATIENCE_USEC if log_open else SETTLE_USEC
    pending, ledger = dict(taint.pending), dict(taint.ledger)
    events: list[Event] = []
    for bit, waiting in taint.pending.items():
        clue = _best(taint.clues, bit, waiting.clear_at)
        if clue is None and now.monotonic_usec - waiting.since.monotonic_usec < patience:
            continue
        entry = _clueless(bit, waiting, started) if clue is None else _entry(bit, _with_actor(clue, taint.clues))
        ledger[bit] = entry
        del pending[bit]
        events.append(_added(entry, taint.value or 0, now, taint.flags))
    after = replace(taint, pending=MappingProxyType(pending), ledger=MappingProxyType(ledger))
    return (after, tuple(events)) if events else (taint, ())


def _best(clues: tuple[Clue, ...], bit: int, clear_at: Instant | None) -> Clue | None:
    # The first clue is the cause: later modules with the same letter found the bit already set.
    for clue in clues:
        if clue.bits >> bit & 1 and (
            clear_at is None or clue.at.monotonic_usec >= clear_at.monotonic_usec - CLOCK_USEC
        ):
            return clue
    return None


def _with_actor(clue: Clue, clues: tuple[Clue, ...]) -> Clue:
    # The log speaks of a load first, and does not know who did it; the trace does.
    if clue.actor is not None or clue.module is None:
        return clue
    same = (other for other in clues if other.module == clue.module and other.actor is not None)
    traced = next((other for other in same if abs(other.at.monotonic_usec - clue.at.monotonic_usec) < ACTOR_USEC), None)
    return clue if traced is None else replace(clue, actor=traced.actor, evidence=(*clue.evidence, *traced.evidence))


def _clueless(bit: int, waiting: Waiting, started: Instant) -> TaintEntry:
    evidence = ["no module that came, and nothing in the log, accounts for it"]
    if waiting.clear_at is None or waiting.clear_at.monotonic_usec < started.monotonic_usec:
        evidence.append("it was set while kmodmon was not running")
    else:
        evidence.append("a write to /proc/sys/kernel/tainted by root leaves no other trace")
    cause = USER if bit == _USER_BIT else UNEXPLAINED
    return TaintEntry(bit=bit, since=waiting.since, cause=cause, evidence=tuple(evidence))


def loading_clues(entries: Iterable[TraceEntry], now: Instant) -> tuple[Clue, ...]:
    """What loads in the trace would explain, at once: their init, and so the event of the load, may take long."""
    return tuple(
        Clue(
            at=now.back_to(entry.monotonic_usec),
            bits=parse_letters(entry.taint).value,
            cause=Cause.of_module(entry.module),
            module=entry.module,
            actor=entry.actor,
            evidence=(f"{entry.module} carries {entry.taint}", "module_load traced"),
        )
        for entry in entries
        if entry.kind is TraceKind.LOAD and entry.taint
    )


def _entry(bit: int, clue: Clue) -> TaintEntry:
    return TaintEntry(
        bit=bit, since=clue.at, cause=clue.cause, module=clue.module, actor=clue.actor, evidence=clue.evidence
    )


def _added(entry: TaintEntry, value: int, now: Instant, flags: tuple[Flag, ...]) -> Event:
    (flag,) = decode(1 << entry.bit, flags)
    return Event(
        details=TaintAdded(
            flag=flag.label,
            letter=flag.letter,
            bit=entry.bit,
            cause=entry.cause,
            tier=flag.tier.value,
            value=value,
        ),
        at=entry.since or now,
        severity=Severity.ERROR if entry.cause == UNEXPLAINED else Severity.WARNING,
        module=entry.module,
        actor=entry.actor,
        evidence=entry.evidence,
    )


def clue_of(event: Event, flags: tuple[Flag, ...] = FLAGS) -> Clue | None:
    """What an event would explain; None: nothing."""
    match event.details:
        case ModuleLoaded(taints=letters) | ModuleTransient(taints=letters) | ModuleInitFailed(taints=letters):
            return _module_clue(event, parse_letters(letters, flags).value, f"{event.module} carries {letters}")
        case ModuleChanged(taint_bits=gained):
            return _module_clue(event, gained, f"{event.module} changed")
        case PreviousBootReported():
            return None
        case KernelReported(report=report):
            bits = REPORT_TAINTS.get(report.report_class, 0) & ~_set_before(report)
            if not bits:
                return None
            return Clue(
                at=event.at, bits=bits, cause=Cause.of_report(report.signature), module=event.module,
                actor=event.actor, evidence=(report.title,),
            )  # fmt: skip
        case _:
            return None


def _set_before(report: KernelReport) -> int:
    # The taint string of a report is printed before the bits D, L and W that follow from it are set.
    letters = report.taint_letters
    return 0 if letters is None else parse_letters(letters).value & _PRINTED_FIRST


def _module_clue(event: Event, bits: int, evidence: str) -> Clue | None:
    if not bits or event.module is None:
        return None
    return Clue(
        at=event.at, bits=bits, cause=Cause.of_module(event.module), module=event.module, actor=event.actor,
        evidence=(evidence, *event.evidence),
    )  # fmt: skip


def taint_to_json(taint: TaintState) -> JsonObject:
    """The number and the ledger. Bits that still wait for a clue are left out: they are news again after a restart."""
    waiting = sum(1 << bit for bit in taint.pending)
    return {
        "value": None if taint.value is None else str(taint.value & ~waiting),
        "first_at": json_value(taint.first_at),
        "read_at": json_value(taint.read_at),
        "ledger": {
            str(bit): {**to_json(entry, without=("bit", "cause")), "cause": str(entry.cause)}
            for bit, entry in taint.ledger.items()
        },
    }


def taint_joined(taint: TaintState, earlier: JsonObject) -> TaintState:
    """The ledger with an earlier run's lines for those bits that this one found set already."""
    before = taint_from_json(earlier)
    ledger = {
        bit: before.ledger.get(bit, entry) if entry.cause == BEFORE_START else entry
        for bit, entry in taint.ledger.items()
    }
    return replace(taint, ledger=MappingProxyType(ledger), first_at=before.first_at or taint.first_at)


def taint_from_json(document: JsonObject) -> TaintState:
    """The ledger of the earlier run; the number it ended with is compared with the first reading."""
    rows = document.get("ledger")
    ledger: dict[int, TaintEntry] = {}
    for bit, entry in rows.items() if isinstance(rows, Mapping) else ():
        if bit.isdecimal() and int(bit) < 64 and isinstance(entry, Mapping):
            ledger[int(bit)] = _entry_from_json(int(bit), entry)
    value = document.get("value")
    number = int(value) if isinstance(value, str) and value.isdecimal() else None
    return TaintState(
        value=number,
        ledger=MappingProxyType(ledger),
        first_at=value_or_none(Instant, document.get("first_at")),
        read_at=value_or_none(Instant, document.get("read_at")),
    )


def _entry_from_json(bit: int, entry: JsonObject) -> TaintEntry:
    return lenient_from_json(
        TaintEntry,
        entry,
        bit=bit,
        since=value_or_none(Instant, entry.get("since")),
        cause=parse_cause(value_or_none(str, entry.get("cause")) or ""),
        actor=actor_or_none(entry.get("actor")),
    )
