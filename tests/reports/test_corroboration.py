"""Which report the kernel's own numbers confirm: the table, and the answer for every recorded log."""

from pathlib import Path

import pytest

from kmodmon.events.event import Severity
from kmodmon.events.report import KernelReport, ReportClass
from kmodmon.kernel.sysctl import COUNTERS
from kmodmon.reports.corroboration import EFFECTS, GIVE_UP_USEC, SETTLE_USEC, Decided, judge, seen_once
from kmodmon.reports.signatures.table import SIGNATURES
from kmodmon.subjects.counter_readings import TAINTED, UNREAD_COUNTERS, CounterReadings, with_reading
from kmodmon.types.units import Instant, Usec
from tests.reports.casefile import CASES, read_case

BEGUN, COMPLETE = 100_000_000, 101_000_000
BEFORE, AFTER = 90_000_000, COMPLETE + SETTLE_USEC
NAMES = tuple(counter.name for counter in COUNTERS)
# Critical reports that no number confirms: what they do beside printing is not the same everywhere, or nothing.
NOT_TOLD = {
    "bad_mm_counter", "bug_failure", "bus_error", "edac_uncorrected", "mce", "object_already_free", "page_poison",
    "page_table", "serror", "spl_panic", "stack_overflow", "unhandled_fault", "user_page",
}  # fmt: skip


def report(signature: str, text: str = "") -> KernelReport:
    return KernelReport(
        report_class=ReportClass.OOPS,
        signature=signature,
        title=signature,
        severity=Severity.CRITICAL,
        fingerprint=signature,
        first_line=1,
        last_line=2,
        evidence=(text,),
    )


def at(usec: int) -> Instant:
    return Instant(realtime_usec=Usec(usec), monotonic_usec=Usec(usec))


def world(before: dict[str, int], after: dict[str, int]) -> CounterReadings:
    """Read once before the report, and once a second after it."""
    return with_reading(with_reading(UNREAD_COUNTERS, before, at(BEFORE)), after, at(AFTER))


ZERO = {**dict.fromkeys(NAMES, 0), TAINTED: 0}
STILL = world(ZERO, ZERO)


def answer(told: KernelReport, readings: CounterReadings, now: int = AFTER) -> Decided | None:
    return judge(told, readings, begun_usec=BEGUN, complete_usec=COMPLETE, now_usec=now)


def test_table_when_read_then_it_names_signatures_and_counters_that_exist() -> None:
    assert EFFECTS.keys() <= {signature.name for signature in SIGNATURES}
    assert {effect.counter for effects in EFFECTS.values() for effect in effects} <= {None, *NAMES}
    assert all(effect.counter or effect.bits for effects in EFFECTS.values() for effect in effects)


def test_table_when_a_report_wakes_somebody_then_it_is_told_whether_the_kernel_confirms_it() -> None:
    critical = {signature.name for signature in SIGNATURES if signature.severity is Severity.CRITICAL}
    assert {name for name in critical if not name.startswith("panic")} - EFFECTS.keys() | {"mce"} == NOT_TOLD


@pytest.mark.parametrize("signature", sorted(EFFECTS))
def test_report_when_each_of_its_numbers_moves_then_it_is_confirmed(signature: str) -> None:
    for effect in EFFECTS[signature]:
        if effect.counter is not None:
            assert answer(report(signature), world(ZERO, {**ZERO, effect.counter: 1})) == Decided(confirmed=True)
        for bit in range(20):
            if effect.bits >> bit & 1:
                assert answer(report(signature), world(ZERO, {**ZERO, TAINTED: 1 << bit})) == Decided(confirmed=True)


@pytest.mark.parametrize("signature", sorted(EFFECTS))
def test_report_when_nothing_moves_then_it_is_unconfirmed_where_a_real_one_always_moves_something(
    signature: str,
) -> None:
    sure = all((effect.counted and effect.counter) or (effect.tainted and effect.bits) for effect in EFFECTS[signature])
    assert answer(report(signature), STILL) == Decided(confirmed=False if sure else None)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_recorded_report_when_the_kernel_has_no_numbers_then_it_is_believed_at_once(case: Path) -> None:
    for told in read_case(case).reports():
        expected = None if told.signature.startswith("panic") else Decided(confirmed=None)
        assert answer(told, UNREAD_COUNTERS, COMPLETE) == expected


def test_report_when_its_bit_was_set_before_and_there_is_no_counter_then_nothing_can_be_told() -> None:
    die = 1 << 7
    assert answer(report("oops"), world({TAINTED: die}, {TAINTED: die})) == Decided(confirmed=None)
    assert answer(report("oops"), world({TAINTED: 0}, {TAINTED: 0})) == Decided(confirmed=False)
    assert answer(report("oops"), world({TAINTED: die, "oops_count": 1}, {TAINTED: die, "oops_count": 1})) == Decided(
        confirmed=False
    )
    # a WARN may set I instead of W, so that I must have been clear as well
    assert answer(report("warning"), world({TAINTED: 1 << 11}, {TAINTED: 1 << 11})) == Decided(confirmed=None)


def test_report_when_another_kind_of_number_moves_then_that_does_not_confirm_it() -> None:
    assert answer(report("oops"), world(ZERO, {**ZERO, "warn_count": 1, TAINTED: 1 << 9})) == Decided(confirmed=False)


def test_report_when_a_second_has_not_passed_then_the_answer_waits() -> None:
    early = with_reading(with_reading(UNREAD_COUNTERS, ZERO, at(BEFORE)), ZERO, at(COMPLETE + 50_000))
    assert answer(report("oops"), early, COMPLETE + 50_000) is None
    assert seen_once(report("oops"), early, begun_usec=BEGUN, complete_usec=COMPLETE)
    assert answer(report("oops"), early, AFTER) is None, "its last reading is too old"
    risen = with_reading(early, {**ZERO, "oops_count": 1}, at(COMPLETE + 60_000))
    assert answer(report("oops"), risen, COMPLETE + 60_000) == Decided(confirmed=True)


def test_report_when_the_numbers_are_not_read_any_more_then_it_is_believed() -> None:
    stale = with_reading(UNREAD_COUNTERS, ZERO, at(BEFORE))
    assert not seen_once(report("oops"), stale, begun_usec=BEGUN, complete_usec=COMPLETE)
    assert answer(report("oops"), stale, COMPLETE + GIVE_UP_USEC - 1) is None
    assert answer(report("oops"), stale, COMPLETE + GIVE_UP_USEC) == Decided(confirmed=None)


def test_panic_when_we_live_to_see_it_then_it_is_unconfirmed() -> None:
    assert answer(report("panic_init_died"), UNREAD_COUNTERS, AFTER - 1) is None
    assert answer(report("panic_init_died"), UNREAD_COUNTERS, AFTER) == Decided(confirmed=False)


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("rcu_stall", "INFO: rcu_tasks detected stalls on tasks:"),
        ("hard_lockup", "watchdog: CPU 3 self-detected hard LOCKUP @ foo+0x1/0x2"),
        ("slab_corruption", "Slab corruption (Not tainted): kmalloc-64 start=0, len=64"),
        ("scheduling_while_atomic", "bad: scheduling from the idle thread!"),
    ],
)
def test_report_when_its_words_are_of_code_that_counts_nothing_then_nothing_can_be_told(
    signature: str, text: str
) -> None:
    assert answer(report(signature), STILL) == Decided(confirmed=False)
    assert answer(report(signature, text), STILL) == Decided(confirmed=None)
