"""Asking the SQLite history. Every page is one short read, so that neither the writer nor its log ever waits for us."""

import heapq
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from kmodmon.events.codec import ShapeError, object_from_json, parse_json
from kmodmon.events.event import Severity, StoredEvent
from kmodmon.events.query import EVERYTHING, EventQuery
from kmodmon.store.body import unpack
from kmodmon.store.chain import Link, Problem, ProblemKind, Verifier
from kmodmon.store.database import FILE, Identity, Opened, identity_of, open_reader
from kmodmon.store.error import StoreError, Trouble, of_sqlite
from kmodmon.store.interface import Summary
from kmodmon.store.row import NO_HASH, HistoryRow, read_back
from kmodmon.types.units import JsonObject

SEVERITIES = tuple(Severity)  # the number in the table is the place here: additions at the end only
_FIRST_PAGE, _FULL_PAGE, _VERIFY_PAGE = 32, 512, 2048
_LEAST, _MOST = -(2**63), 2**63 - 1

_COLUMNS = (
    "SELECT e.id, b.text, e.realtime_usec, e.monotonic_usec, t.text, e.severity, m.text, e.body, e.prev_hash, e.hash "
)
# LEFT JOIN keeps `event` outermost, and a row whose names were removed is still seen.
_JOINS = (
    "LEFT JOIN name AS b ON b.id = e.boot LEFT JOIN name AS t ON t.id = e.type LEFT JOIN module AS m ON m.id = e.module"
)


