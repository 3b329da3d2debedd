import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kmodmon.events.event import Severity
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.store.chain import Link, ProblemKind
from kmodmon.store.database import FILE
from kmodmon.store.error import Refused, StoreError, Trouble
from kmodmon.store.interface import Pruned, RetentionLimits
from kmodmon.store.reader import SEVERITIES, SqliteReader
from kmodmon.store.retention import STEP_ROWS
from kmodmon.store.schema import APPLICATION_ID, MIGRATIONS
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.types.units import Usec
from tests.store.making import BOOT, SECOND, START, event, filled

DAY = 86_400 * SECOND
ZERO = "0" * 64


def raw(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / FILE, isolation_level=None)


def prune_all(history: SqliteHistory, retention: RetentionLimits, now: int | None) -> int:
    steps = 0
    while history.prune(retention, None if now is None else Usec(now)) is Pruned.MORE:
        steps += 1
    return steps


def test_events_are_numbered_from_one_and_linked(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    first, second = history.append([event(1), event(2)])
    (third,) = history.append([event(3)])
    assert [(stored.id, stored.boot_id) for stored in (first, second, third)] == [(1, BOOT), (2, BOOT), (3, BOOT)]
    assert (first.prev_hash, second.prev_hash, third.prev_hash) == (ZERO, first.hash, second.hash)
    assert list(history.events()) == [first, second, third]
    history.close()


def test_severities_have_the_numbers_that_are_on_disks() -> None:
    assert [severity.value for severity in SEVERITIES] == ["critical", "error", "warning", "notice", "info"]


def test_reopened_history_goes_on_where_it_was(tmp_path: Path) -> None:
    first = filled(tmp_path, 3)
    *_, third = first.events()
    first.close()
    again = SqliteHistory(tmp_path, "another boot")
    assert not again.fresh
    (fourth,) = again.append([event(4)])
    assert (fourth.id, fourth.prev_hash) == (4, third.hash)
    assert [stored.boot_id for stored in again.events()] == [BOOT] * 3 + ["another boot"]
    assert list(again.verify()) == []
    again.close()


def test_checkpoints_are_kept_by_boot(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    history.append([event(1)], {"cursor": {"seq": 1}, "counts": {"x": [1, 2]}})
    history.append([], {"cursor": {"seq": 2}})
    assert history.load_checkpoints(BOOT) == {"cursor": {"seq": 2}, "counts": {"x": [1, 2]}}
    history.close()
    later = SqliteHistory(tmp_path, "boot 2")
    assert later.load_checkpoints("boot 2") == {}
    assert later.load_checkpoints(None) == {"cursor": {"seq": 2}, "counts": {"x": [1, 2]}}
    later.append([], {"cursor": {"seq": 2}})
    assert later.load_checkpoints("boot 2") == {"cursor": {"seq": 2}}
    assert later.load_checkpoints(BOOT) == {"counts": {"x": [1, 2]}}
    later.close()


def test_refused_event_leaves_nothing_of_its_batch_behind(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    with pytest.raises(Refused) as caught:
        history.append([event(1), event(2, module="a\nb")], {"cursor": {"seq": 2}})
    assert caught.value.index == 1
    assert (history.summary().events, history.load_checkpoints(BOOT)) == (0, {})
    with pytest.raises(Refused) as caught:
        history.append([event(1)], {"cursor": {"seq": float("nan")}})
    assert (caught.value.index, caught.value.section) == (None, "cursor")
    assert history.append([event(1)])[0].id == 1
    history.close()


def test_failing_statement_leaves_nothing_of_its_batch_behind(tmp_path: Path) -> None:
    history = filled(tmp_path, 2)
    with raw(tmp_path) as other:
        other.execute("DROP TABLE checkpoint")
    with pytest.raises(StoreError) as caught:
        history.append([event(3, module="new")], {"cursor": {"seq": 3}})
    assert caught.value.trouble is Trouble.CORRUPT
    assert [stored.id for stored in history.events()] == [1, 2]
    (third,) = history.append([event(3, module="new")])  # the number of "new" was rolled back, and is not remembered
    assert (third.id, third.event.module, list(history.verify())) == (3, "new", [])
    history.close()


def test_only_one_writer_at_a_time(tmp_path: Path) -> None:
    history = filled(tmp_path, 1)
    with pytest.raises(StoreError) as caught:
        SqliteHistory(tmp_path, BOOT)
    assert caught.value.trouble is Trouble.LOCKED
    history.close()
    SqliteHistory(tmp_path, BOOT).close()


def test_files_are_for_owner_and_group_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        history = filled(tmp_path / "state", 1)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o750
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert modes == {name: 0o640 for name in (FILE, FILE + "-wal", FILE + "-shm", "history.lock")}
    history.close()


def test_history_of_a_newer_version_is_refused_and_untouched(tmp_path: Path) -> None:
    filled(tmp_path, 1).close()
    with raw(tmp_path) as other:
        other.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    other.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StoreError, match="use that version or a newer one") as caught:
        SqliteHistory(tmp_path, BOOT)
    assert caught.value.trouble is Trouble.NEWER
    with pytest.raises(StoreError) as caught:
        SqliteReader.open(tmp_path)
    assert caught.value.trouble is Trouble.NEWER
    assert (tmp_path / FILE).read_bytes() == before


def test_database_of_another_program_is_refused_and_untouched(tmp_path: Path) -> None:
    with raw(tmp_path) as other:
        other.execute("CREATE TABLE precious (x)")
    other.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StoreError) as caught:
        SqliteHistory(tmp_path, BOOT)
    assert caught.value.trouble is Trouble.FOREIGN
    assert (tmp_path / FILE).read_bytes() == before


def test_file_says_whose_it_is_and_is_durable(tmp_path: Path) -> None:
    history = filled(tmp_path, 1)
    with raw(tmp_path) as other:
        values = [
            other.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "auto_vacuum", "user_version")
        ]
        assert values == [APPLICATION_ID, 2, len(MIGRATIONS)]
        assert other.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    other.close()
    history.close()


