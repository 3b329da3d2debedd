"""Writing the SQLite history: one writer, one transaction a batch, retention in small steps."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kmodmon.events.codec import ShapeError, canonical_json
from kmodmon.events.event import Event, StoredEvent
from kmodmon.store.body import pack
from kmodmon.store.chain import GENESIS, Link
from kmodmon.store.database import FILE, identity_of, open_writer, take_lock
from kmodmon.store.error import Refused, StoreError, Trouble
from kmodmon.store.interface import Pruned, RetentionLimits
from kmodmon.store.reader import SEVERITIES, SqliteReader
from kmodmon.store.row import HistoryRow, chained, stored
from kmodmon.types.units import JsonObject, Usec

STEP_ROWS = 1000  # retention removes so many at once, and lets the next batch in between
STEP_PAGES = 256  # and gives back so many pages
SLACK_USEC = 86_400_000_000  # an event dated later than a day from now was dated by a wrong clock
_NAMES = 4096  # numbers of names kept in memory
_SEVERITY = {severity.value: number for number, severity in enumerate(SEVERITIES)}


class SqliteHistory(SqliteReader):
    """The history of a state directory, to be written. Used by one thread at a time; raises StoreError only."""

    def __init__(self, directory: Path, boot_id: str, *, after: Link = GENESIS, busy_seconds: float = 2.0) -> None:
        """Open or make it. A new file goes on `after` that link, so that ids rise when an old one had to be left."""
        self.boot_id = boot_id
        self._lock = take_lock(directory)
        try:
            super().__init__(directory / FILE, open_writer(directory / FILE, busy_seconds))
        except StoreError:
            os.close(self._lock)
            raise
        self._numbers: dict[tuple[str, str], int] = {}
        self._written: dict[str, bytes] = {}  # digests of the documents as they lie in the table
        self._appended_from(after)

    def close(self) -> None:
        """Let go of file and lock; SQLite folds its log into the file when it can."""
        try:
            super().close()
        finally:
            os.close(self._lock)

    def append(
        self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject] | None = None
    ) -> tuple[StoredEvent, ...]:
        """Number, chain and keep events and checkpoints: all of it is on the disk when this returns, or nothing."""
        if identity_of(self.path) != self._identity:
            raise StoreError(Trouble.MISSING, self.path, "was replaced by another file")
        documents = self._documents(checkpoints or {})
        if not events and not documents:
            return ()
        rows: tuple[HistoryRow, ...] = ()
        with self._troubles():
            try:
                with self._transaction():
                    rows = self._chain(events, self._must("head"))
                    numbers = self._insert(rows)
                    self._remember(documents)
            except sqlite3.Error:
                if not self._has(rows):
                    raise
                numbers = {}
        self._keep(numbers)
        self._written.update({section: _digest(text) for section, text in documents.items()})
        return tuple(stored(row, event) for row, event in zip(rows, events, strict=True))

    def prune(self, retention: RetentionLimits, now: Usec | None) -> Pruned:
        """Remove at most a thousand of the oldest events, in one short transaction; the newest event always stays."""
        with self._troubles():
            doomed = self._doomed(retention, now)
            if doomed is None:
                return Pruned.DONE
            with self._transaction():
                self._remove(doomed)
            if self._number("PRAGMA freelist_count") > STEP_PAGES:  # fewer are used again soon
                self._connection.execute(f"PRAGMA incremental_vacuum({STEP_PAGES})").fetchall()
            return Pruned.MORE

    def _appended_from(self, after: Link) -> None:
        with self._troubles():
            if after.id and self._must("head").id == 0:
                with self._transaction():
                    self._connection.execute("UPDATE chain SET id = ?, hash = ?", after)

    def _must(self, name: str) -> Link:
        link = self._link(name)
        if link is None:  # never go on as if nothing had been: the damaged file is evidence
            raise StoreError(Trouble.CORRUPT, self.path, f"the {name} of the chain is missing")
        return link

    def _documents(self, checkpoints: Mapping[str, JsonObject]) -> dict[str, str]:
        documents: dict[str, str] = {}
        for section, document in checkpoints.items():
            try:
                text = canonical_json(document).decode()
            except ShapeError as error:
                raise Refused(self.path, str(error), section=section) from None
            if self._written.get(section) != _digest(text):
                documents[section] = text
        return documents

    def _chain(self, events: Iterable[Event], head: Link) -> tuple[HistoryRow, ...]:
        rows: list[HistoryRow] = []
        for index, event in enumerate(events):
            try:
                row = chained(event, head.id + 1, self.boot_id, head.hash)
            except ShapeError as error:
                raise Refused(self.path, str(error), index=index) from None
            rows.append(row)
            head = Link(row.id, row.hash)
        return tuple(rows)

    def _insert(self, rows: Sequence[HistoryRow]) -> dict[tuple[str, str], int]:
        """Write rows and head; gives the numbers of names that hold once the transaction does."""
        numbers: dict[tuple[str, str], int] = {}

        def number(table: str, text: str) -> int:
            key = (table, text)
            known = self._numbers.get(key) or numbers.get(key)
            if known is None:
                self._connection.execute(f"INSERT OR IGNORE INTO {table} (text) VALUES (?)", (text,))
                (known,) = self._connection.execute(f"SELECT id FROM {table} WHERE text = ?", (text,)).fetchone()
                numbers[key] = known
            return known

        self._connection.executemany(
            "INSERT INTO event (id, realtime_usec, monotonic_usec, type, module, boot, severity, body, prev_hash, hash)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    row.id,
                    row.realtime_usec,
                    row.monotonic_usec,
                    number("name", row.type),
                    None if row.module is None else number("module", row.module),
                    number("name", row.boot_id),
                    _SEVERITY[row.severity],
                    pack(row.body),
                    row.prev_hash,
                    row.hash,
                )
                for row in rows
            ],
        )
        if rows:
            self._connection.execute(
                "UPDATE chain SET id = ?, hash = ? WHERE name = 'head'", (rows[-1].id, rows[-1].hash)
            )
        return numbers

    def _remember(self, documents: Mapping[str, str]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO checkpoint (section, boot_id, body) VALUES (?, ?, ?)",
            [(section, self.boot_id, text) for section, text in documents.items()],
        )

    def _has(self, rows: Sequence[HistoryRow]) -> bool:
        # A COMMIT whose error came after the commit: without this look the batch would be written twice.
        try:
            head = self._link("head")
        except sqlite3.Error:
            return False
        return bool(rows) and head == Link(rows[-1].id, rows[-1].hash)

    def _keep(self, numbers: Mapping[tuple[str, str], int]) -> None:
        if len(self._numbers) + len(numbers) > _NAMES:
            self._numbers.clear()
        self._numbers.update(numbers)

    def _doomed(self, retention: RetentionLimits, now: Usec | None) -> Link | None:
        """The newest of the events that this step removes; None: none is too old, and they are not too many."""
        head, anchor = self._must("head"), self._must("anchor")
        count = min(head.id - anchor.id - 1, STEP_ROWS)
        oldest: list[tuple[int, int, bytes]] = self._connection.execute(
            "SELECT id, realtime_usec, hash FROM event WHERE id < ? ORDER BY id LIMIT ?", (head.id, max(count, 0))
        ).fetchall()
        last = max(self._too_old(oldest, retention, now), self._too_many(retention, head.id - anchor.id))
        last = min(last, len(oldest))
        return Link(oldest[last - 1][0], oldest[last - 1][2]) if last else None

    def _too_old(self, oldest: Sequence[tuple[int, int, bytes]], retention: RetentionLimits, now: Usec | None) -> int:
        """How many of the oldest rows are past their age, up to the first that is not.

        A row dated in the future was dated by a clock that was wrong; it must not protect all that follow. But if the
        newest row is such a one, it is the clock of now that is in doubt, and nothing is too old.
        """
        if retention.age_usec is None or now is None:
            return 0
        newest = self._connection.execute("SELECT realtime_usec FROM event ORDER BY id DESC LIMIT 1").fetchone()
        if newest is None or newest[0] > now + SLACK_USEC:
            return 0
        for place, (_, realtime, _) in enumerate(oldest):
            if now - retention.age_usec <= realtime <= now + SLACK_USEC:
                return place
        return len(oldest)

    def _too_many(self, retention: RetentionLimits, events: int) -> int:
        if retention.size_bytes is None or events == 0:
            return 0
        pages = self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")
        used = pages * self._number("PRAGMA page_size")
        excess = used - retention.size_bytes
        return 0 if excess <= 0 else 1 + excess * events // used

    def _remove(self, doomed: Link) -> None:
        modules: list[tuple[int, str]] = self._connection.execute(
            "SELECT id, text FROM module WHERE id IN (SELECT module FROM event WHERE id <= ?)", (doomed.id,)
        ).fetchall()
        self._connection.execute("DELETE FROM event WHERE id <= ?", (doomed.id,))
        self._connection.execute("UPDATE chain SET id = ?, hash = ? WHERE name = 'anchor'", doomed)
        for number, text in modules:
            gone = self._connection.execute(
                "DELETE FROM module WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE module = ?1)", (number,)
            )
            if gone.rowcount:
                self._numbers.pop(("module", text), None)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
