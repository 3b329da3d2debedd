"""The tables at the head of `decision`, row by row: the situation of each is built, and decided as the row says."""

import re
from collections.abc import Iterator

import pytest

from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle import decision
from kmodmon.lifecycle.coverage import SignalCoverage
from kmodmon.lifecycle.decision import (
    Decision,
    decide_discrepancy,
    decide_initcall_finish,
    decide_listed,
    decide_module_free,
    decide_module_load,
    decide_not_listed,
    decide_pending,
    decide_pending_after_wait,
    decide_uevent,
)
from kmodmon.lifecycle.inventory import Build, Loaded, Module, ModuleAttributes
from kmodmon.lifecycle.pending import (
    LEFT,
    MOVED,
    NEVER_LISTED,
    REMADE,
    REMOVED,
    Discrepancy,
    Lifecycle,
    LifecycleContext,
    ModuleRecord,
    PendingLoad,
    RecentUnload,
)
from kmodmon.lifecycle.signals import ModuleUevent, TraceEntry, TraceKind
from kmodmon.types.units import Instant, Usec

NOW, START = 100.0, 50.0  # seconds


def at(seconds: float) -> Instant:
    usec = Usec(int(seconds * 1_000_000))
    return Instant(realtime_usec=usec, monotonic_usec=usec)


def coverage(
    trace_since: float | None = None,
    intact: float | None = None,
    listed: float | None = None,
    *,
    uevents: bool = False,
    expected: bool = False,
) -> SignalCoverage:
    since, intact_at, listed_at = (None if each is None else at(each) for each in (trace_since, intact, listed))
    lifecycle = Lifecycle(listed_at=listed_at, trace_since=since, trace_intact=intact_at, uevents=uevents)
    context = LifecycleContext(at=at(NOW), started=at(START), resumed=False, trace_expected=expected)
    return SignalCoverage(lifecycle, context)


def module(state: ModuleState, *, instance: int = 1, taint: str = "", srcversion: str = "A") -> Module:
    attributes = ModuleAttributes(instance=instance, srcversion=srcversion)
    return Module(name="m", size=1, state=state, taint=taint, attributes=attributes)


def entry(kind: TraceKind, seconds: float, *, tid: int = 7, ret: int | None = None) -> TraceEntry:
    return TraceEntry(kind=kind, monotonic_usec=Usec(int(seconds * 1_000_000)), tid=tid, module="m", ret=ret)


def load(
    listed: Module | None = None,
    *,
    traced: float | None = None,
    tid: int = 7,
    since: float = 91.0,
    ret: int | None = None,
    added: float | None = None,
    removed: float | None = None,
    last: Module | None = None,
    listed_at: float = 91.0,
    not_listed_at: float | None = None,
    before_start: bool = False,
    lost: bool = False,
) -> PendingLoad:
    last_listed = listed or last
    return PendingLoad(
        since=at(since),
        module_load=None if traced is None else entry(TraceKind.LOAD, traced, tid=tid),
        init_ret=ret,
        add_uevent_at=None if added is None else at(added),
        remove_uevent_at=None if removed is None else at(removed),
        listed=listed,
        last_listed=last_listed,
        last_listed_at=None if last_listed is None else at(listed_at),
        not_listed_at=None if not_listed_at is None else at(not_listed_at),
        before_start=before_start,
        trace_lost_after=lost,
    )


def loaded(
    *signals: str, seconds: float | None = 80.0, coming: bool = False, instance: int = 1, taint: str = ""
) -> Loaded:
    build = Build(instance=instance, srcversion="A", taint=taint)
    moment = None if seconds is None else at(seconds)
    return Loaded(before_start=False, at=moment, signals=signals or ("list",), coming=coming, build=build)


def discrepancy(kind: str, *, present_at: float | None = 60.0) -> Discrepancy:
    return Discrepancy(kind=kind, since=at(95), present_at=None if present_at is None else at(present_at))


def record(subject: PendingLoad | Loaded | RecentUnload | None = None, kind: str | None = None) -> ModuleRecord:
    return ModuleRecord(
        pending=subject if isinstance(subject, PendingLoad) else None,
        loaded=subject if isinstance(subject, Loaded) else None,
        recent_unload=subject if isinstance(subject, RecentUnload) else None,
        discrepancy=None if kind is None else discrepancy(kind),
    )


def unloaded(seconds: float, *, free_expected: bool = False) -> RecentUnload:
    return RecentUnload(since=at(seconds), free_expected=free_expected)


