"""The taint ledger: for every set bit since when, by what cause, with which evidence.

/proc/sys/kernel/tainted has the bits and no causes. Causes come from other sources, a little earlier or later: a module
with the letter was loaded, a load failed after it had set the bit, the log has a report of a kind that sets it. Each is
kept as a `Clue`. A new bit waits up to SETTLE_USEC for a clue and is then "unexplained". The kernel never clears a bit:
a bit that falls within a boot means that kernel memory was written.

A new bit was clear at the reading before, so only a clue between the two readings can be its cause. Bits that were set
at the first reading of the boot are no event; if the log still has a clue from before that reading, the ledger takes
its cause without an event.
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
PATIENCE_USEC = 20_000_000  # the same while a report in the log is incomplete
CLOCK_USEC = 1_000_000  # tolerance between printk's clock and CLOCK_MONOTONIC
ACTOR_USEC = 5_000_000  # the clues of one load from the log and from the trace are at most this far apart
MAX_CLUES = 256
_USER_BIT = 6

# The taint bits that a report of each class explains (include/linux/panic.h; the callers of add_taint()).
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
    """A possible cause of some taint bits."""

    at: Instant  # when it happened
    bits: int  # mask
    cause: Cause
    module: str | None = None
    actor: Actor | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintEntry:
    """One set bit with its cause."""

    bit: int  # number, from 0
    since: Instant | None  # None: set before the first reading of this boot
    cause: Cause
    module: str | None = None
    actor: Actor | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingBit:
    """A bit without a cause so far."""

    since: Instant  # of the reading that first had it
    clear_at: Instant | None = None  # of the last reading without it; None: there was none


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintState:
    """The ledger. Mappings are by bit number."""

    value: int | None = None  # of /proc/sys/kernel/tainted; None: not read yet
    flags: tuple[Flag, ...] = FLAGS  # the table of this kernel's vendor
    ledger: Mapping[int, TaintEntry] = field(default_factory=lambda: MappingProxyType({}))
    pending: Mapping[int, PendingBit] = field(default_factory=lambda: MappingProxyType({}))  # bits that wait for a clue
    clues: tuple[Clue, ...] = ()  # the newest MAX_CLUES
    first_at: Instant | None = None  # the first reading in this boot; None: there was none
    read_at: Instant | None = None  # the last reading


UNREAD_TAINT = TaintState()


def taint_read(taint: TaintState, value: int, at: Instant, resumed: bool) -> tuple[TaintState, tuple[Event, ...]]:
    """Fold a reading of /proc/sys/kernel/tainted. `resumed`: the ledger is from an earlier run of this boot."""
    clear_at = taint.read_at
    taint = replace(taint, first_at=taint.first_at or at, read_at=at)
    if value == taint.value:
        return taint, ()
    if taint.value is None and not resumed:
        entries = {flag.bit: TaintEntry(bit=flag.bit, since=None, cause=BEFORE_START) for flag in decode(value)}
        taint = replace(taint, value=value, ledger=MappingProxyType(entries))
        return _with_causes(taint, taint.clues), ()
    before = taint.value if taint.value is not None else sum(1 << bit for bit in taint.ledger)
    fallen = decode(before & ~value, taint.flags)
    # A bit that fell and is set again counts as new.
    news = {flag.bit: PendingBit(since=at, clear_at=clear_at) for flag in decode(value & ~before)}
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
    """Keep the clues of these events, and clues that come without an event."""
    new = (*clues, *(clue for event in events if (clue := clue_of(event, taint.flags)) is not None))
    return _with_causes(replace(taint, clues=(*taint.clues, *new)[-MAX_CLUES:]), new) if new else taint


def _with_causes(taint: TaintState, clues: tuple[Clue, ...]) -> TaintState:
    """Give bits that were set before the first reading the earliest of these clues that explains them."""
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
    """Give pending bits the cause of the first matching clue; a bit that waited too long becomes unexplained.

    `started`: when this run began. `log_open`: the log has an incomplete report, whose clue may still come.
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
        entry = (
            _entry_without_clue(bit, waiting, started) if clue is None else _entry(bit, _with_actor(clue, taint.clues))
        )
        ledger[bit] = entry
        del pending[bit]
        events.append(_added(entry, taint.value or 0, now, taint.flags))
    after = replace(taint, pending=MappingProxyType(pending), ledger=MappingProxyType(ledger))
    return (after, tuple(events)) if events else (taint, ())


def _best(clues: tuple[Clue, ...], bit: int, clear_at: Instant | None) -> Clue | None:
    # The first clue is the cause: the bit was already set when later modules with the same letter were loaded.
    for clue in clues:
        if clue.bits >> bit & 1 and (
            clear_at is None or clue.at.monotonic_usec >= clear_at.monotonic_usec - CLOCK_USEC
        ):
            return clue
    return None


def _with_actor(clue: Clue, clues: tuple[Clue, ...]) -> Clue:
    # The log has a load first, without the process; the trace has the process.
    if clue.actor is not None or clue.module is None:
        return clue
    same = (other for other in clues if other.module == clue.module and other.actor is not None)
    traced = next((other for other in same if abs(other.at.monotonic_usec - clue.at.monotonic_usec) < ACTOR_USEC), None)
    return clue if traced is None else replace(clue, actor=traced.actor, evidence=(*clue.evidence, *traced.evidence))


def _entry_without_clue(bit: int, waiting: PendingBit, started: Instant) -> TaintEntry:
    evidence = ["no module that came, and nothing in the log, accounts for it"]
    if waiting.clear_at is None or waiting.clear_at.monotonic_usec < started.monotonic_usec:
        evidence.append("it was set while kmodmon was not running")
    else:
        evidence.append("a write to /proc/sys/kernel/tainted by root leaves no other trace")
    cause = USER if bit == _USER_BIT else UNEXPLAINED
    return TaintEntry(bit=bit, since=waiting.since, cause=cause, evidence=tuple(evidence))


def loading_clues(entries: Iterable[TraceEntry], now: Instant) -> tuple[Clue, ...]:
    """Give clues for traced loads at once: the ModuleLoaded event waits for init, which may run for long."""
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
    """The clue that an event gives; None: it explains no bit."""
    match event.details:
        case ModuleLoaded(taints=letters) | ModuleTransient(taints=letters) | ModuleInitFailed(taints=letters):
            return _module_clue(event, parse_letters(letters, flags).value, f"{event.module} carries {letters}")
        case ModuleChanged(taint_bits=gained):
            return _module_clue(event, gained, f"{event.module} changed")
        case PreviousBootReported():
            return None
        case KernelReported(believed=False):
            return None  # a forgery must not be the cause of a bit that something else set
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
    """Write the checkpoint. Pending bits are left out of the value, so that they are new again after a restart."""
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
    """Take the entries of an earlier run for bits that were set at the first reading of this one."""
    before = taint_from_json(earlier)
    ledger = {
        bit: before.ledger.get(bit, entry) if entry.cause == BEFORE_START else entry
        for bit, entry in taint.ledger.items()
    }
    return replace(taint, ledger=MappingProxyType(ledger), first_at=before.first_at or taint.first_at)


def taint_from_json(document: JsonObject) -> TaintState:
    """The ledger of the earlier run; its last value is compared with the first reading of this run."""
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
