"""Retention by class: what a user can provoke goes first, and nothing else can be made to go with it."""

import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.events.event import Event
from kmodmon.events.kinds.log import LogForged
from kmodmon.events.kinds.module import ModuleLoaded, ModuleLoadFailed
from kmodmon.events.query import EventQuery
from kmodmon.store.chain import GENESIS, Link, Problem, ProblemKind, Removed, Verifier
from kmodmon.store.database import FILE
from kmodmon.store.interface import Pruned, RetentionLimits
from kmodmon.store.reader import SqliteReader
from kmodmon.store.retention import PROVOKABLE_SHARE
from kmodmon.store.row import HistoryRow, chained
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.types.units import Instant, Usec
from tests.store.making import BOOT, SECOND, START, event, filled, typical
from tests.store.test_sqlite import prune_all, raw

MIB = 1 << 20
RECORDED = Path(__file__).parent / "histories/format-1.sqlite3"  # written by kmodmon 0.1, before there were two classes


def refused(number: int) -> Event:
    """A load that the kernel refused: a user without privilege can have any number of them."""
    at = Instant(realtime_usec=Usec(START + number * SECOND), monotonic_usec=Usec(number * SECOND))
    return Event(details=ModuleLoadFailed(reason="blacklisted"), at=at, module=f"m{number}", evidence=("x" * 100,))


def mixed(pattern: str) -> list[Event]:
    """`k`: a load; `p`: an event that can be provoked."""
    return [event(number) if letter == "k" else refused(number) for number, letter in enumerate(pattern, 1)]


def test_retention_when_refused_loads_flood_then_no_load_is_lost(tmp_path: Path) -> None:
    history = filled(tmp_path, 300, typical)
    for start in range(301, 50_301, 1000):
        history.append([refused(number) for number in range(start, start + 1000)])
        prune_all(history, RetentionLimits(size_bytes=MIB), None)
    history.append([typical(50_301)])
    loads = [stored.id for stored in history.events() if stored.event.type != ModuleLoadFailed.kind.type]
    assert loads == [*range(1, 301), 50_301]
    assert list(history.verify()) == []
    summary = history.summary()
    assert summary.events == sum(1 for _ in history.events())
    assert summary.events + summary.thinned == 50_301
    history.close()
    assert (tmp_path / FILE).stat().st_size <= 3 * MIB