def test_interrupted_first_opening_is_made_good(tmp_path: Path) -> None:
    with raw(tmp_path) as other:  # as far as a crash between the header and the tables leaves it
        other.execute("PRAGMA auto_vacuum = INCREMENTAL")
        other.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    other.close()
    history = SqliteHistory(tmp_path, BOOT)
    assert history.append([event(1)])[0].id == 1
    history.close()


TAMPERING: tuple[tuple[str, str, set[tuple[ProblemKind, int, int]]], ...] = (
    ("edited time", "UPDATE event SET realtime_usec = 1 WHERE id = 5", {(ProblemKind.EDITED, 5, 5)}),
    ("edited severity", "UPDATE event SET severity = 4 - severity / 4 WHERE id = 5", {(ProblemKind.EDITED, 5, 5)}),
    ("other body", "UPDATE event SET body = (SELECT body FROM event WHERE id = 6) WHERE id = 5",
     {(ProblemKind.EDITED, 5, 5)}),
    ("wrong types", "UPDATE event SET body = 'x', hash = 7, prev_hash = 'x' WHERE id = 5",
     {(ProblemKind.EDITED, 5, 5)}),
    ("invalid text", "UPDATE event SET type = 'x' WHERE id = 5", {(ProblemKind.EDITED, 5, 5)}),
    ("removed", "DELETE FROM event WHERE id BETWEEN 5 AND 7", {(ProblemKind.REMOVED, 5, 7)}),
    ("cut", "DELETE FROM event WHERE id > 15", {(ProblemKind.TAIL_CUT, 16, 20)}),
    ("all gone", "DELETE FROM event", {(ProblemKind.TAIL_CUT, 1, 20)}),
    ("anchor", "UPDATE chain SET hash = x'01' WHERE name = 'anchor'", {(ProblemKind.ANCHOR, 0, 1)}),
    ("no anchor", "DELETE FROM chain WHERE name = 'anchor'", {(ProblemKind.ANCHOR, 0, 0)}),
    ("no head", "DELETE FROM chain WHERE name = 'head'", {(ProblemKind.HEAD, 20, 20)}),
    ("head", "UPDATE chain SET hash = zeroblob(32) WHERE name = 'head'", {(ProblemKind.EDITED, 20, 20)}),
    ("added", "INSERT INTO event SELECT 21, realtime_usec, monotonic_usec, type, module, boot, severity, body, "
     "prev_hash, hash, NULL, NULL FROM event WHERE id = 20",
     {(ProblemKind.MOVED, 21, 21), (ProblemKind.ADDED, 21, 21)}),
    ("swapped", "UPDATE event SET id = -5 WHERE id = 5; UPDATE event SET id = 5 WHERE id = 6; "
     "UPDATE event SET id = 6 WHERE id = -5", {(ProblemKind.MOVED, 5, 5), (ProblemKind.MOVED, 6, 6)}),
    ("renamed module", "UPDATE module SET text = 'innocent' WHERE text = 'rootkit'", {(ProblemKind.EDITED, 7, 7)}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "expected"), [case[1:] for case in TAMPERING], ids=[case[0] for case in TAMPERING]
)
def test_tampering_is_named(tmp_path: Path, statement: str, expected: set[tuple[ProblemKind, int, int]]) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    history.append([event(number, module="rootkit" if number == 7 else "e1000e") for number in range(1, 21)])
    history.close()
    other = raw(tmp_path)
    other.executescript(statement)
    other.close()
    reader = SqliteReader.open(tmp_path)
    assert {(problem.kind, problem.first, problem.last) for problem in reader.verify()} == expected
    assert sum(1 for _ in reader.events()) + reader.unreadable <= 21
    reader.close()


