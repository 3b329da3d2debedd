"""Several lines about one refused load are one refusal; the next attempt is another."""

from kmodmon.events.report import KernelReport, LoadFailure, ReportClass
from kmodmon.kernel.kmsg import parse_record
from kmodmon.reports.load_refusal import MAX_MODULES, NO_ATTEMPTS, Attempts, reported_once
from kmodmon.reports.recognizer import RecognizerState, recognize
from tests.kmsg_maker import record


def refusals(*texts: bytes, usec: int = 1_000_000, apart: int = 50) -> tuple[KernelReport, ...]:
    """What the recogniser makes of lines that come one after the other."""
    raws = [record(at, text, priority=4, usec=usec + at * apart) for at, text in enumerate(texts)]
    return recognize(RecognizerState(), map(parse_record, raws))[1].load_failures


def first_refusals(*texts: bytes, apart: int = 50) -> list[tuple[str | None, LoadFailure | None, str | None]]:
    return [
        (refusal.module, refusal.reason, refusal.symbol)
        for refusal in reported_once(NO_ATTEMPTS, refusals(*texts, apart=apart))[1]
    ]


def test_told_once_when_a_module_lacks_many_symbols_then_it_is_one_refusal() -> None:
    lines = [b"big: Unknown symbol sym_%d (err -2)" % at for at in range(30)]
    assert first_refusals(*lines) == [("big", LoadFailure.UNKNOWN_SYMBOL, "sym_0")]


def test_told_once_when_the_exact_reason_comes_first_then_the_general_one_is_not_told() -> None:
    # As 7.2 said it.
    lines = (
        b"ns_user: module uses symbol (stack_a_apart) from namespace KMODMON_TEST, but does not import it.",
        b"ns_user: Unknown symbol stack_a_apart (err -22)",
    )
    assert first_refusals(*lines) == [("ns_user", LoadFailure.NAMESPACE, "stack_a_apart")]
    lines = (b"old: disagrees about version of symbol printk", b"old: Unknown symbol printk (err -22)")
    assert first_refusals(*lines) == [("old", LoadFailure.SYMBOL_VERSION, "printk")]


def test_told_once_when_the_same_is_said_again_then_it_is_another_attempt() -> None:
    attempt = (b"m: Unknown symbol a (err -2)", b"m: Unknown symbol b (err -2)")
    assert [symbol for _, _, symbol in first_refusals(*attempt, *attempt, *attempt)] == ["a", "a", "a"]


def test_told_once_when_a_second_has_passed_then_it_is_another_attempt() -> None:
    assert len(first_refusals(b"m: Unknown symbol a (err -2)", b"m: Unknown symbol b (err -2)", apart=1_000_000)) == 2


def test_told_once_when_modules_are_refused_at_the_same_time_then_each_is_told() -> None:
    lines = (b"m: Unknown symbol a (err -2)", b"n: Unknown symbol a (err -2)", b"m: Unknown symbol b (err -2)")
    assert [module for module, _, _ in first_refusals(*lines)] == ["m", "n"]


def test_told_once_when_a_refusal_is_one_line_then_each_is_told() -> None:
    lines = (b"m: version magic '6.0 ' should be '6.1 '", b"m: version magic '6.0 ' should be '6.1 '")
    assert len(first_refusals(*lines)) == 2
    assert (
        len(first_refusals(b"Loading of unsigned module is rejected", b"Loading of unsigned module is rejected")) == 2
    )


def test_told_once_when_heard_in_two_parts_then_the_memory_goes_on() -> None:
    first, second = refusals(b"m: Unknown symbol a (err -2)", b"m: Unknown symbol b (err -2)")
    attempts, first_lines = reported_once(NO_ATTEMPTS, (first,))
    _, none = reported_once(attempts, (second,))
    assert (len(first_lines), len(none)) == (1, 0)


def test_told_once_when_ever_new_modules_are_refused_then_the_memory_is_bounded() -> None:
    attempts: Attempts = NO_ATTEMPTS
    for at in range(500):
        attempts, first_lines = reported_once(attempts, refusals(b"m%d: Unknown symbol a (err -2)" % at))
        assert len(first_lines) == 1
    assert len(attempts.by_module) == MAX_MODULES


def test_refusals_when_recognised_then_they_are_load_failures() -> None:
    assert {refusal.report_class for refusal in refusals(b"m: Unknown symbol a (err -2)")} == {
        ReportClass.MODULE_LOAD_FAILURE
    }
