"""The tables, as an append-only list of migrations; `PRAGMA user_version` counts those applied to a file.

A file with a higher number was written by a newer kmodmon: it is refused, and never written to.

event       one row for each event. The times come first, so that a scan that filters by them reads few bytes. The body
            is compressed (body.py); `type` and `boot` are ids of the table `name`, `module` of the table `module`.
module      names of modules; a row is deleted with the last event that names it, and AUTOINCREMENT never reuses its id.
            `provokable` is NULL, or the estimated size in bytes of a row that retention may remove before older ones
            (retention.py); `prev_kept_hash` is NULL where it is the same as `prev_hash` (row.py).
chain       the links 'anchor', 'anchor_kept', 'head', 'head_kept' and 'thinned' (links.py).
seal        one row for each epoch, never removed (seal.py).
checkpoint  one JSON document for each section of the state, written with the events it belongs to.
"""

import sqlite3
from pathlib import Path

from kmodmon.store.error import StoreError, Trouble

APPLICATION_ID = 0x6B6D6F64  # "kmod" in the header of the file; a database without it belongs to another program

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
    """
    ALTER TABLE event ADD COLUMN prev_kept_hash BLOB;
    ALTER TABLE event ADD COLUMN provokable INTEGER;
    CREATE INDEX event_provokable ON event (provokable) WHERE provokable IS NOT NULL;
    ALTER TABLE chain ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
    INSERT INTO chain (name, id, hash) SELECT name || '_kept', id, hash FROM chain;
    INSERT INTO chain (name, id, hash) VALUES ('thinned', 0, zeroblob(32));
    CREATE TABLE seal (
        series BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        realtime_usec INTEGER NOT NULL,
        cause TEXT NOT NULL,
        head INTEGER NOT NULL,
        head_hash BLOB NOT NULL,
        kept INTEGER NOT NULL,
        kept_hash BLOB NOT NULL,
        anchor INTEGER NOT NULL,
        thinned INTEGER NOT NULL,
        mac BLOB NOT NULL,
        PRIMARY KEY (series, epoch)
    ) WITHOUT ROWID;
    """,
)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """How many migrations were applied to the file, 0 for a new one; raises StoreError if it is foreign or newer."""
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
    """Apply the migrations after `version`, each in a transaction of its own."""
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
