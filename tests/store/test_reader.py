import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.event import Event
from kmodmon.events.kinds.daemon import Started
from kmodmon.events.kinds.log import LogLost
from kmodmon.events.kinds.module import ModuleLoaded, ModuleUnloaded
from kmodmon.events.kinds.taint import TaintAdded
from kmodmon.events.query import EventQuery
from kmodmon.store.database import FILE
from kmodmon.store.error import StoreError, Trouble
from kmodmon.store.memory import MemoryHistory
from kmodmon.store.reader import SqliteReader
from kmodmon.store.sqlite import SqliteHistory
from tests.store.making import BOOT, SECOND, START, event, filled

KINDS = (ModuleLoaded.kind.type, ModuleUnloaded.kind.type, TaintAdded.kind.type, Started.kind.type)
MODULES = ("a", "b", None)


def mixed(number: int) -> Event:
    """Events of several types and modules; every fortieth by a clock that jumped back by a minute."""
    wall = START + number * SECOND - (60 * SECOND if number % 40 == 0 else 0)
    return event(number, kind=KINDS[number * 7 % 4], module=MODULES[number * 5 % 3], at=wall)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteReader, MemoryHistory]]:
    directory = tmp_path_factory.mktemp("history")
    filled(directory, 1500, mixed).close()
    memory = MemoryHistory(BOOT, 1500)
    memory.append([mixed(number) for number in range(1, 1501)])
    reader = SqliteReader.open(directory)
    yield reader, memory
    reader.close()


TIMES = st.none() | st.integers(START - 100 * SECOND, START + 1600 * SECOND) | st.sampled_from([-(2**70), 2**70, 0])
QUERIES = st.builds(
    EventQuery,
    since_usec=TIMES,
    until_usec=TIMES,
    types=st.lists(st.sampled_from([*KINDS, LogLost.kind.type]), unique=True, max_size=3).map(tuple),
    module=st.none() | st.sampled_from(["a", "b", "never seen", "\udc80", "x\0y"]),
    after_id=st.just(0) | st.integers(0, 1600) | st.just(2**70),
    limit=st.none() | st.integers(0, 700),
    newest_first=st.booleans(),
)


@given(query=QUERIES)
def test_any_query_gives_what_a_naive_filter_gives(both: tuple[SqliteReader, MemoryHistory], query: EventQuery) -> None:
    reader, memory = both
    assert list(reader.events(query)) == list(memory.events(query))


def plan(directory: Path, statement: str) -> str:
    with sqlite3.connect(directory / FILE) as connection:
        return " ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))


def test_queries_need_neither_a_scan_nor_a_sort(tmp_path: Path) -> None:
    filled(tmp_path, 10).close()
    statements: list[str] = []
    reader = SqliteReader.open(tmp_path)
    reader._connection.set_trace_callback(statements.append)
    for query in (
        EventQuery(since_usec=START),
        EventQuery(until_usec=START, newest_first=True),
        EventQuery(module="e1000e", since_usec=START),
        EventQuery(types=(ModuleLoaded.kind.type, Started.kind.type)),
        EventQuery(after_id=5),
    ):
        list(reader.events(query))
    reader.close()
    for statement in statements:
        text = plan(tmp_path, statement)
        assert "TEMP B-TREE" not in text and "SCAN e" not in text, f"{statement}: {text}"


def test_reader_sees_what_is_written_while_it_is_open(tmp_path: Path) -> None:
    history = filled(tmp_path, 3)
    reader = SqliteReader.open(tmp_path)
    before = reader.changed()
    assert [stored.id for stored in reader.events()] == [1, 2, 3]
    assert reader.changed() == before
    history.append([event(4)])
    assert reader.changed() != before
    assert [stored.id for stored in reader.events(EventQuery(after_id=3))] == [4]
    reader.close()
    history.close()


def test_slow_reader_never_holds_the_writer_or_its_log(tmp_path: Path) -> None:
    history = filled(tmp_path, 2000)
    reader = SqliteReader.open(tmp_path)
    walk = reader.events()
    assert next(walk).id == 1
    for start in range(2001, 12_001, 500):
        history.append([event(number) for number in range(start, start + 500)])
    assert (tmp_path / (FILE + "-wal")).stat().st_size < 6 << 20
    assert [stored.id for stored in walk] == list(range(2, 12_001))
    reader.close()
    history.close()


