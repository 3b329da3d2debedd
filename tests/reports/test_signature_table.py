from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import kmodmon.reports.signatures
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import MatchStage
from kmodmon.reports.signatures.table import SIGNATURES, THEMES, match_line, match_line_naive
from kmodmon.savedlog.savedlog import read_saved_log
from tests.reports.casefile import CASES, CLEAN, near_misses, read_case

ROOM = Path(kmodmon.reports.signatures.__file__).parent


def _lines() -> list[str]:
    logs = [read_case(path).log for path in CASES] + [path.read_bytes() for path in CLEAN]
    saved = {line.text.lstrip(" ") for log in logs for line in read_saved_log(log)}
    return sorted(saved | {line for _, line in near_misses()})


def test_themes_when_the_room_is_listed_then_every_table_is_in_the_tuple() -> None:
    tables = {
        path.stem for path in ROOM.glob("*.py") if "\nSIGNATURES: tuple[LogSignature, ...] = (\n" in path.read_text()
    }
    assert {theme.__name__.rsplit(".", 1)[1] for theme in THEMES} == tables


def test_signatures_when_read_then_say_what_and_what_to_do() -> None:
    for signature in SIGNATURES:
        assert signature.help.endswith("."), signature.name
        assert signature.advice.endswith("."), signature.name
        assert signature.origin, signature.name
        assert signature.contains, signature.name
        assert all(literal for literal in signature.contains), signature.name


def test_signatures_when_of_one_name_then_of_one_class() -> None:
    classes: dict[str, set[ReportClass]] = {}
    for signature in SIGNATURES:
        classes.setdefault(signature.name, set()).add(signature.report_class)
    assert {name: classes for name, classes in classes.items() if len(classes) > 1} == {}


def test_sayings_when_counted_then_are_exactly_the_classes_listed_on_request() -> None:
    assert all((signature.stage is MatchStage.NOTICE) == signature.report_class.is_notice for signature in SIGNATURES)


def test_match_when_tried_on_every_known_line_then_equals_the_naive_search() -> None:
    for line in _lines():
        fast, naive = match_line(line), match_line_naive(line)
        assert (fast and fast.signature) == (naive and naive.signature), line


@given(st.sampled_from(_lines()), st.integers(0, 200), st.text(max_size=6), st.integers(0, 6))
def test_match_when_a_known_line_is_damaged_then_equals_the_naive_search(
    line: str, at: int, put: str, cut: int
) -> None:
    damaged = line[:at] + put + line[at + cut :]
    fast, naive = match_line(damaged), match_line_naive(damaged)
    assert (fast and fast.signature) == (naive and naive.signature)


def test_match_when_a_process_is_named_like_a_report_then_gives_nothing() -> None:
    for comm in ("BUG: KASAN: x", "Kernel panic - ", "WARNING: CPU: ", "Oops: 0002 [#1"):
        assert match_line(f"{comm[:15]}[123]: segfault at 0 ip 00 sp 00 error 4 in libc.so[0+1]") is None