def test_row_hidden_from_an_index_is_named(tmp_path: Path) -> None:
    filled(tmp_path, 20).close()
    for condition, statement in ((" WHERE id <> 5", "REINDEX event_type"), ("", "PRAGMA schema_version")):
        other = raw(tmp_path)
        other.execute("PRAGMA writable_schema = ON")
        other.execute(
            "UPDATE sqlite_schema SET sql = ? WHERE name = 'event_type'",
            (f"CREATE INDEX event_type ON event (type){condition}",),
        )
        other.close()
        other = raw(tmp_path)
        other.execute(statement)
        other.close()
    reader = SqliteReader.open(tmp_path)
    problems = list(reader.verify())
    assert {problem.kind for problem in problems} == {ProblemKind.INDEX}
    assert any("row 5 missing from index event_type" in problem.text for problem in problems)
    reader.close()


def test_damaged_page_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    filled(tmp_path, 2000).close()
    size = (tmp_path / FILE).stat().st_size
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 8192)
    reader = SqliteReader.open(tmp_path)
    assert any(problem.kind in (ProblemKind.DAMAGED, ProblemKind.INDEX) for problem in reader.verify())
    reader.close()


def test_history_without_head_is_damaged_for_the_writer(tmp_path: Path) -> None:
    filled(tmp_path, 2).close()
    with raw(tmp_path) as other:
        other.execute("DELETE FROM chain WHERE name = 'head'")
    other.close()
    history: SqliteHistory | None = None
    with pytest.raises(StoreError) as caught:
        history = SqliteHistory(tmp_path, BOOT)
        history.append([event(3)])
    assert caught.value.trouble is Trouble.CORRUPT
    if history is not None:
        history.close()


def test_stranger_in_the_place_of_the_next_event_is_damage(tmp_path: Path) -> None:
    history = filled(tmp_path, 2)
    with raw(tmp_path) as other:
        other.execute(
            "INSERT INTO event SELECT 3, realtime_usec, 1, type, module, boot, severity, body, prev_hash, hash, "
            "NULL, NULL FROM event WHERE id = 2"
        )
    other.close()
    with pytest.raises(StoreError) as caught:
        history.append([event(3)])
    assert caught.value.trouble is Trouble.CORRUPT
    history.close()


def test_retention_by_age_removes_the_oldest_in_steps_and_keeps_the_chain(tmp_path: Path) -> None:
    history = filled(tmp_path, 3 * STEP_ROWS)
    steps = prune_all(history, RetentionLimits(age_usec=100 * SECOND), START + 3 * STEP_ROWS * SECOND)
    left = [stored.id for stored in history.events()]
    assert left == list(range(3 * STEP_ROWS - 100, 3 * STEP_ROWS + 1))
    assert steps == 3
    assert list(history.verify()) == []
    assert history.summary().events == 101
    (later,) = history.append([event(3 * STEP_ROWS + 1)])
    assert later.id == 3 * STEP_ROWS + 1
    history.close()


def test_retention_by_size_keeps_the_file_small_and_the_newest_events(tmp_path: Path) -> None:
    history = filled(tmp_path, 10_000)
    limit = 1 << 20
    prune_all(history, RetentionLimits(size_bytes=limit), None)
    history.append([event(10_001)])
    assert list(history.verify()) == []
    newest = [stored.id for stored in history.events()]
    assert newest[-1] == 10_001 and newest[0] > 1
    assert len(newest) > 2000
    history.close()
    assert (tmp_path / FILE).stat().st_size <= limit * 2.1  # what was freed is given back, but for a spare megabyte


