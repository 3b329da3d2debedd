from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.store.chain import GENESIS, Link, Problem, ProblemKind, Verifier
from kmodmon.store.row import HistoryRow, chained, digest
from tests.store.making import BOOT, event

COUNT = 12


def chain_of(count: int, after: Link = GENESIS) -> list[HistoryRow]:
    rows: list[HistoryRow] = []
    for number in range(1, count + 1):
        rows.append(chained(event(number), after.id + 1, BOOT, after.hash))
        after = Link(rows[-1].id, rows[-1].hash)
    return rows


def link(row: HistoryRow) -> Link:
    return Link(row.id, row.hash)


ROWS = tuple(chain_of(COUNT))
HEAD = link(ROWS[-1])
PLACES = st.integers(0, COUNT - 1)


def problems(rows: Sequence[HistoryRow], anchor: Link = GENESIS, head: Link | None = HEAD) -> list[Problem]:
    verifier = Verifier(anchor)
    reported = [problem for row in sorted(rows, key=lambda row: row.id) for problem in verifier.row(row)]
    return [*reported, *verifier.end(head)]


def named(reported: Sequence[Problem]) -> list[tuple[ProblemKind, int, int]]:
    return [(problem.kind, problem.first, problem.last) for problem in reported]


def test_untouched_chain_has_no_problem() -> None:
    assert problems(ROWS) == []


@given(PLACES)
def test_untouched_chain_after_retention_has_no_problem(kept_from: int) -> None:
    anchor = link(ROWS[kept_from - 1]) if kept_from else GENESIS
    assert problems(ROWS[kept_from:], anchor) == []


@given(PLACES, st.sampled_from(["body", "time", "module", "hash", "prev_hash"]))
def test_edited_row_is_named_and_no_other(place: int, what: str) -> None:
    rows = list(ROWS)
    row = rows[place]
    rows[place] = {
        "body": row._replace(body=row.body.replace(b"number", b"nvmber")),
        "time": row._replace(realtime_usec=row.realtime_usec + 1),
        "module": row._replace(module="innocent"),
        "hash": row._replace(hash=bytes(32)),
        "prev_hash": row._replace(prev_hash=b"\7" * 32),
    }[what]
    assert named(problems(rows)) == [(ProblemKind.EDITED, place + 1, place + 1)]


@given(PLACES)
def test_edited_row_with_its_hash_made_anew_is_named(place: int) -> None:
    rows = list(ROWS)
    edited = rows[place]._replace(module="innocent")
    rows[place] = edited._replace(hash=digest(edited))
    assert named(problems(rows)) == [(ProblemKind.EDITED, place + 1, place + 1)]


@given(st.integers(0, COUNT - 2), st.integers(1, 4))
def test_removed_rows_are_named_as_a_range(first: int, count: int) -> None:
    last = min(first + count, COUNT - 1)
    rows = [*ROWS[:first], *ROWS[last:]]
    assert named(problems(rows)) == [(ProblemKind.REMOVED, first + 1, last)]


@given(PLACES)
def test_cut_tail_is_named(kept: int) -> None:
    assert named(problems(ROWS[:kept])) == [(ProblemKind.TAIL_CUT, kept + 1, COUNT)]


@given(PLACES, PLACES)
def test_swapped_rows_are_named_with_where_they_were(first: int, other: int) -> None:
    rows = list(ROWS)
    rows[first], rows[other] = rows[other]._replace(id=first + 1), rows[first]._replace(id=other + 1)
    reported = problems(rows)
    if first == other:
        assert reported == []
        return
    assert {(problem.kind, problem.first) for problem in reported} == {
        (ProblemKind.MOVED, first + 1),
        (ProblemKind.MOVED, other + 1),
    }
    assert {problem.text.rpartition(" ")[2] for problem in reported} == {str(first + 1), str(other + 1)}


@given(st.integers(0, COUNT - 2))
def test_removed_row_with_the_rest_renumbered_is_found(place: int) -> None:
    rows = [*ROWS[:place], *(row._replace(id=row.id - 1) for row in ROWS[place + 1 :])]
    kinds = {problem.kind for problem in problems(rows)}
    assert kinds == {ProblemKind.MOVED, ProblemKind.TAIL_CUT}


@given(PLACES)
def test_inserted_row_with_the_rest_renumbered_is_found(place: int) -> None:
    before = link(ROWS[place - 1]) if place else GENESIS
    foreign = chained(event(99), place + 1, BOOT, before.hash)
    rows = [*ROWS[:place], foreign, *(row._replace(id=row.id + 1) for row in ROWS[place:])]
    kinds = {problem.kind for problem in problems(rows)}
    assert kinds == {ProblemKind.MOVED, ProblemKind.ADDED}


def test_row_added_at_the_end_is_named() -> None:
    foreign = chained(event(99), COUNT + 1, BOOT, HEAD.hash)
    assert named(problems([*ROWS, foreign])) == [(ProblemKind.ADDED, COUNT + 1, COUNT + 1)]


def test_row_added_before_the_anchor_is_named() -> None:
    anchor = link(ROWS[3])
    assert named(problems([ROWS[1], *ROWS[4:]], anchor)) == [(ProblemKind.ADDED, 2, 2)]


def test_changed_anchor_is_named() -> None:
    reported = problems(ROWS[4:], Link(4, bytes(32)))
    assert named(reported) == [(ProblemKind.ANCHOR, 4, 5)]


def test_missing_head_is_named() -> None:
    assert [problem.kind for problem in problems(ROWS, head=None)] == [ProblemKind.HEAD]


def test_unreadable_body_is_an_edited_row() -> None:
    rows = [*ROWS[:5], ROWS[5]._replace(body=b"nonsense"), *ROWS[6:]]
    assert named(problems(rows)) == [(ProblemKind.EDITED, 6, 6)]


@pytest.mark.parametrize("moved_to", [2, 5, 12])
def test_retention_in_the_middle_of_a_verification_is_no_problem(moved_to: int) -> None:
    verifier = Verifier(GENESIS)
    reported = [problem for row in ROWS[:2] for problem in verifier.row(row)]
    verifier.skip_to(link(ROWS[moved_to - 1]))
    reported += [problem for row in ROWS[max(2, moved_to) :] for problem in verifier.row(row)]
    assert [*reported, *verifier.end(HEAD)] == []
