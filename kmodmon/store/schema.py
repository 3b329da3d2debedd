"""The tables, as an append-only list of migrations; `PRAGMA user_version` is how many of them a file has had.

A file with more of them than this version knows was written by a newer kmodmon and is refused, never touched.

event       one row an event. Times first, so that a scan that filters by them touches few bytes. The body is packed
            (body.py); types and boots are numbers of the table `name`, modules of `module`.
module      goes with the last event that names it; its ids are never used twice (AUTOINCREMENT).
chain       rows 'anchor' and 'head' (chain.py).
checkpoint  small JSON documents, written with the events they belong to.
"""

import sqlite3
from pathlib import Path

from kmodmon.store.error import StoreError, Trouble

APPLICATION_ID = 0x6B6D6F64  # "kmod" in the file's header: a database without it is not ours

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
    CREATE TABLE module (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL UNIQUE);
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        realtime_usec INTEGER NOT NULL,
        monotonic_usec INTEGER NOT NULL,
        type INTEGER NOT NULL,
        module INTEGER,
        boot INTEGER NOT NULL,
        severity INTEGER NOT NULL,
        body BLOB NOT NULL,
        prev_hash BLOB NOT NULL,
        hash BLOB NOT NULL
    );
    CREATE INDEX event_realtime ON event (realtime_usec);
    CREATE INDEX event_type ON event (type);
    CREATE INDEX event_module ON event (module) WHERE module IS NOT NULL;
    CREATE TABLE chain (name TEXT PRIMARY KEY, id INTEGER NOT NULL, hash BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE checkpoint (section TEXT PRIMARY KEY, boot_id TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO chain VALUES ('anchor', 0, zeroblob(32)), ('head', 0, zeroblob(32));
    """,
)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """How many migrations the file has had, 0: it is new; raises StoreError for a foreign or newer file."""
    version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (application or tables):
        raise StoreError(Trouble.FOREIGN, path, "is a database of another program")
    if version > len(MIGRATIONS):
        raise StoreError(
            Trouble.NEWER, path, f"has format {version}, this version of kmodmon reads up to {len(MIGRATIONS)}"
        )
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the file from `version` to the newest format, each step in a transaction of its own."""
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
