"""How many reports are told: what is believed never shares with what is not."""

from collections import Counter
from dataclasses import replace

import pytest

from kmodmon.events.report import KernelReport
from kmodmon.reports.budget import (
    NOTHING_REPORTED,
    PERIOD_USEC,
    REPEAT_USEC,
    Admission,
    ReportBudget,
    Share,
    admit,
    share_of,
)
from tests.reports.test_corroboration import report

NOW = 5_000_000


def made(number: int = 0, *, confirmed: bool | None = None, module: str | None = None) -> KernelReport:
    return replace(report("oops"), confirmed=confirmed, module=module, fingerprint=f"{number:x}")


def spent(share_report: KernelReport, times: int) -> tuple[ReportBudget, Counter[Admission]]:
    budget, counts = NOTHING_REPORTED, Counter[Admission]()
    for number in range(times):
        budget, admission = admit(budget, replace(share_report, fingerprint=f"{number:x}"), NOW)
        counts[admission] += 1
    return budget, counts


@pytest.mark.parametrize(
    ("one", "share"),
    [
        (made(confirmed=True), Share.CONFIRMED),
        (made(confirmed=True, module="m"), Share.CONFIRMED),
        (made(module="m"), Share.NAMED),
        (made(), Share.OTHER),
        (made(confirmed=False, module="m"), Share.OTHER),
        (made(confirmed=False), Share.OTHER),
    ],
)
def test_share_when_a_report_is_unconfirmed_then_the_module_it_names_counts_for_nothing(
    one: KernelReport, share: Share
) -> None:
    assert share_of(one) is share


@pytest.mark.parametrize("share", [made(), made(module="m"), made(confirmed=True)], ids=lambda one: share_of(one).name)
def test_reports_when_a_share_is_used_up_then_the_others_are_told(share: KernelReport) -> None:
    most = share_of(share).value
    budget, counts = spent(share, most + 44)
    assert counts == {Admission.REPORTED: most, Admission.SUPPRESSED: 44}
    for other in (made(-1), made(-2, module="m"), made(-3, confirmed=True)):
        expected = Admission.SUPPRESSED if share_of(other) is share_of(share) else Admission.REPORTED
        assert admit(budget, other, NOW)[1] is expected
    assert admit(budget, made(-4, confirmed=share.confirmed, module=share.module), NOW + PERIOD_USEC)[1] is (
        Admission.REPORTED
    )


@pytest.mark.parametrize(("later", "is_repeat"), [(REPEAT_USEC - 1, True), (REPEAT_USEC, False)])
def test_repeat_when_the_minute_is_over_then_it_is_told_again(later: int, is_repeat: bool) -> None:
    budget, _ = admit(replace(NOTHING_REPORTED, minute_usec=NOW), made(), NOW)
    expected = Admission.REPEATED if is_repeat else Admission.REPORTED
    assert admit(budget, made(), NOW + later)[1] is expected


def test_report_when_the_same_was_forged_before_it_then_it_is_no_repeat() -> None:
    budget, _ = admit(NOTHING_REPORTED, made(confirmed=False), NOW)
    assert admit(budget, made(confirmed=False), NOW)[1] is Admission.REPEATED
    budget, admission = admit(budget, made(confirmed=True), NOW)
    assert admission is Admission.REPORTED
    assert admit(budget, made(), NOW)[1] is Admission.REPEATED