def test_replaced_file_is_noticed_by_who_follows(tmp_path: Path) -> None:
    filled(tmp_path, 1).close()
    reader = SqliteReader.open(tmp_path)
    (tmp_path / FILE).rename(tmp_path / "aside")
    with pytest.raises(StoreError) as caught:
        reader.changed()
    assert caught.value.trouble is Trouble.MISSING
    filled(tmp_path, 1).close()
    with pytest.raises(StoreError, match="replaced"):
        reader.changed()
    reader.close()


def test_row_that_cannot_be_read_is_counted_and_hides_no_other(tmp_path: Path) -> None:
    history = filled(tmp_path, 5)
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("UPDATE event SET body = x'00' WHERE id = 2")
        other.execute("UPDATE name SET text = CAST(x'ff' AS TEXT) WHERE text = 'ModuleLoaded'")
        other.execute("INSERT INTO name (text) VALUES ('ModuleLoaded')")
        other.execute("UPDATE event SET type = (SELECT id FROM name WHERE text = 'ModuleLoaded') WHERE id <> 4")
    other.close()
    reader = SqliteReader.open(tmp_path)
    assert [stored.id for stored in reader.events()] == [1, 3, 5]
    assert reader.unreadable == 2
    reader.close()
    history.close()


@pytest.mark.parametrize(
    ("content", "trouble"),
    [(b"", Trouble.MISSING), (b"no database at all, but long enough" * 100, Trouble.CORRUPT), (None, Trouble.MISSING)],
)
def test_what_is_no_history_is_said_to_be_none(tmp_path: Path, content: bytes | None, trouble: Trouble) -> None:
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StoreError) as caught:
        SqliteReader.open(tmp_path)
    assert caught.value.trouble is trouble
    assert FILE in str(caught.value)


def test_file_when_its_schema_quotes_what_is_no_text_then_the_history_is_said_to_be_damaged(tmp_path: Path) -> None:
    with closing(filled(tmp_path, 3)):
        pass
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE \xbf\xff\xfeLE"))
    with pytest.raises(StoreError) as caught:
        SqliteReader.open(tmp_path)
    assert caught.value.trouble is Trouble.CORRUPT


def test_file_when_sqlite_finds_no_memory_for_its_schema_then_the_history_is_in_trouble(tmp_path: Path) -> None:
    # Found by fuzzing: SQLITE_NOMEM, for which sqlite3 raises MemoryError.
    damaged = Path(__file__).parents[1] / "fuzz/corpus/store_file/found-7071a8496b8dbdd1"
    (tmp_path / FILE).write_bytes(damaged.read_bytes())
    with pytest.raises(StoreError) as caught:
        SqliteReader.open(tmp_path)
    assert caught.value.trouble is Trouble.BROKEN


@pytest.mark.parametrize("value", ["NULL", "7", "x'7b7d'"])
def test_checkpoint_when_its_body_is_no_text_then_it_is_left_out(tmp_path: Path, value: str) -> None:
    with closing(filled(tmp_path, 1)) as history:
        history.append([], {"baseline": {"drift": []}, "taint": {}})
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'checkpoint'")
    connection.commit()
    connection.close()
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute(f"UPDATE checkpoint SET body = {value} WHERE section = 'taint'")
    connection.commit()
    connection.close()
    with closing(SqliteReader.open(tmp_path)) as reader:
        assert reader.load_checkpoints(None) == {"baseline": {"drift": []}}


def test_directory_with_any_name_can_be_opened(tmp_path: Path) -> None:
    odd = tmp_path / "a?b#c%20d e\udcff"
    history = SqliteHistory(odd, BOOT)
    history.append([event(1)])
    reader = SqliteReader.open(odd)
    assert len(list(reader.events())) == 1
    reader.close()
    history.close()


@pytest.mark.parametrize("steps", [1, 2**31 - 1], ids=["within a statement", "between two events"])
def test_query_when_it_takes_longer_than_it_may_then_it_is_given_up_and_the_reader_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    filled(tmp_path, 50, mixed).close()
    reader = SqliteReader.open(tmp_path)
    monkeypatch.setattr("kmodmon.store.reader._STEPS", steps)
    with pytest.raises(StoreError) as caught:
        list(reader.events(EventQuery(seconds=-1.0)))
    assert caught.value.trouble is Trouble.SLOW
    assert len(list(reader.events(EventQuery(seconds=600.0)))) == len(list(reader.events())) == 50
    reader.close()