def test_retention_never_removes_the_newest_event(tmp_path: Path) -> None:
    history = filled(tmp_path, 5)
    prune_all(history, RetentionLimits(age_usec=1, size_bytes=1), START + 10 * DAY)
    assert [stored.id for stored in history.events()] == [5]
    assert list(history.verify()) == []
    history.close()


def test_retention_without_a_trusted_clock_removes_nothing_by_age(tmp_path: Path) -> None:
    history = filled(tmp_path, 5)
    assert prune_all(history, RetentionLimits(age_usec=1), None) == 0
    history.close()


def at_times(*times: int) -> Callable[[Path], SqliteHistory]:
    def make(directory: Path) -> SqliteHistory:
        history = SqliteHistory(directory, BOOT)
        history.append([event(number, at=wall) for number, wall in enumerate(times, 1)])
        return history

    return make


@pytest.mark.parametrize(
    ("times", "left"),
    [
        ((START, START + DAY, START + 99 * DAY), [3]),
        ((START + 5000 * DAY, START, START + 99 * DAY), [3]),  # one was dated by a clock far ahead: it protects nothing
        ((START + 98 * DAY, 0, START + 99 * DAY), [1, 2, 3]),  # one by a clock that had lost its battery
        ((START, START + 5000 * DAY), [1, 2]),  # the newest is in the future: it is now that is in doubt
    ],
)
def test_wrong_clocks_never_cost_events_that_are_not_old(
    tmp_path: Path, times: tuple[int, ...], left: list[int]
) -> None:
    history = at_times(*times)(tmp_path)
    prune_all(history, RetentionLimits(age_usec=10 * DAY), START + 100 * DAY)
    assert [stored.id for stored in history.events()] == left
    history.close()


def test_names_of_modules_go_with_their_last_event(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    history.append([event(number, module=f"m{number}") for number in range(1, 11)])
    history.append([event(11, module="m1"), event(12, module="m12")])
    prune_all(history, RetentionLimits(age_usec=2 * SECOND), START + 12 * SECOND)
    with raw(tmp_path) as other:
        names = {name for (name,) in other.execute("SELECT text FROM module")}
    other.close()
    assert names == {"m10", "m1", "m12"}
    (again,) = history.append([event(13, module="m2")])  # its old number is not used any more
    assert again.event.module == "m2" and list(history.verify()) == []
    assert [stored.event.module for stored in history.events()] == ["m10", "m1", "m12", "m2"]
    history.close()


def test_clock_that_goes_back_does_not_disturb_ids(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    history.append([event(1, at=START), event(2, at=START - DAY), event(3, at=0)])
    assert [stored.id for stored in history.events()] == [1, 2, 3]
    assert list(history.verify()) == []
    history.close()


def test_new_history_may_go_on_after_a_lost_one(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, BOOT, after=Link(41, b"\5" * 32))
    assert history.fresh
    (stored,) = history.append([event(1)])
    assert (stored.id, stored.prev_hash) == (42, "05" * 32)
    assert list(history.verify()) == []
    history.close()
    again = SqliteHistory(tmp_path, BOOT, after=Link(1000, b"\6" * 32))  # not new: it knows better
    assert again.append([event(2)])[0].id == 43
    again.close()


def test_replaced_file_is_missing_not_written_into_nowhere(tmp_path: Path) -> None:
    history = filled(tmp_path, 1)
    (tmp_path / FILE).unlink()
    with pytest.raises(StoreError) as caught:
        history.append([event(2)])
    assert caught.value.trouble is Trouble.MISSING
    (tmp_path / FILE).touch()
    with pytest.raises(StoreError) as caught:
        history.append([event(2)])
    assert caught.value.trouble is Trouble.MISSING
    history.close()


def test_every_type_and_severity_is_kept(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, BOOT)
    given = [event(n, kind=kind, severity=severity) for n, (kind, severity) in enumerate(
        [(kind, severity) for kind in EVENT_KINDS for severity in Severity], 1)]  # fmt: skip
    history.append(given)
    assert [stored.event for stored in history.events()] == given
    history.close()