def uevent(action: str, moved_from: str | None = None) -> ModuleUevent:
    return ModuleUevent(action=action, module="m", moved_from=moved_from)


LIVE, LOADING = module(ModuleState.LIVE), module(ModuleState.COMING)
UNLOADING = module(ModuleState.GOING)
NO_TRACE, LISTED = coverage(), coverage(listed=99)
TRACE, EXPECTED = coverage(trace_since=10, listed=99), coverage(expected=True)
CONFIRMED = coverage(trace_since=10, intact=99, listed=99)
LATE_TRACE = coverage(trace_since=89, intact=99, listed=99)  # complete from 90 s on
LOAD, FREE = entry(TraceKind.LOAD, 99), entry(TraceKind.FREE, 99)

PENDING: dict[str, tuple[tuple[PendingLoad, SignalCoverage], ...]] = {
    "P1": ((load(LIVE, before_start=True), TRACE), (load(LIVE, before_start=True), NO_TRACE)),
    "P2": ((load(LOADING, since=89), NO_TRACE), (load(LOADING, since=89, traced=89), CONFIRMED)),
    "P3": ((load(LIVE, traced=92, ret=0), TRACE), (load(LIVE, traced=90), TRACE)),
    "P4": (
        (load(LIVE, traced=92), TRACE),
        (load(LIVE, traced=91), TRACE),  # listed in the microsecond of its module_load: it may be the load before
        (load(traced=92), TRACE),
        (load(LOADING, traced=89, since=89), TRACE),
    ),
    "P5": ((load(LIVE), TRACE), (load(LIVE), EXPECTED), (load(last=LIVE), EXPECTED)),
    "P6": ((load(LIVE), NO_TRACE),),
    "P7": ((load(last=LIVE), NO_TRACE), (load(last=LOADING, added=91), NO_TRACE)),
    "P8": ((load(last=LOADING), NO_TRACE), (load(last=UNLOADING), NO_TRACE)),
    "P9": ((load(added=91), NO_TRACE), (load(LOADING, since=91), NO_TRACE), (load(UNLOADING), NO_TRACE)),
}
AFTER_WAIT: dict[str, tuple[tuple[PendingLoad, SignalCoverage], ...]] = {
    "S1": ((load(traced=98.5, ret=0), TRACE), (load(traced=98.5, added=99), TRACE)),
    "S2": ((load(traced=98.5, since=89), TRACE),),
    "S3": ((load(traced=98.5), TRACE), (load(traced=98.5), CONFIRMED)),
    "S4": ((load(traced=92), TRACE),),
    "S5": ((load(traced=92, lost=True), CONFIRMED),),
    "S6": ((load(traced=92), CONFIRMED),),
    "S7": ((load(last=LIVE), TRACE), (load(last=LIVE), NO_TRACE), (load(last=LOADING, added=91), TRACE)),
    "S8": ((load(last=LOADING), TRACE), (load(added=91), TRACE), (load(added=91, removed=92), TRACE)),
    "S9": ((load(last=LOADING), NO_TRACE), (load(last=UNLOADING), EXPECTED)),
    "S10": ((load(added=91, removed=92), NO_TRACE),),
    "S11": ((load(added=91), LISTED), (load(added=96, since=96), LISTED)),
    "S12": ((load(added=91), NO_TRACE), (load(added=97, since=97), LISTED)),
    "S13": ((load(LIVE, traced=92, ret=0), TRACE), (load(LIVE, traced=92), TRACE), (load(LOADING, traced=92), TRACE)),
    "S14": ((load(LOADING, since=91), NO_TRACE), (load(LOADING, since=89), NO_TRACE), (load(UNLOADING), TRACE)),
    "S15": ((load(LIVE), EXPECTED), (load(LIVE, not_listed_at=89), EXPECTED), (load(LIVE, since=90.1), EXPECTED)),
    "S16": (
        (load(LIVE), CONFIRMED),
        (load(LIVE, not_listed_at=89.5), LATE_TRACE),
        (load(LIVE), NO_TRACE),
        (load(LIVE, since=90), EXPECTED),
    ),
    "S17": ((load(LIVE, not_listed_at=89), CONFIRMED),),
    "S18": ((load(LIVE, not_listed_at=89), TRACE),),
}
TRACED = loaded("trace")
SITUATIONS: dict[str, tuple[Decision, ...]] = {
    **{row: tuple(decide_pending(*each) for each in situations) for row, situations in PENDING.items()},
    **{row: tuple(decide_pending_after_wait(*each) for each in situations) for row, situations in AFTER_WAIT.items()},
    "D1": (decide_discrepancy(discrepancy(LEFT), None, None, CONFIRMED),),
    "D2": tuple(decide_discrepancy(discrepancy(kind), loaded(), LIVE, CONFIRMED) for kind in (LEFT, REMADE, REMOVED)),
    "D3": (
        decide_discrepancy(discrepancy(LEFT), loaded(), None, TRACE),
        decide_discrepancy(discrepancy(REMADE, present_at=None), TRACED, LIVE, TRACE),
    ),
    "D4": (
        decide_discrepancy(discrepancy(LEFT), loaded(), None, LISTED),
        decide_discrepancy(discrepancy(LEFT), loaded(), None, LATE_TRACE),
        decide_discrepancy(discrepancy(LEFT, present_at=None), loaded(), None, CONFIRMED),
    ),
    "D5": (decide_discrepancy(discrepancy(REMADE), loaded(), LIVE, LISTED),),
    "D6": (
        decide_discrepancy(discrepancy(REMADE), loaded(), None, LISTED),
        decide_discrepancy(discrepancy(REMOVED), loaded(), LIVE, LISTED),
        decide_discrepancy(discrepancy(NEVER_LISTED), loaded(), LIVE, LISTED),
    ),
    "L1": (
        decide_listed(record(load()), LIVE, TRACE),
        decide_listed(ModuleRecord(pending=load(), recent_unload=unloaded(99)), LIVE, TRACE),
    ),
    "L2": (decide_listed(record(unloaded(90)), UNLOADING, TRACE),),
    "L3": (decide_listed(record(unloaded(98.5)), LIVE, TRACE),),
    "L4": (decide_listed(record(), LIVE, TRACE), decide_listed(record(unloaded(98)), LIVE, TRACE)),
    "L5": tuple(decide_listed(record(loaded(), kind), LIVE, TRACE) for kind in (LEFT, NEVER_LISTED)),
    "L6": (decide_listed(record(loaded(instance=2)), LIVE, LISTED),),
    "L7": (decide_listed(record(loaded(instance=2), REMADE), LIVE, TRACE),),
    "L8": (
        decide_listed(record(loaded(instance=2)), LIVE, TRACE),
        decide_listed(record(loaded(instance=2), REMOVED), LIVE, EXPECTED),
    ),
    "L9": (
        decide_listed(record(loaded(taint="O")), LIVE, TRACE),
        decide_listed(record(loaded()), module(ModuleState.LIVE, srcversion="B"), TRACE),
    ),
    "L10": (decide_listed(record(loaded()), LIVE, TRACE), decide_listed(record(loaded(), REMADE), LIVE, TRACE)),
    "N1": (decide_not_listed(record(load(LIVE)), TRACE),),
    "N2": (decide_not_listed(record(), TRACE), decide_not_listed(record(unloaded(99)), TRACE)),
    "N3": tuple(decide_not_listed(record(loaded(), kind), LISTED) for kind in (LEFT, NEVER_LISTED)),
    "N4": (decide_not_listed(record(loaded()), TRACE), decide_not_listed(record(loaded(), REMOVED), EXPECTED)),
    "N5": (decide_not_listed(record(loaded(), REMOVED), LISTED),),
    "N6": (decide_not_listed(record(loaded()), coverage(listed=99, uevents=True)),),
    "N7": (
        decide_not_listed(record(loaded()), LISTED),
        decide_not_listed(record(loaded(), REMADE), LISTED),
        decide_not_listed(record(loaded()), coverage(uevents=True)),
    ),
    "M1": (decide_module_load(record(load(LIVE)), LOAD, TRACE),),
    "M2": (decide_module_load(record(load(traced=92, ret=0)), LOAD, TRACE),),
    "M3": (decide_module_load(record(load(traced=92)), LOAD, TRACE),),
    "M4": tuple(decide_module_load(record(each), LOAD, TRACE) for each in (None, unloaded(98))),
    "M5": (
        decide_module_load(record(loaded()), entry(TraceKind.LOAD, 80), TRACE),
        decide_module_load(record(loaded(seconds=None)), entry(TraceKind.LOAD, START), TRACE),
    ),
    "M6": (decide_module_load(record(loaded()), LOAD, TRACE), decide_module_load(record(TRACED), LOAD, TRACE)),
    "M7": (
        decide_module_load(record(loaded()), LOAD, LATE_TRACE),
        decide_module_load(record(loaded(), LEFT), LOAD, TRACE),
        decide_module_load(record(loaded(seconds=None)), LOAD, TRACE),
    ),
    "I1": (decide_initcall_finish(load(traced=92), entry(TraceKind.INIT, 99, ret=-5)),),
    "I2": tuple(decide_initcall_finish(load(traced=92), entry(TraceKind.INIT, 99, ret=ret)) for ret in (0, 1, None)),
    "I3": (decide_initcall_finish(None, entry(TraceKind.INIT, 99, ret=-5)),),
    "I4": (decide_initcall_finish(None, entry(TraceKind.INIT, 99, ret=0)),),
    "F1": (decide_module_free(record(load(traced=92, ret=0)), FREE, is_init_failed=False),),
    "F2": (decide_module_free(record(load(traced=92, added=93)), FREE, is_init_failed=False),),
    "F3": tuple(
        decide_module_free(record(load(last=last, traced=92)), FREE, is_init_failed=False) for last in (LIVE, UNLOADING)
    ),
    "F4": (decide_module_free(record(load(traced=92, tid=8)), FREE, is_init_failed=False),),
    "F5": tuple(
        decide_module_free(record(pending), FREE, is_init_failed=False)
        for pending in (
            load(traced=92),
            load(LOADING, traced=92),
            load(added=99),  # read with the free or after it: it may be of a later load
            load(added=99.5),
            load(LIVE, listed_at=99.5),
        )
    ),
    "F6": (decide_module_free(record(loaded(coming=True)), FREE, is_init_failed=False),),
    "F7": (decide_module_free(record(loaded()), FREE, is_init_failed=True),),
    "F8": (decide_module_free(record(unloaded(98, free_expected=True)), FREE, is_init_failed=True),),
    "F9": (decide_module_free(record(), FREE, is_init_failed=True),),
    "F10": tuple(decide_module_free(record(each), FREE, is_init_failed=False) for each in (None, unloaded(98))),
    "U1": (
        decide_uevent(record(load()), uevent("add"), TRACE),
        decide_uevent(ModuleRecord(pending=load(), recent_unload=unloaded(99)), uevent("add"), TRACE),
    ),
    "U2": (decide_uevent(record(unloaded(98)), uevent("add"), TRACE),),
    "U3": (
        decide_uevent(record(), uevent("add"), TRACE),
        decide_uevent(record(unloaded(98)), uevent("add"), NO_TRACE),
    ),
    "U4": (decide_uevent(record(loaded(), REMOVED), uevent("add"), NO_TRACE),),
    "U5": (decide_uevent(record(load(added=91)), uevent("remove"), NO_TRACE),),
    "U6": (decide_uevent(record(load(added=91)), uevent("remove"), TRACE),),
    "U7": (decide_uevent(record(loaded()), uevent("remove"), TRACE),),
    "U8": (decide_uevent(record(load()), uevent("move", "m"), TRACE),),
    "U9": (decide_uevent(record(loaded(), LEFT), uevent("move", "m"), TRACE),),
    "U10": (decide_uevent(record(loaded(), MOVED), uevent("move"), TRACE),),
    "U11": (
        decide_uevent(record(loaded()), uevent("add"), TRACE),
        decide_uevent(record(loaded(), REMOVED), uevent("add"), TRACE),
        decide_uevent(record(loaded(), LEFT), uevent("remove"), TRACE),
        decide_uevent(record(load()), uevent("remove"), NO_TRACE),
        decide_uevent(record(), uevent("remove"), TRACE),
        decide_uevent(record(), uevent("move", "m"), TRACE),
        decide_uevent(record(loaded()), uevent("move"), TRACE),
        decide_uevent(record(loaded()), uevent("change"), TRACE),
    ),
}


def rows() -> Iterator[tuple[str, str]]:
    """Each row of the tables and the first word of its last column."""
    for line in (decision.__doc__ or "").splitlines():
        match = re.fullmatch(r"([A-Z]\d+) .* {2}(\w+)(?: \S.*)?", line)
        if match is not None:
            yield match[1], match[2]


def test_tables_when_read_then_each_row_has_its_situation() -> None:
    names = [row for row, _ in rows()]
    assert names == list(SITUATIONS)
    assert {word.lower() for _, word in rows()} == {"as", *Decision}


@pytest.mark.parametrize(("row", "word"), tuple(rows()))
def test_row_when_its_situation_is_decided_then_as_the_row_says(row: str, word: str) -> None:
    if word == "as":
        expected = tuple(decide_pending(*each) for each in AFTER_WAIT[row])
    else:
        expected = (Decision[word],) * len(SITUATIONS[row])
    assert SITUATIONS[row] == expected
