from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.store.chain import GENESIS, Link, Problem, ProblemKind, Removed, Verifier
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


def after(anchor: Link) -> Removed:
    return Removed(anchor=anchor, kept_hash=anchor.hash)


ROWS = tuple(chain_of(COUNT))
HEAD = link(ROWS[-1])
PLACES = st.integers(0, COUNT - 1)


def problems(rows: Sequence[HistoryRow], anchor: Link = GENESIS, head: Link | None = HEAD) -> list[Problem]:
    verifier = Verifier(after(anchor))
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
    verifier = Verifier(Removed())
    reported = [problem for row in ROWS[:2] for problem in verifier.row(row)]
    verifier.skip_to(after(link(ROWS[moved_to - 1])))
    reported += [problem for row in ROWS[max(2, moved_to) :] for problem in verifier.row(row)]
    assert [*reported, *verifier.end(HEAD)] == []


def sentences(reported: Sequence[Problem]) -> list[str]:
    return [problem.text for problem in reported]


@pytest.mark.parametrize(
    ("recorded", "found_as", "moved"),
    [(70, 6, True), (70, 5, False), (1, 65, True), (1, 66, False), (1, 2, True), (2, 1, True), (0, 2, False)],
)
def test_row_when_its_id_was_changed_then_the_id_is_known_up_to_64_away(
    recorded: int, found_as: int, moved: bool
) -> None:
    before = Link(found_as - 1, ROWS[0].hash)
    row = chained(event(3), recorded, BOOT, before.hash)._replace(id=found_as)
    (problem,) = Verifier(after(Link(found_as - 1, before.hash))).row(row)
    why = f"was recorded as event {recorded}" if moved else "its content or hash was changed"
    assert (problem.kind, problem.text) == (
        ProblemKind.MOVED if moved else ProblemKind.EDITED, f"event {found_as}: {why}",
    )  # fmt: skip


def test_problems_when_shown_then_each_is_a_sentence_with_its_events() -> None:
    anchor = link(ROWS[3])
    assert sentences(problems([*ROWS[:4], *ROWS[6:]])) == ["events 5 to 6: not there any more"]
    assert sentences(problems([*ROWS[:4], *ROWS[5:]])) == ["event 5: not there any more"]
    assert sentences(problems(ROWS[:10])) == ["events 11 to 12: the newest events are not there any more"]
    assert sentences(problems(ROWS, head=link(ROWS[9]))) == [
        "events 11 to 12: not written by kmodmon: the head does not know them"
    ]
    assert sentences(problems(ROWS, head=Link(COUNT, bytes(32)))) == [
        "event 12: its hash is not the one that the head holds"
    ]
    assert sentences(problems(ROWS[3:], anchor)) == ["event 4: older than the oldest event that retention left"]
    assert sentences(problems(ROWS[4:], Link(4, bytes(32)))) == [
        "event 5: does not follow the anchor (4), which was changed"
    ]
    assert sentences(problems(ROWS, Link(0, b"\1" * 32))) == ["event 1: is not the first event"]
    replaced = chained(event(99), 6, BOOT, ROWS[4].hash)
    assert sentences(problems([*ROWS[:5], replaced, *ROWS[6:]])) == [
        "event 6: was replaced: event 7 recorded another hash of it"
    ]
    assert sentences(problems([*ROWS[:5], ROWS[5]._replace(body=b"nonsense"), *ROWS[6:]])) == [
        "event 6: cannot even be read"
    ]


def test_end_when_the_head_is_missing_then_the_problem_is_at_the_last_row() -> None:
    assert problems(ROWS, head=None) == [
        Problem(kind=ProblemKind.HEAD, first=COUNT, last=COUNT, text="the head of the chain is missing")
    ]


def test_row_when_the_one_before_has_a_problem_then_the_link_to_it_is_not_a_second_one() -> None:
    wrong = ROWS[5]._replace(hash=bytes(32))
    assert named(problems([*ROWS[:5], wrong, *ROWS[6:]])) == [(ProblemKind.EDITED, 6, 6)]
    # the problem of one row does not hide that of a later one
    later = chained(event(99), 9, BOOT, ROWS[7].hash)
    assert named(problems([*ROWS[:5], wrong, *ROWS[6:8], later, *ROWS[9:]])) == [
        (ProblemKind.EDITED, 6, 6), (ProblemKind.EDITED, 9, 9),
    ]  # fmt: skip
    last = ROWS[-1]._replace(hash=bytes(32))
    assert named(problems([*ROWS[:-1], last])) == [(ProblemKind.EDITED, COUNT, COUNT)]


def test_retention_when_it_removed_only_rows_that_were_verified_then_nothing_is_skipped() -> None:
    for anchor in (link(ROWS[3]), Link(5, bytes(32))):
        verifier = Verifier(Removed())
        assert [problem for row in ROWS[:5] for problem in verifier.row(row)] == []
        verifier.skip_to(after(anchor))
        assert (verifier.removed.anchor, verifier.last) == (GENESIS, link(ROWS[4]))
    wrong = Verifier(Removed())
    assert named(list(wrong.row(ROWS[0]._replace(hash=bytes(32))))) == [(ProblemKind.EDITED, 1, 1)]
    wrong.skip_to(after(link(ROWS[4])))
    assert named(list(wrong.row(chained(event(99), 6, BOOT, bytes(32))))) == [(ProblemKind.ANCHOR, 5, 6)]