def test_retention_when_loads_fill_the_file_then_what_can_be_provoked_keeps_its_share(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    history.append([refused(number) for number in range(1, 501)])
    for start in range(501, 20_501, 1000):
        history.append([typical(number) for number in range(start, start + 1000)])
        history.append([refused(start)])
        prune_all(history, RetentionLimits(size_bytes=MIB), None)
    left = [stored.event.type for stored in history.events()]
    assert 0 < left.count(ModuleLoadFailed.kind.type) < 500
    assert left[0] != ModuleLoadFailed.kind.type or len(left) < 20_000  # the oldest went, of whatever kind
    assert list(history.verify()) == []
    history.close()


def test_retention_when_the_file_fits_then_nothing_is_thinned(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    history.append(mixed("pk" * 100))
    assert history.prune(RetentionLimits(size_bytes=MIB), None) is Pruned.DONE
    assert history.summary().thinned == 0
    history.close()


def thinned(directory: Path, pattern: str, newest_left: int) -> SqliteHistory:
    """A history of which all provokable events but the newest ones were removed."""
    history = SqliteHistory(directory, BOOT)
    rows = history.append(mixed(pattern))
    wanted = [stored for stored in rows if stored.event.details.provokable][:-newest_left]
    for stored in wanted:
        with history._transaction():
            thin(history, Link(stored.id, bytes.fromhex(stored.hash)))
    return history


def thin(history: SqliteHistory, last: Link) -> None:
    """One provokable event, as a step of retention removes it."""
    from kmodmon.store.retention import Retention

    Retention(history._connection, RetentionLimits(), None).thin(last, 1)


HIDING = (
    ("a load among them", "DELETE FROM event WHERE id = 3", {(ProblemKind.REMOVED, 2, 5)}),
    ("the first load", "DELETE FROM event WHERE id = 1", {(ProblemKind.REMOVED, 1, 2)}),
    ("the last load, and all up to the end called thinned",
     "DELETE FROM event WHERE id IN (9, 10); UPDATE chain SET id = 10, hash = (SELECT hash FROM event WHERE id = 11) "
     "WHERE name = 'thinned'", {(ProblemKind.REMOVED, 7, 10)}),
    ("a load that is called provokable", "UPDATE event SET provokable = 1 WHERE id = 3", {(ProblemKind.EDITED, 3, 3)}),
    ("a new load that is called provokable", "UPDATE event SET provokable = 1 WHERE id = 9",
     {(ProblemKind.EDITED, 9, 9)}),
    ("the newest, called a load", "UPDATE event SET provokable = NULL WHERE id = 12", {(ProblemKind.EDITED, 12, 12)}),
    ("the link to the load before", "UPDATE event SET prev_kept_hash = NULL WHERE id = 6",
     {(ProblemKind.EDITED, 6, 6)}),
    ("the newest load, in the end", "UPDATE chain SET hash = zeroblob(32) WHERE name = 'head_kept'",
     {(ProblemKind.EDITED, 12, 12)}),
    ("the last that was thinned", "UPDATE chain SET hash = zeroblob(32) WHERE name = 'thinned'",
     {(ProblemKind.ANCHOR, 8, 9)}),
    ("one that was not thinned", "DELETE FROM event WHERE id = 10", {(ProblemKind.REMOVED, 10, 10)}),
)  # fmt: skip


@pytest.mark.parametrize(("statement", "expected"), [case[1:] for case in HIDING], ids=[case[0] for case in HIDING])
def test_verify_when_more_than_retention_may_remove_is_gone_then_it_is_named(
    tmp_path: Path, statement: str, expected: set[tuple[ProblemKind, int, int]]
) -> None:
    history = thinned(tmp_path, "kpkppkppkpkp", newest_left=2)
    assert [stored.id for stored in history.events()] == [1, 3, 6, 9, 10, 11, 12]
    assert list(history.verify()) == []
    history.close()
    other = raw(tmp_path)
    other.executescript(statement)
    other.close()
    reader = SqliteReader.open(tmp_path)
    assert {(problem.kind, problem.first, problem.last) for problem in reader.verify()} == expected
    reader.close()


def chain_of(pattern: str) -> list[HistoryRow]:
    rows: list[HistoryRow] = []
    head = kept = GENESIS
    for happened in mixed(pattern):
        row = chained(happened, head.id + 1, BOOT, head.hash, None if head == kept else kept.hash)
        head = Link(row.id, row.hash)
        kept = kept if row.provokable else head
        rows.append(row)
    return rows


def verified(rows: Sequence[HistoryRow], removed: Removed, head: HistoryRow) -> list[Problem]:
    verifier = Verifier(removed)
    found = [problem for row in rows for problem in verifier.row(row)]
    return [*found, *verifier.end(Link(head.id, head.hash))]


@settings(max_examples=200)
@given(st.text("kp", min_size=2, max_size=24), st.data())
def test_verify_when_any_provokable_events_were_thinned_then_whole_and_each_kept_one_is_needed(
    pattern: str, data: st.DataObject
) -> None:
    rows = chain_of(pattern)
    start = data.draw(st.integers(0, len(rows) - 1))
    provokable = [row for row in rows[:-1] if row.provokable]
    last = provokable[data.draw(st.integers(0, len(provokable) - 1))] if provokable else None
    kept = next((row.hash for row in reversed(rows[:start]) if not row.provokable), GENESIS.hash)
    removed = Removed(
        anchor=Link(rows[start - 1].id, rows[start - 1].hash) if start else GENESIS,
        kept_hash=kept,
        thinned=Link(last.id, last.hash) if last else GENESIS,
    )
    left = [row for row in rows[start:] if not row.provokable or row.id > removed.thinned.id]
    assert verified(left, removed, rows[-1]) == []
    for missing in left:
        without = [row for row in left if row is not missing]
        assert verified(without, removed, rows[-1]) != [], missing.id
        higher = replace(removed, thinned=Link(rows[-2].id, rows[-2].hash))  # whoever hides it says it was thinned
        if not missing.provokable and missing is not rows[-1]:
            without = [row for row in without if not row.provokable or row.id > higher.thinned.id]
            assert verified(without, higher, rows[-1]) != [], missing.id


def test_history_when_it_is_of_the_older_format_then_its_rows_verify_and_go_on(tmp_path: Path) -> None:
    shutil.copy(RECORDED, tmp_path / FILE)
    reader = SqliteReader.open(tmp_path)  # as a command reads it before the daemon was started anew
    before = [stored.to_json() for stored in reader.events()]
    assert list(reader.verify()) == [] and reader.summary().events == 20
    reader.close()
    history = SqliteHistory(tmp_path, BOOT)
    assert history.load_checkpoints(BOOT) == {"cursor": {"seq": 9}}
    history.append([refused(21), refused(22), event(23), refused(24), event(25)])
    with history._transaction():
        thin(history, Link(22, bytes.fromhex([stored.hash for stored in history.events()][21])))
    after = [stored.to_json() for stored in history.events()]
    assert after[:20] == before and [entry["id"] for entry in after[20:]] == [23, 24, 25]
    assert list(history.verify()) == []
    history.close()
    other = raw(tmp_path)
    other.execute("DELETE FROM event WHERE id = 20")  # an old row can not be called thinned
    other.close()
    reader = SqliteReader.open(tmp_path)
    assert [(found.kind, found.first) for found in reader.verify()] == [(ProblemKind.REMOVED, 20)]
    reader.close()


def test_age_when_rows_were_dated_a_day_ahead_then_they_are_as_old_as_the_next_row(tmp_path: Path) -> None:
    ahead = 30 * 3600 * SECOND
    history = SqliteHistory(tmp_path, BOOT)  # the clock of a new host was 30 hours ahead, and was set right
    history.append([event(number, at=START + ahead + number) for number in range(1, 4)])
    history.append([event(number, at=START + number * SECOND) for number in range(4, 6)])
    age = RetentionLimits(age_usec=90 * 86_400 * SECOND)
    assert prune_all(history, age, START + 2 * 3600 * SECOND) == 0
    assert [stored.id for stored in history.events()] == [1, 2, 3, 4, 5]
    assert prune_all(history, age, START + 92 * 86_400 * SECOND) == 1
    assert [stored.id for stored in history.events()] == [5]
    history.close()


def test_age_when_more_rows_than_a_step_takes_were_dated_ahead_then_they_go_with_the_next_row(tmp_path: Path) -> None:
    ahead = 400 * 86_400 * SECOND
    history = SqliteHistory(tmp_path, BOOT)
    history.append([event(number, at=START + ahead + number) for number in range(1, 1502)])
    history.append([event(number, at=START) for number in range(1502, 1504)])
    age = RetentionLimits(age_usec=10 * 86_400 * SECOND)
    assert prune_all(history, age, START + 5 * 86_400 * SECOND) == 0
    assert prune_all(history, age, START + 11 * 86_400 * SECOND) == 2
    assert [stored.id for stored in history.events()] == [1503]
    history.close()


def test_events_when_some_were_thinned_then_queries_and_ids_go_on_without_them(tmp_path: Path) -> None:
    history = thinned(tmp_path, "kpkppkppkpkp", newest_left=1)
    details = LogForged(count=1, signature=None, facility=None, seq=None)
    history.append([Event(details=details, at=refused(13).at), event(14)])
    query = EventQuery(types=(ModuleLoaded.kind.type, ModuleLoadFailed.kind.type), newest_first=True, limit=3)
    assert [stored.id for stored in history.events(query)] == [14, 12, 11]
    assert list(history.verify()) == []
    history.close()


def test_share_when_the_limit_is_reached_then_it_is_a_quarter() -> None:
    assert PROVOKABLE_SHARE == 4


def test_thinning_when_a_reader_verifies_meanwhile_then_it_reports_nothing() -> None:
    rows = chain_of("kppkppkk")
    verifier = Verifier(Removed())
    found = [problem for row in rows[:2] for problem in verifier.row(row)]
    verifier.skip_to(Removed(thinned=Link(rows[5].id, rows[5].hash)))
    found += [problem for row in (rows[3], rows[6], rows[7]) for problem in verifier.row(row)]
    assert found == [] and verifier.thinned == 3
    assert list(verifier.end(Link(rows[7].id, rows[7].hash))) == []


def test_database_when_opened_by_sqlite3_then_the_sizes_of_provokable_rows_are_near_what_they_take(
    tmp_path: Path,
) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    for start in range(1, 10_001, 1000):
        history.append([refused(number) for number in range(start, start + 1000)])
    history.close()
    with sqlite3.connect(tmp_path / FILE) as other:
        (estimated,) = other.execute("SELECT sum(provokable) FROM event").fetchone()
    other.close()
    assert 0.75 < estimated / (tmp_path / FILE).stat().st_size < 1.25
