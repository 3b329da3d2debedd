"""Writing the SQLite history: one writer, one transaction for each batch, retention in small steps."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kmodmon.events.codec import ShapeError, canonical_json
from kmodmon.events.event import Event, StoredEvent
from kmodmon.store.body import pack
from kmodmon.store.chain import GENESIS, Link
from kmodmon.store.database import FILE, open_writer, take_lock
from kmodmon.store.error import Refused, SqliteErrors, StoreError, Trouble
from kmodmon.store.interface import Pruned, RetentionLimits
from kmodmon.store.reader import SEVERITIES, SqliteReader
from kmodmon.store.row import HistoryRow, chained, stored
from kmodmon.types.units import JsonObject, Usec

STEP_ROWS = 1000  # the most rows that one step of retention removes; batches are written between steps
STEP_PAGES = 256  # the most pages that one step returns to the file system
SLACK_USEC = 86_400_000_000  # an event dated more than a day in the future was dated by a wrong clock
_NAMES = 4096  # the most ids of names that are kept in memory
_SEVERITY = {severity.value: number for number, severity in enumerate(SEVERITIES)}


class SqliteHistory(SqliteReader):
    """The history of a state directory, open for writing by one thread at a time; raises only StoreError."""

    def __init__(self, directory: Path, boot_id: str, *, after: Link = GENESIS, busy_seconds: float = 2.0) -> None:
        """Open the history or create it; a new file continues the chain `after` a link, so that ids keep rising."""
        self.boot_id = boot_id
        self._lock = take_lock(directory)
        try:
            super().__init__(directory / FILE, open_writer(directory / FILE, busy_seconds))
        except StoreError:
            os.close(self._lock)
            raise
        self._name_ids: dict[tuple[str, str], int] = {}  # by table and text
        self._written: dict[str, bytes] = {}  # digests of the checkpoints that are in the table, by section
        self._continue_after(after)

    def close(self) -> None:
        """Close the file and release the lock; SQLite then moves its log into the file if no reader is left."""
        try:
            super().close()
        finally:
            os.close(self._lock)

    def append(
        self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject] | None = None
    ) -> tuple[StoredEvent, ...]:
        """Number, link and store events and checkpoints: when this returns all of them are on disk, else none is."""
        self._check_identity()
        documents = self._documents(checkpoints or {})
        if not events and not documents:
            return ()
        rows: tuple[HistoryRow, ...] = ()
        with self._store_errors():
            try:
                with self._transaction():
                    rows = self._chain(events, self._required_link("head"))
                    name_ids = self._insert(rows)
                    self._write_checkpoints(documents)
            except SqliteErrors:
                if not self._was_committed(rows):
                    raise
                name_ids = {}
        self._keep_name_ids(name_ids)
        self._written.update({section: _digest(text) for section, text in documents.items()})
        return tuple(stored(row, event) for row, event in zip(rows, events, strict=True))

    def prune(self, retention: RetentionLimits, now: Usec | None) -> Pruned:
        """Remove at most STEP_ROWS of the oldest events in one short transaction; the newest event always stays."""
        with self._store_errors():
            last = self._last_to_remove(retention, now)
            if last is None:
                return Pruned.DONE
            with self._transaction():
                self._remove_until(last)
            if self._number("PRAGMA freelist_count") > STEP_PAGES:  # fewer are soon used again
                self._connection.execute(f"PRAGMA incremental_vacuum({STEP_PAGES})").fetchall()
            return Pruned.MORE

    def _continue_after(self, after: Link) -> None:
        with self._store_errors():
            if after.id and self._required_link("head").id == 0:
                with self._transaction():
                    self._connection.execute("UPDATE chain SET id = ?, hash = ?", after)

    def _required_link(self, name: str) -> Link:
        link = self._link(name)
        if link is None:  # a file without it was tampered with: it is kept as evidence, not repaired
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
        # Writes rows and head; gives the new ids of names, which are valid once the transaction is committed.
        name_ids: dict[tuple[str, str], int] = {}

        def name_id(table: str, text: str) -> int:
            key = (table, text)
            row_id = self._name_ids.get(key) or name_ids.get(key)
            if row_id is None:
                self._connection.execute(f"INSERT OR IGNORE INTO {table} (text) VALUES (?)", (text,))
                (row_id,) = self._connection.execute(f"SELECT id FROM {table} WHERE text = ?", (text,)).fetchone()
                name_ids[key] = row_id
            return row_id

        self._connection.executemany(
            "INSERT INTO event (id, realtime_usec, monotonic_usec, type, module, boot, severity, body, prev_hash, hash)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    row.id,
                    row.realtime_usec,
                    row.monotonic_usec,
                    name_id("name", row.type),
                    None if row.module is None else name_id("module", row.module),
                    name_id("name", row.boot_id),
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
        return name_ids

    def _write_checkpoints(self, documents: Mapping[str, str]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO checkpoint (section, boot_id, body) VALUES (?, ?, ?)",
            [(section, self.boot_id, text) for section, text in documents.items()],
        )

    def _was_committed(self, rows: Sequence[HistoryRow]) -> bool:
        # COMMIT may report an error although it took effect; the batch would then be written twice.
        try:
            head = self._link("head")
        except SqliteErrors:
            return False
        return bool(rows) and head == Link(rows[-1].id, rows[-1].hash)

    def _keep_name_ids(self, name_ids: Mapping[tuple[str, str], int]) -> None:
        if len(self._name_ids) + len(name_ids) > _NAMES:
            self._name_ids.clear()
        self._name_ids.update(name_ids)

    def _last_to_remove(self, retention: RetentionLimits, now: Usec | None) -> Link | None:
        # The newest of the events that one step removes; None: no event is too old, and the file is not too large.
        head, anchor = self._required_link("head"), self._required_link("anchor")
        count = min(head.id - anchor.id - 1, STEP_ROWS)
        oldest: list[tuple[int, int, bytes]] = self._connection.execute(
            "SELECT id, realtime_usec, hash FROM event WHERE id < ? ORDER BY id LIMIT ?", (head.id, max(count, 0))
        ).fetchall()
        excess = max(self._count_too_old(oldest, retention, now), self._count_excess(retention, head.id - anchor.id))
        excess = min(excess, len(oldest))
        return Link(oldest[excess - 1][0], oldest[excess - 1][2]) if excess else None

    def _count_too_old(
        self, oldest: Sequence[tuple[int, int, bytes]], retention: RetentionLimits, now: Usec | None
    ) -> int:
        """How many of the oldest rows are too old, up to the first that is not.

        A row dated in the future was dated by a wrong clock, and counts as too old, because otherwise it would keep the
        rows after it. If the newest row is dated in the future, the present clock may be wrong, and no row is too old.
        """
        if retention.age_usec is None or now is None:
            return 0
        newest = self._connection.execute("SELECT realtime_usec FROM event ORDER BY id DESC LIMIT 1").fetchone()
        if newest is None or newest[0] > now + SLACK_USEC:
            return 0
        for index, (_, realtime, _) in enumerate(oldest):
            if now - retention.age_usec <= realtime <= now + SLACK_USEC:
                return index
        return len(oldest)

    def _count_excess(self, retention: RetentionLimits, events: int) -> int:
        # How many events to remove so that the file fits the limit, if all have the same size.
        if retention.size_bytes is None or events == 0:
            return 0
        pages = self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")
        used = pages * self._number("PRAGMA page_size")
        excess_bytes = used - retention.size_bytes
        return 0 if excess_bytes <= 0 else 1 + excess_bytes * events // used

    def _remove_until(self, last: Link) -> None:
        modules: list[tuple[int, str]] = self._connection.execute(
            "SELECT id, text FROM module WHERE id IN (SELECT module FROM event WHERE id <= ?)", (last.id,)
        ).fetchall()
        self._connection.execute("DELETE FROM event WHERE id <= ?", (last.id,))
        self._connection.execute("UPDATE chain SET id = ?, hash = ? WHERE name = 'anchor'", last)
        for row_id, text in modules:
            deleted = self._connection.execute(
                "DELETE FROM module WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE module = ?1)", (row_id,)
            )
            if deleted.rowcount:
                self._name_ids.pop(("module", text), None)

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
