"""Writing the SQLite history: one writer, one transaction for each batch, retention in small steps."""

import hashlib
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kmodmon.events.codec import ShapeError, canonical_json
from kmodmon.events.event import Event, StoredEvent
from kmodmon.store.body import pack
from kmodmon.store.chain import GENESIS, Link
from kmodmon.store.database import FILE, KEY_FILE, open_writer, take_lock
from kmodmon.store.error import Refused, SqliteErrors, StoreError, Trouble
from kmodmon.store.interface import Pruned, RetentionLimits, SealCause
from kmodmon.store.links import write_links
from kmodmon.store.reader import SEVERITIES, SqliteReader
from kmodmon.store.retention import ROW_BYTES, Retention
from kmodmon.store.row import HistoryRow, chained, stored
from kmodmon.types.units import JsonObject, Usec

if TYPE_CHECKING:
    from kmodmon.store.seal import Sealer

log = logging.getLogger(__name__)

STEP_PAGES = 256  # the most pages that one step returns to the file system
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
                    ends = self._ends()
                    head, kept = self._required(ends.head, "head"), self._required(ends.head_kept, "head")
                    rows = self._chain(events, head, kept)
                    name_ids = self._insert(rows)
                    self._write_checkpoints(documents)
            except SqliteErrors:
                if not self._was_committed(rows):
                    raise
                name_ids = {}
        self._keep_name_ids(name_ids)
        self._written.update({section: _digest(text) for section, text in documents.items()})
        return tuple(stored(row, event) for row, event in zip(rows, events, strict=True))

    def seal(self, cause: SealCause, now: Usec) -> bool:
        """Write the seal of this epoch; only when it is on disk, the key is replaced by that of the next epoch."""
        if not self.path.with_name(KEY_FILE).exists():
            return False
        with self._store_errors(), self._sealed(cause, now):
            return True

    def prune(self, retention: RetentionLimits, now: Usec | None) -> Pruned:
        """Remove at most STEP_ROWS events in one short transaction; the newest event always stays."""
        with self._store_errors():
            ends = self._ends()
            anchor, head = self._required(ends.anchor, "anchor"), self._required(ends.head, "head")
            step = Retention(self._connection, retention, now)
            thin = step.next_to_thin(ends, head)
            last = None if thin else step.next_to_remove(ends, anchor, head)
            if thin is None and last is None:
                return Pruned.DONE
            with self._sealed(SealCause.RETENTION, Usec(time.time_ns() // 1000)):
                unused = step.thin(*thin) if thin else []
                unused += step.remove_until(last, anchor) if last else []
            for text in unused:
                self._name_ids.pop(("module", text), None)
            if self._number("PRAGMA freelist_count") > STEP_PAGES:  # fewer are soon used again
                self._connection.execute(f"PRAGMA incremental_vacuum({STEP_PAGES})").fetchall()
            return Pruned.MORE

    def _continue_after(self, after: Link) -> None:
        with self._store_errors():
            if after.id and self._required(self._ends().head, "head").id == 0:
                with self._transaction():
                    self._connection.execute("UPDATE chain SET id = ?, hash = ?", after)

    def _required(self, link: Link | None, name: str) -> Link:
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

    def _chain(self, events: Iterable[Event], head: Link, kept: Link) -> tuple[HistoryRow, ...]:
        rows: list[HistoryRow] = []
        for index, event in enumerate(events):
            try:
                kept_hash = None if kept == head else kept.hash
                row = chained(event, head.id + 1, self.boot_id, head.hash, kept_hash)
            except ShapeError as error:
                raise Refused(self.path, str(error), index=index) from None
            rows.append(row)
            head = Link(row.id, row.hash)
            kept = kept if row.provokable else head
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
            "INSERT INTO event (id, realtime_usec, monotonic_usec, type, module, boot, severity, body, prev_hash, hash,"
            " prev_kept_hash, provokable) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    row.id,
                    row.realtime_usec,
                    row.monotonic_usec,
                    name_id("name", row.type),
                    None if row.module is None else name_id("module", row.module),
                    name_id("name", row.boot_id),
                    _SEVERITY[row.severity],
                    packed,
                    row.prev_hash,
                    row.hash,
                    row.prev_kept_hash,
                    len(packed) + ROW_BYTES if row.provokable else None,
                )
                for row in rows
                for packed in (pack(row.body),)
            ],
        )
        write_links(self._connection, _new_ends(rows))
        return name_ids

    def _write_checkpoints(self, documents: Mapping[str, str]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO checkpoint (section, boot_id, body) VALUES (?, ?, ?)",
            [(section, self.boot_id, text) for section, text in documents.items()],
        )

    def _was_committed(self, rows: Sequence[HistoryRow]) -> bool:
        # COMMIT may report an error although it took effect; the batch would then be written twice.
        try:
            head = self._ends().head
        except SqliteErrors:
            return False
        return bool(rows) and head == Link(rows[-1].id, rows[-1].hash)

    def _keep_name_ids(self, name_ids: Mapping[tuple[str, str], int]) -> None:
        if len(self._name_ids) + len(name_ids) > _NAMES:
            self._name_ids.clear()
        self._name_ids.update(name_ids)

    @contextmanager
    def _sealed(self, cause: SealCause, now: Usec) -> Iterator[None]:
        # A transaction whose result is sealed with it, if sealing was set up. A key file that cannot be used costs the
        # seal, which verification notices, and nothing else.
        sealer = self._sealer()
        with self._transaction():
            yield
            if sealer is not None:
                sealer.write(cause, now, self._ends())
        if sealer is not None:
            try:
                sealer.done()
            except StoreError as error:
                log.error("the key of the seal could not be replaced: %s", error)

    def _sealer(self) -> "Sealer | None":
        path = self.path.with_name(KEY_FILE)
        if not path.exists():
            return None
        from kmodmon.store.seal import Sealer  # most hosts have not set up sealing

        try:
            return Sealer(path, self._connection)
        except StoreError as error:
            log.error("the history is not sealed: %s", error)
            return None

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


def _new_ends(rows: Sequence[HistoryRow]) -> dict[str, Link]:
    newest = {
        "head": next(reversed(rows), None),
        "head_kept": next((row for row in reversed(rows) if not row.provokable), None),
    }
    links = {name: None if row is None else Link(row.id, row.hash) for name, row in newest.items()}
    return {name: link for name, link in links.items() if link is not None}


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