class SqliteReader:
    """One connection that only reads; used by one thread at a time."""

    def __init__(self, path: Path, opened: Opened) -> None:
        self.path = path
        self.note = opened.note
        self.unreadable = 0
        self.fresh = opened.fresh
        self.live = opened.live
        self._connection = opened.connection
        self._identity: Identity = opened.identity

    @classmethod
    def open(cls, directory: Path) -> "SqliteReader":
        """Open the history of a state directory without writing anything there; raises StoreError."""
        path = directory / FILE
        return cls(path, open_reader(path))

    def close(self) -> None:
        """Let go of the file."""
        with self._troubles():
            self._connection.close()

    def events(self, query: EventQuery = EVERYTHING) -> Iterator[StoredEvent]:
        """Give the events asked for; rows that this version cannot read are passed over and counted."""
        return islice(self._readable(query), query.limit)

    def last(self, boot_id: str | None = None) -> StoredEvent | None:
        """The newest event (of one boot); None: there is none, or it cannot be read."""
        with self._troubles():
            boot = None if boot_id is None else self._id_of("name", boot_id)
            if boot is None and boot_id is not None:
                return None  # nothing was recorded during that boot
            condition, values = ("1", ()) if boot is None else ("e.boot = ?", (boot,))
            rows = self._page("NOT INDEXED", condition, values, "DESC", 1)
        try:
            return read_back(rows[0]) if rows else None
        except ShapeError:
            self.unreadable += 1
            return None

    def newest_link(self) -> Link | None:
        """The head of the chain; None: it is missing."""
        with self._troubles():
            return self._link("head")

    def load_checkpoints(self, boot_id: str | None) -> Mapping[str, JsonObject]:
        """What was last remembered during that boot (None: during any), by section; what is no object is left out."""
        with self._troubles():
            found: list[tuple[str, str]] = self._connection.execute(
                "SELECT section, body FROM checkpoint WHERE ?1 IS NULL OR boot_id = ?1", (boot_id,)
            ).fetchall()
        documents: dict[str, JsonObject] = {}
        for section, text in found:
            try:
                documents[section] = object_from_json(parse_json(text, section), section)
            except ShapeError:
                continue  # as if it had never been written: the daemon then reads anew what it would have known
        return documents

    def changed(self) -> int:
        """A number that differs after somebody else wrote; raises StoreError MISSING when the file was replaced."""
        if identity_of(self.path) != self._identity:
            raise StoreError(Trouble.MISSING, self.path, "was replaced by another file")
        with self._troubles():
            return self._number("PRAGMA data_version")

    def summary(self) -> Summary:
        """The size of the history; the log counts as well."""
        with self._troubles():
            anchor, head = self._link("anchor"), self._link("head")
            oldest = self._connection.execute("SELECT realtime_usec FROM event ORDER BY id LIMIT 1").fetchone()
        size = sum(_size(self.path.with_name(self.path.name + suffix)) for suffix in ("", "-wal"))
        return Summary(
            events=head.id - anchor.id if head and anchor else 0,
            bytes=size,
            oldest_usec=None if oldest is None else oldest[0],
        )

    def verify(self) -> Iterator[Problem]:
        """Check every row, anchor, head and index; gives what is wrong as it is found."""
        try:
            yield from self._verify()
            with self._troubles():
                found = [
                    str(text) for (text,) in self._connection.execute("PRAGMA integrity_check(20)") if text != "ok"
                ]
            for text in found:
                yield Problem(kind=ProblemKind.INDEX, first=0, last=0, text=f"the file: {text}")
        except StoreError as error:
            if error.trouble is not Trouble.CORRUPT:
                raise
            yield Problem(kind=ProblemKind.DAMAGED, first=0, last=0, text=f"the file is damaged: {error.why}")

    def _verify(self) -> Iterator[Problem]:
        verifier: Verifier | None = None
        cursor = _LEAST
        while True:
            with self._troubles(), self._snapshot():
                anchor, head = self._link("anchor"), self._link("head")
                rows = self._page("NOT INDEXED", "e.id > ?", (cursor,), "ASC", _VERIFY_PAGE)
            if verifier is None:
                verifier = Verifier(anchor or _before(rows))
                yield from () if anchor else (_no_anchor(),)
            verifier.skip_to(anchor or verifier.anchor)
            for row in rows:
                yield from verifier.row(row)
            if len(rows) < _VERIFY_PAGE:
                yield from verifier.end(head)
                return
            cursor = rows[-1].id

    def _readable(self, query: EventQuery) -> Iterator[StoredEvent]:
        for row in self._rows(query):
            try:
                yield read_back(row)
            except ShapeError:
                self.unreadable += 1

    def _rows(self, query: EventQuery) -> Iterator[HistoryRow]:
        """The rows in order: by the module's index, or by those of the types merged, or by id."""
        with self._troubles():
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
        # The wall clock may go back, so times do not rise with ids: a bound on ids can only be an outer one, and
        # every row is still compared. Both are read from the index of times alone.
        low, high = query.after_id, _MOST
        if query.since_usec is not None:
            low = max(low, self._edge("min", ">=", query.since_usec, _MOST) - 1)
        if query.until_usec is not None:
            high = self._edge("max", "<", query.until_usec, _LEAST)
        return _clamped(low), high

    def _edge(self, which: str, compare: str, moment: int, nothing: int) -> int:
        found = self._connection.execute(
            f"SELECT {which}(id) FROM event INDEXED BY event_realtime WHERE realtime_usec {compare} ?",
            (_clamped(moment),),
        ).fetchone()[0]
        return nothing if found is None else int(found)

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
            with self._troubles():
                order = "DESC" if query.newest_first else "ASC"
                rows = self._page(
                    index, where, (*values, low, high, min(since, _MOST), max(until, _LEAST)), order, size
                )
            yield from rows
            if len(rows) < size:
                return
            low, high = (low, rows[-1].id - 1) if query.newest_first else (rows[-1].id, high)
            size = _FULL_PAGE

    def _page(self, index: str, where: str, values: tuple[int | None, ...], order: str, size: int) -> list[HistoryRow]:
        statement = f"{_COLUMNS} FROM event AS e {index} {_JOINS} WHERE {where} ORDER BY e.id {order} LIMIT {size}"
        return [_row(values) for values in self._connection.execute(statement, values)]

    def _link(self, name: str) -> Link | None:
        found = self._connection.execute("SELECT id, hash FROM chain WHERE name = ?", (name,)).fetchone()
        match found:
            case (int(place), bytes(value)):
                return Link(place, value)
            case _:
                return None

    def _id_of(self, table: str, text: str) -> int | None:
        try:
            found = self._connection.execute(f"SELECT id FROM {table} WHERE text = ?", (text,)).fetchone()
        except UnicodeEncodeError:  # not a text that anything could be called
            return None
        return None if found is None else int(found[0])

    def _number(self, statement: str) -> int:
        return int(self._connection.execute(statement).fetchone()[0])

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise of_sqlite(error, self.path) from None


def _row(values: tuple[object, ...]) -> HistoryRow:
    """A row as it lies in the table; what has been made nonsense of gives a row that verifies as edited."""
    match values:
        case (
            int(place), str(boot), int(realtime), int(monotonic), str(kind), int(severity), str() | None as module,
            bytes(packed), bytes(prev_hash), bytes(own_hash),
        ) if 0 <= severity < len(SEVERITIES):  # fmt: skip
            try:
                body = unpack(packed)
            except ValueError:
                body = b""
            level = SEVERITIES[severity].value
            return HistoryRow(place, boot, realtime, monotonic, kind, level, module, body, prev_hash, own_hash)
        case (int(place), *_):
            return HistoryRow(place, "", 0, 0, "", "", None, b"", NO_HASH, NO_HASH)
        case _:
            raise AssertionError("the first column is the integer primary key")


def _clamped(number: int) -> int:
    return min(max(number, _LEAST), _MOST)


def _before(rows: list[HistoryRow]) -> Link:
    return Link(rows[0].id - 1, rows[0].prev_hash) if rows else Link(0, NO_HASH)


def _no_anchor() -> Problem:
    return Problem(kind=ProblemKind.ANCHOR, first=0, last=0, text="the anchor of the chain is missing")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
