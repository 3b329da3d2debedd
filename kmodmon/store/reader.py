"""Queries of the SQLite history.

Rows are read a page at a time, each page in a short read transaction, because a long one would keep SQLite from
truncating its write-ahead log.
"""

import heapq
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from kmodmon.events.codec import ShapeError, object_from_json, parse_json
from kmodmon.events.event import Severity, StoredEvent
from kmodmon.events.query import EVERYTHING, EventQuery
from kmodmon.store.body import unpack
from kmodmon.store.chain import GENESIS, Link, Problem, ProblemKind, Verifier
from kmodmon.store.database import FILE, Identity, Opened, identity_of, open_reader
from kmodmon.store.error import SqliteErrors, StoreError, Trouble, of_sqlite
from kmodmon.store.interface import Summary
from kmodmon.store.links import LINKED, Ends, read_ends
from kmodmon.store.row import NO_HASH, HistoryRow, read_back
from kmodmon.types.units import JsonObject

if TYPE_CHECKING:
    from kmodmon.store.seal import Seal

SEVERITIES = tuple(Severity)  # the number in the table is the index here: append only
_FIRST_PAGE, _FULL_PAGE, _VERIFY_PAGE = 32, 512, 2048
_STEPS = 10_000  # of SQLite's virtual machine between two looks at the clock: less than a millisecond
_LEAST, _MOST = -(2**63), 2**63 - 1

_COLUMNS = (
    "SELECT e.id, b.text, e.realtime_usec, e.monotonic_usec, t.text, e.severity, m.text, e.body, e.prev_hash, e.hash, "
)
_LINK_COLUMNS = "e.prev_kept_hash, e.provokable IS NOT NULL"
_NO_LINK_COLUMNS = "NULL, 0"  # a file of an older format has no provokable row
# LEFT JOIN keeps `event` the outermost table, and gives a row also when its names were removed.
_JOINS = (
    "LEFT JOIN name AS b ON b.id = e.boot LEFT JOIN name AS t ON t.id = e.type LEFT JOIN module AS m ON m.id = e.module"
)


