from pathlib import Path

import pytest

from kmodmon.reports.saved_log import explain_log
from kmodmon.reports.signatures.table import SIGNATURES, match_line
from kmodmon.savedlog.savedlog import read_saved_log
from tests.reports.casefile import CASES, CLEAN, fact, near_misses, read_case

NAMES = sorted({signature.name for signature in SIGNATURES})
ARCHITECTURES = ("x86", "arm64", "arm", "riscv", "ppc", "s390", "mips", "loongarch", "sparc", "m68k", "parisc")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_when_explained_then_gives_its_reports(path: Path) -> None:
    case = read_case(path)
    reports = case.reports()
    assert [(report.report_class.value, report.signature) for report in reports] == [
        (expected.report_class, expected.signature) for expected in case.expected
    ]
    for report, expected in zip(reports, case.expected, strict=True):
        assert [(name, fact(report, name)) for name, _ in expected.facts] == list(expected.facts)


def test_cases_when_counted_then_every_signature_has_one_and_an_origin() -> None:
    cases = [read_case(path) for path in CASES]
    assert len(cases) >= 150
    assert all(case.origin for case in cases)
    assert sorted({expected.signature for case in cases for expected in case.expected}) == NAMES


def test_cases_when_listed_then_every_architecture_has_an_oops() -> None:
    names = [path.stem for path in CASES]
    assert [arch for arch in ARCHITECTURES if not any(name.startswith(arch) for name in names)] == []


def test_near_misses_when_counted_then_every_signature_has_one() -> None:
    assert sorted({name for name, _ in near_misses()}) == NAMES


@pytest.mark.parametrize(("name", "line"), near_misses())
def test_a_near_miss_when_matched_then_is_not_that_signature(name: str, line: str) -> None:
    match = match_line(line)
    assert match is None or match.signature.name != name


def test_near_misses_when_read_as_one_log_then_hardly_any_report() -> None:
    # Three lines are near to one signature because they are another's.
    reports = explain_log("\n".join(line for _, line in near_misses()).encode())
    assert {report.signature for report in reports} <= {"panic", "hardware_error"}


@pytest.mark.parametrize("path", CLEAN, ids=lambda path: path.stem)
def test_a_clean_log_when_explained_then_gives_nothing(path: Path) -> None:
    data = path.read_bytes()
    assert explain_log(data) == ()
    assert sum(1 for _ in read_saved_log(data)) > 1
