"""Which clue becomes the cause of a taint bit: what each clue explains, the limits in time, and what is restored."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kmodmon.events.cause import BEFORE_START, UNEXPLAINED, Cause
from kmodmon.events.event import Actor, Event, EventDetails, Severity
from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.kinds.module import ModuleChanged, ModuleLoaded, ModuleUnloaded
from kmodmon.events.kinds.taint import TaintAdded, TaintCleared
from kmodmon.events.report import KernelReport, ReportClass
from kmodmon.kernel.taint import Letters, letters, parse_letters
from kmodmon.lifecycle.signals import TraceEntry, TraceKind
from kmodmon.subjects.taint import (
    UNREAD_TAINT,
    Clue,
    TaintState,
    clue_of,
    explain,
    loading_clues,
    notice_clues,
    taint_from_json,
    taint_joined,
    taint_read,
    taint_to_json,
)
from kmodmon.types.units import Instant, JsonObject, Usec
from tests.lifecycle.kernel_play import actor

READ = 100_000_000  # CLOCK_MONOTONIC of the reading that has the new bit
CLEAR = 90_000_000  # and of the one before it
STARTED = 50_000_000  # and of the start of this run
R, O, E = 1 << 3, 1 << 12, 1 << 13  # noqa: E741 - as the kernel calls it
EXPLAINED = {
    ReportClass.OOPS: "D",
    ReportClass.BUG: "DW",
    ReportClass.WARNING: "W",
    ReportClass.PANIC: "DW",
    ReportClass.STACK_OVERFLOW: "D",
    ReportClass.CORRUPTION: "BDW",
    ReportClass.REFCOUNT: "W",
    ReportClass.SOFT_LOCKUP: "L",
    ReportClass.HARD_LOCKUP: "W",
    ReportClass.LOCKDEP: "W",
    ReportClass.ATOMIC_SLEEP: "W",
    ReportClass.KASAN: "BW",
    ReportClass.KFENCE: "BW",
    ReportClass.KMSAN: "BW",
    ReportClass.KCSAN: "W",
    ReportClass.UBSAN: "W",
    ReportClass.MACHINE_CHECK: "M",
    ReportClass.NMI: "W",
    ReportClass.OTHER: "W",
}


def moment(monotonic_usec: int) -> Instant:
    return Instant(realtime_usec=Usec(1_700_000_000_000_000 + monotonic_usec), monotonic_usec=Usec(monotonic_usec))


def clue(
    bits: int, module: str | None = "mine", *, usec: int = READ, by: Actor | None = None, evidence: str = "log"
) -> Clue:
    cause = Cause.of_report("warning") if module is None else Cause.of_module(module)
    return Clue(at=moment(usec), bits=bits, cause=cause, module=module, actor=by, evidence=(evidence,))


def waiting(value: int, *clues: Clue) -> TaintState:
    """The bits of `value` are new at READ and were clear at CLEAR."""
    taint, _ = taint_read(UNREAD_TAINT, 0, moment(STARTED), resumed=False)
    taint, _ = taint_read(taint, 0, moment(CLEAR), resumed=False)
    taint, events = taint_read(taint, value, moment(READ), resumed=False)
    assert events == ()
    return notice_clues(taint, (), clues)


def explained(taint: TaintState, usec: int = READ, *, started: int = STARTED) -> tuple[TaintState, Sequence[Event]]:
    return explain(taint, moment(usec), started=moment(started))


def event(details: EventDetails, module: str | None = "mine") -> Event:
    return Event(details=details, at=moment(READ), module=module)


def reported(report_class: ReportClass, printed: str | None) -> Event:
    taint = None if printed is None else parse_letters(printed)
    report = KernelReport(
        report_class=report_class, signature="a-signature", title="A title", severity=Severity.ERROR,
        fingerprint="0", first_line=1, last_line=2, taint=taint,
    )  # fmt: skip
    return event(KernelReported(report=report))


def loaded(taints: str) -> ModuleLoaded:
    return ModuleLoaded(
        signature="unsigned", taints=taints, size=None, state=None, version=None, srcversion=None, build_id=None,
        init_ms=None, signals=(),
    )  # fmt: skip


@pytest.mark.parametrize("report_class", ReportClass)
def test_report_when_of_a_class_then_it_explains_the_bits_that_its_code_sets(report_class: ReportClass) -> None:
    found = clue_of(reported(report_class, None))
    assert ("" if found is None else letters(found.bits)) == EXPLAINED.get(report_class, "")
    assert found is None or (str(found.cause), found.evidence) == ("report:a-signature", ("A title",))
    assert (found is None) is (report_class not in EXPLAINED)


@pytest.mark.parametrize(
    ("report_class", "printed", "expected"),
    [
        (ReportClass.BUG, "", "DW"),
        (ReportClass.BUG, "DOE", "W"),
        (ReportClass.BUG, "WOE", "D"),
        (ReportClass.BUG, "DW", None),
        (ReportClass.SOFT_LOCKUP, "L", None),
        (ReportClass.SOFT_LOCKUP, "DWK", "L"),
        # B is set before the taint string is printed
        (ReportClass.KASAN, "B", "BW"),
        (ReportClass.MACHINE_CHECK, "M", "M"),
    ],
)
def test_report_when_its_taint_string_has_the_bit_then_only_a_bit_that_is_set_afterwards_is_ruled_out(
    report_class: ReportClass, printed: str, expected: str | None
) -> None:
    found = clue_of(reported(report_class, printed))
    assert (None if found is None else letters(found.bits)) == expected


def changed(*, taint_bits: int) -> ModuleChanged:
    return ModuleChanged(
        old_srcversion="A", srcversion="A", old_build_id=None, build_id=None, old_taints="O", taints="OE",
        taint_bits=taint_bits, while_loaded=True,
    )  # fmt: skip


def test_module_events_when_they_have_taint_then_they_are_clues() -> None:
    found = clue_of(event(changed(taint_bits=E)))
    assert found is not None and (found.bits, found.module, str(found.cause)) == (E, "mine", "module:mine")
    assert found.at == moment(READ) and found.evidence == ("mine changed",)
    found = clue_of(replace(event(loaded("OE")), evidence=("seen in the list",)))
    assert found is not None and found.bits == O | E
    assert found.evidence == ("mine carries OE", "seen in the list")
    for harmless in (
        event(changed(taint_bits=0)),
        event(loaded("")),
        event(loaded("OE"), module=None),
        event(ModuleUnloaded(taints="OE", srcversion=None, lifetime_ms=None)),
    ):
        assert clue_of(harmless) is None


def test_loading_clues_when_traced_then_only_loads_with_taint_at_the_time_of_the_load() -> None:
    at, by = Usec(READ), actor("a", 7)
    entries = (
        TraceEntry(kind=TraceKind.LOAD, monotonic_usec=at, tid=7, module="mine", taint="OE", actor=by),
        TraceEntry(kind=TraceKind.LOAD, monotonic_usec=at, tid=7, module="clean"),
        TraceEntry(kind=TraceKind.FREE, monotonic_usec=at, tid=7, module="gone", taint="OE"),
    )
    assert loading_clues(entries, moment(READ + 5)) == (
        Clue(
            at=moment(READ), bits=O | E, cause=Cause.of_module("mine"), module="mine", actor=by,
            evidence=("mine carries OE", "module_load traced"),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(("log_open", "patience"), [(False, 3_000_000), (True, 20_000_000)])
def test_bit_when_no_clue_comes_then_it_is_unexplained_after_the_patience(log_open: bool, patience: int) -> None:
    taint = waiting(R)
    early = explain(taint, moment(READ + patience - 1), started=moment(STARTED), log_open=log_open)
    assert early == (taint, ())
    after, (added,) = explain(taint, moment(READ + patience), started=moment(STARTED), log_open=log_open)
    assert after.ledger[3].cause == UNEXPLAINED and not after.pending
    assert isinstance(added.details, TaintAdded) and added.severity is Severity.ERROR
    assert (added.details.letter, added.details.bit, added.details.value) == ("R", 3, R)
    assert added.at == moment(READ)


def test_bit_when_log_open_is_not_given_then_the_log_has_no_incomplete_report() -> None:
    assert len(explained(waiting(R), READ + 3_000_000)[1]) == 1


def test_bit_when_a_clue_explains_it_then_the_event_is_of_the_time_of_the_clue() -> None:
    after, (added,) = explained(waiting(O | R, clue(O, usec=READ - 70_000)), READ + 1_000)
    assert added.at == moment(READ - 70_000) == after.ledger[12].since
    assert isinstance(added.details, TaintAdded) and added.details.value == O | R
    assert (added.severity, added.module, added.evidence) == (Severity.WARNING, "mine", ("log",))
    assert set(after.pending) == {3}


@pytest.mark.parametrize(
    ("usec", "expected"),
    [
        (CLEAR - 1_000_001, []),
        (CLEAR - 1_000_000, ["module:mine"]),  # the tolerance between the clocks
        (CLEAR, ["module:mine"]),
        (READ + 1, ["module:mine"]),
    ],
)
def test_clue_when_older_than_the_last_clear_reading_then_it_is_not_the_cause(usec: int, expected: list[str]) -> None:
    _, events = explained(waiting(O, clue(O, usec=usec)))
    assert [str(added.fields["cause"]) for added in events] == expected


def test_clues_when_several_explain_a_bit_then_the_first_one_is_the_cause() -> None:
    after, _ = explained(waiting(O | E, clue(E, "other"), clue(O, "first"), clue(O | E, "second")))
    assert (str(after.ledger[12].cause), str(after.ledger[13].cause)) == ("module:first", "module:other")


def test_clues_when_there_are_many_then_the_newest_256_are_kept() -> None:
    clues = [clue(O, f"m{number}") for number in range(300)]
    taint = notice_clues(waiting(R, *clues[:200]), (), tuple(clues[200:]))
    assert taint.clues == tuple(clues[44:])
    assert notice_clues(taint, ()) is taint


@pytest.mark.parametrize(
    ("distance", "known"),
    [(4_999_999, True), (5_000_000, False), (-4_999_999, True), (-5_000_000, False)],
)
def test_actor_when_only_the_trace_has_it_then_it_is_taken_from_a_load_at_most_five_seconds_apart(
    distance: int, known: bool
) -> None:
    traced = clue(E, usec=READ + distance, by=actor("insmod", 7), evidence="trace")
    after, _ = explained(waiting(O, clue(O), traced))
    entry = after.ledger[12]
    assert (entry.actor, entry.evidence) == ((actor("insmod", 7), ("log", "trace")) if known else (None, ("log",)))


def test_actor_when_the_clue_has_one_then_it_stays() -> None:
    earlier = clue(E, by=actor("modprobe", 6), evidence="another load")
    after, _ = explained(waiting(O, earlier, clue(O, by=actor("insmod", 7))))
    assert (after.ledger[12].actor, after.ledger[12].evidence) == (actor("insmod", 7), ("log",))


def test_actor_when_the_clue_names_no_module_then_another_clue_without_module_does_not_lend_its_actor() -> None:
    after, _ = explained(waiting(R, clue(R, None), clue(E, None, by=actor("insmod", 7))))
    assert after.ledger[3].actor is None


@pytest.mark.parametrize(("started", "while_down"), [(CLEAR - 1, False), (CLEAR, False), (CLEAR + 1, True)])
def test_bit_when_unexplained_then_the_evidence_says_whether_this_run_saw_it_clear(
    started: int, while_down: bool
) -> None:
    after, _ = explained(waiting(R), READ + 3_000_000, started=started)
    assert ("it was set while kmodmon was not running" in after.ledger[3].evidence) is while_down
    by_root = "a write to /proc/sys/kernel/tainted by root leaves no other trace"
    assert (by_root in after.ledger[3].evidence) is not while_down


def test_reading_when_another_bit_is_added_then_a_waiting_bit_keeps_its_time() -> None:
    taint, events = taint_read(waiting(O), O | R, moment(READ + 1_000_000), resumed=False)
    assert events == () and taint.value == O | R and taint.read_at == moment(READ + 1_000_000)
    assert {bit: pending.since for bit, pending in taint.pending.items()} == {
        12: moment(READ), 3: moment(READ + 1_000_000),
    }  # fmt: skip
    assert taint.pending[3].clear_at == moment(READ)
    taint, _ = taint_read(taint, R | E, moment(READ + 2_000_000), resumed=False)
    assert set(taint.pending) == {3, 13}


def test_reading_when_a_bit_falls_then_a_critical_event_tells_old_and_new() -> None:
    (fallen,) = taint_read(waiting(O | R), O, moment(READ + 9), resumed=False)[1]
    assert fallen == Event(
        details=TaintCleared(flag="forced_rmmod", letter="R", bit=3, old=O | R, new=O),
        at=moment(READ + 9),
        severity=Severity.CRITICAL,
        evidence=(f"tainted was {O | R}, now {O}", "the kernel itself never clears a taint bit"),
    )


@pytest.mark.parametrize(("usec", "expected"), [(READ, "module:mine"), (READ + 1, "before-start")])
def test_first_reading_when_a_clue_is_not_after_it_then_the_cause_is_taken_without_an_event(
    usec: int, expected: str
) -> None:
    for clues_first in (False, True):
        taint = notice_clues(UNREAD_TAINT, (), (clue(O, usec=usec),)) if clues_first else UNREAD_TAINT
        taint, events = taint_read(taint, O | R, moment(READ), resumed=False)
        taint = notice_clues(taint, (), (clue(O, usec=usec),))
        assert events == () and (str(taint.ledger[12].cause), taint.ledger[3].cause) == (expected, BEFORE_START)
        assert taint.first_at == moment(READ) and not taint.pending


def test_checkpoint_when_a_bit_still_waits_then_it_is_new_again_after_the_restart() -> None:
    explained_first, _ = explained(waiting(O | R, clue(O, by=actor("insmod", 7))))
    document = taint_to_json(explained_first)
    assert document["value"] == str(O)
    restored = taint_from_json(document)
    assert (restored.first_at, restored.read_at) == (moment(STARTED), moment(READ))
    assert dict(restored.ledger) == dict(explained_first.ledger) and restored.value == O
    again, events = taint_read(restored, O | R, moment(READ + 60_000_000), resumed=True)
    assert events == () and {bit: pending.clear_at for bit, pending in again.pending.items()} == {3: moment(READ)}
    assert taint_to_json(UNREAD_TAINT)["value"] is None


def test_checkpoint_when_the_value_is_lost_then_the_bits_of_the_ledger_are_no_news() -> None:
    after, _ = explained(waiting(O, clue(O)))
    restored = taint_from_json({**taint_to_json(after), "value": "many"})
    assert restored.value is None
    again, events = taint_read(restored, O | R, moment(READ + 9), resumed=True)
    assert events == () and set(again.pending) == {3} and again.ledger[12] == after.ledger[12]


def test_checkpoint_when_the_time_of_the_first_reading_is_lost_then_no_clue_is_taken_for_older_bits() -> None:
    taint, _ = taint_read(UNREAD_TAINT, O, moment(READ), resumed=False)
    restored = taint_from_json({**taint_to_json(taint), "first_at": "yesterday"})
    assert restored.first_at is None
    noticed = notice_clues(restored, (), (clue(O, usec=CLEAR),))
    assert noticed.ledger[12].cause == BEFORE_START and noticed.clues == (clue(O, usec=CLEAR),)


def test_checkpoint_when_entries_are_of_another_shape_then_the_others_are_read() -> None:
    row: JsonObject = {"since": None, "cause": "unexplained", "module": 3, "evidence": ["a line"]}
    rows: JsonObject = {"0": row, "63": row, "64": row, "-1": row, "x": row, "5": "no entry"}
    restored = taint_from_json({"ledger": rows, "value": 7})
    assert set(restored.ledger) == {0, 63} and restored.value is None
    entry = restored.ledger[63]
    assert (entry.bit, entry.since, entry.cause, entry.module, entry.evidence) == (
        63, None, UNEXPLAINED, None, ("a line",),
    )  # fmt: skip
    assert taint_from_json({"ledger": [row]}) == UNREAD_TAINT


def test_join_when_both_runs_have_read_then_the_first_reading_is_that_of_the_earlier_one() -> None:
    now, _ = taint_read(UNREAD_TAINT, O, moment(READ), resumed=False)
    earlier, _ = taint_read(UNREAD_TAINT, O, moment(STARTED), resumed=False)
    assert taint_joined(now, taint_to_json(earlier)).first_at == moment(STARTED)
    assert taint_joined(now, taint_to_json(UNREAD_TAINT)).first_at == moment(READ)
    assert dict(taint_joined(now, {}).ledger) == dict(now.ledger)


def test_letters_when_a_report_has_unknown_ones_then_they_rule_out_nothing() -> None:
    report = reported(ReportClass.WARNING, "")
    assert isinstance(report.details, KernelReported)
    unknown = replace(report.details.report, taint=Letters(flags=(), unknown="z"))
    found = clue_of(replace(report, details=KernelReported(report=unknown)))
    assert found is not None and letters(found.bits) == "W"