class SqliteReader:
    """One connection for reading, used by one thread at a time."""

    def __init__(self, path: Path, opened: Opened) -> None:
        self.path = path
        self.note = opened.note
        self.unreadable = 0
        self.fresh = opened.fresh
        self.live = opened.live
        self._connection = opened.connection
        self._identity: Identity = opened.identity
        self._version = opened.version
        self._columns = _COLUMNS + (_LINK_COLUMNS if opened.version >= LINKED else _NO_LINK_COLUMNS)

    @classmethod
    def open(cls, directory: Path) -> "SqliteReader":
        """Open the history of a state directory, without writing there; raises StoreError."""
        path = directory / FILE
        return cls(path, open_reader(path))

    def close(self) -> None:
        """Close the file."""
        with self._store_errors():
            self._connection.close()

    def events(self, query: EventQuery = EVERYTHING) -> Iterator[StoredEvent]:
        """Give the events that match; rows that this version cannot read are skipped and counted."""
        events = islice(self._readable(query), query.limit)
        return events if query.seconds is None else self._in_time(events, query.seconds)

    def _in_time(self, events: Iterator[StoredEvent], seconds: float) -> Iterator[StoredEvent]:
        """The same events; raises StoreError SLOW if they take longer, also within one statement of SQLite."""
        end = time.monotonic() + seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        try:
            for event in events:
                if time.monotonic() > end:
                    raise StoreError(Trouble.SLOW, self.path, f"the query took longer than {seconds:g} s")
                yield event
        finally:
            self._connection.set_progress_handler(None, _STEPS)

    def newest_link(self) -> Link | None:
        """Id and hash of the newest event; None: the file has no head."""
        with self._store_errors():
            return self._ends().head

    def ends(self) -> Ends:
        """The ends of the chain, and what retention removed."""
        with self._store_errors():
            return self._ends()

    def hash_of(self, row_id: int) -> bytes | None:
        """The hash of one event; None: it is not there."""
        with self._store_errors():
            row = self._connection.execute("SELECT hash FROM event WHERE id = ?", (_clamped(row_id),)).fetchone()
        match row:
            case None:
                return None
            case (bytes(row_hash),):
                return row_hash
            case _:
                return b""  # edited: no claim agrees with it

    def sealed(self, series: bytes) -> "tuple[Ends, list[Seal]]":
        """The ends of the chain, and the seals of one verification key by epoch, of the same moment."""
        from kmodmon.store.seal import rows_of, seals_of  # for one command only

        with self._store_errors(), self._snapshot():
            rows = rows_of(self._connection, series) if self._version >= LINKED else []
            return self._ends(), list(seals_of(series, rows))

    def load_checkpoints(self, boot_id: str | None) -> Mapping[str, JsonObject]:
        """The newest checkpoints of a boot (None: of any boot), by section; what is not a JSON object is left out."""
        with self._store_errors():
            rows: list[tuple[object, object]] = self._connection.execute(
                "SELECT section, body FROM checkpoint WHERE ?1 IS NULL OR boot_id = ?1", (boot_id,)
            ).fetchall()
        documents: dict[str, JsonObject] = {}
        for section, text in rows:
            if not (isinstance(section, str) and isinstance(text, str)):
                continue  # an edited file may hold any type in any column
            try:
                documents[section] = object_from_json(parse_json(text, section), section)
            except ShapeError:
                continue  # as if there were none: the daemon reads those facts from the kernel again
        return documents

    def changed(self) -> int:
        """A number that changes when another connection wrote; raises StoreError MISSING when the file was replaced."""
        self._check_identity()
        with self._store_errors():
            return self._number("PRAGMA data_version")

    def summary(self) -> Summary:
        """How many events there are, and the bytes of the file and its write-ahead log."""
        with self._store_errors():
            ends = self._ends()
        size = sum(_size(self.path.with_name(self.path.name + suffix)) for suffix in ("", "-wal"))
        return Summary(events=ends.events, bytes=size, thinned=ends.thinned_events)

    def verify(self) -> Iterator[Problem]:
        """Check rows, anchor, head, and SQLite's own structures; gives the problems while it reads."""
        try:
            yield from self._verify()
            with self._store_errors():
                lines = self._connection.execute("PRAGMA integrity_check(20)").fetchall()
            for (text,) in lines:
                if text != "ok":
                    yield Problem(kind=ProblemKind.INDEX, first=0, last=0, text=f"the file: {text}")
        except StoreError as error:
            if error.trouble is not Trouble.CORRUPT:
                raise
            yield Problem(kind=ProblemKind.DAMAGED, first=0, last=0, text=f"the file is damaged: {error.why}")

    def _verify(self) -> Iterator[Problem]:
        verifier: Verifier | None = None
        cursor = _LEAST
        while True:
            with self._store_errors(), self._snapshot():
                ends = self._ends()
                rows = self._page("NOT INDEXED", "e.id > ?", (cursor,), "ASC", _VERIFY_PAGE)
            if verifier is None:
                verifier = Verifier(ends.removed(_link_before(rows)))
                if ends.anchor is None:
                    yield Problem(kind=ProblemKind.ANCHOR, first=0, last=0, text="the anchor of the chain is missing")
            verifier.skip_to(ends.removed(verifier.removed.anchor))
            for row in rows:
                yield from verifier.row(row)
            if len(rows) < _VERIFY_PAGE:
                yield from verifier.end(ends.head, ends.head_kept)
                return
            cursor = rows[-1].id

    def _readable(self, query: EventQuery) -> Iterator[StoredEvent]:
        for row in self._rows(query):
            try:
                yield read_back(row)
            except ShapeError:
                self.unreadable += 1

    def _rows(self, query: EventQuery) -> Iterator[HistoryRow]:
        # The rows in the order of the query, by the index of modules, or those of the types merged, or by id.
        with self._store_errors():
            low, high = self._bounds(query)
            module = None if query.module is None else self._id_of("module", query.module)
            types = [self._id_of("name", kind) for kind in query.types]
        if query.module is not None:
            among = ",".join(str(kind) for kind in types if kind is not None) or "-1"
            only = f" AND e.type IN ({among})" if query.types else ""
            return self._pages("INDEXED BY event_module", f"e.module = ?{only}", (module,), query, (low, high))
        if not query.types:
            return self._pages("NOT INDEXED", "1", (), query, (low, high))
        streams = [self._pages("INDEXED BY event_type", "e.type = ?", (kind,), query, (low, high)) for kind in types]
        return heapq.merge(*streams, key=lambda row: row.id, reverse=query.newest_first)

    def _bounds(self, query: EventQuery) -> tuple[int, int]:
        # The lowest id (exclusive) and the highest (inclusive) that can match, from the index of times alone. The wall
        # clock may step back, so times do not rise with ids: these bounds only narrow the scan, and each row is still
        # compared with the times of the query.
        low, high = query.after_id, _MOST
        if query.since_usec is not None:
            low = max(low, self._outermost_id("min", ">=", query.since_usec, _MOST) - 1)
        if query.until_usec is not None:
            high = self._outermost_id("max", "<", query.until_usec, _LEAST)
        return _clamped(low), high

    def _outermost_id(self, function: str, compare: str, moment: int, without: int) -> int:
        (row_id,) = self._connection.execute(
            f"SELECT {function}(id) FROM event INDEXED BY event_realtime WHERE realtime_usec {compare} ?",
            (_clamped(moment),),
        ).fetchone()
        return without if row_id is None else int(row_id)

    def _pages(
        self, index: str, condition: str, values: tuple[int | None, ...], query: EventQuery, ids: tuple[int, int]
    ) -> Iterator[HistoryRow]:
        since = _clamped(_LEAST if query.since_usec is None else query.since_usec)
        until = _clamped(_MOST if query.until_usec is None else query.until_usec)
        where = f"{condition} AND e.id > ? AND e.id <= ? AND e.realtime_usec >= ? AND e.realtime_usec < ?"
        order = "DESC" if query.newest_first else "ASC"
        low, high = ids
        size = _FIRST_PAGE
        while True:
            with self._store_errors():
                rows = self._page(index, where, (*values, low, high, since, until), order, size)
            yield from rows
            if len(rows) < size:
                return
            low, high = (low, rows[-1].id - 1) if query.newest_first else (rows[-1].id, high)
            size = _FULL_PAGE

    def _page(self, index: str, where: str, values: tuple[int | None, ...], order: str, size: int) -> list[HistoryRow]:
        statement = f"{self._columns} FROM event AS e {index} {_JOINS} WHERE {where} ORDER BY e.id {order} LIMIT {size}"
        return [_row(values) for values in self._connection.execute(statement, values)]

    def _ends(self) -> Ends:
        return read_ends(self._connection, self._version)

    def _id_of(self, table: str, text: str) -> int | None:
        try:
            row = self._connection.execute(f"SELECT id FROM {table} WHERE text = ?", (text,)).fetchone()
        except UnicodeEncodeError:  # a lone surrogate: no name in the table can hold one
            return None
        return None if row is None else int(row[0])

    def _number(self, statement: str) -> int:
        return int(self._connection.execute(statement).fetchone()[0])

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _check_identity(self) -> None:
        if identity_of(self.path) != self._identity:
            raise StoreError(Trouble.MISSING, self.path, "was replaced by another file")

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        try:
            yield
        except SqliteErrors as error:
            raise of_sqlite(error, self.path) from None


def _row(values: tuple[object, ...]) -> HistoryRow:
    # A row with values that kmodmon never writes becomes one that verifies as edited.
    match values:
        case (
            int(row_id), str(boot), int(realtime), int(monotonic), str(kind), int(severity), str() | None as module,
            bytes(packed), bytes(prev_hash), bytes(row_hash), bytes() | None as kept_hash, int(provokable),
        ) if 0 <= severity < len(SEVERITIES):  # fmt: skip
            try:
                body = unpack(packed)
            except ValueError:
                body = b""
            level = SEVERITIES[severity].value
            return HistoryRow(
                row_id, boot, realtime, monotonic, kind, level, module, body, prev_hash, row_hash, kept_hash,
                provokable != 0,
            )  # fmt: skip
        case (int(row_id), *_):
            return HistoryRow(row_id, "", 0, 0, "", "", None, b"", NO_HASH, NO_HASH)
        case _:
            raise AssertionError("the first column is the integer primary key")


def _clamped(number: int) -> int:
    return min(max(number, _LEAST), _MOST)


def _link_before(rows: list[HistoryRow]) -> Link:
    return Link(rows[0].id - 1, rows[0].prev_hash) if rows else GENESIS


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
