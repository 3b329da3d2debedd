"""Opening the file: for the one writer, and for readers that may be anybody.

Facts that shape this:
- WAL with synchronous=FULL: one fdatasync a batch. With NORMAL a commit survives SIGKILL but not the loss of the
  kernel, and the events that matter most here are the ones written seconds before a kernel dies. Batches make it five
  syncs a second at the very most, in a thread that nobody waits for.
- POSIX locks: when a process closes *any* descriptor of a file, its locks on it are gone (fcntl(2)). So nothing here
  opens or closes the database file while SQLite has it; the writer's own lock is on a file of its own.
- Readers need the `-wal` and `-shm` files. While the writer lives they are there; after a clean stop they are not, and
  a reader without write permission on the directory cannot make them. Then `immutable=1` reads the file alone: right
  when there is no log, and when there is one its events are missing, which is said.
"""

import fcntl
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from kmodmon.store import schema
from kmodmon.store.error import StoreError, Trouble, of_sqlite, of_system

FILE = "history.sqlite3"
LOCK = "history.lock"
_DIRECTORY_MODE, _FILE_MODE = 0o750, 0o640  # events tell who ran what: for root and the group
_CACHE_KIB = 256
_LOCK_TRIES, _LOCK_PAUSE = 5, 0.01
_WAL_LIMIT = 4 << 20  # what stays of the log after a checkpoint

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection that is ready, and the file that it is open on; `note` is for the reader's user."""

    connection: sqlite3.Connection
    identity: Identity
    note: str = ""
    fresh: bool = False  # made by this opening
    live: bool = True  # what others write shows; False: the file as it was when it was opened


def identity_of(path: Path) -> Identity:
    """Device and inode; raises StoreError when the file is not there."""
    try:
        found = path.stat()
    except OSError as error:
        raise of_system(error, path) from None
    return found.st_dev, found.st_ino


def take_lock(directory: Path) -> int:
    """Be the one writer: make the directory if need be, and hold its lock until the descriptor is closed."""
    path = directory / LOCK
    try:
        directory.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE)
    except OSError as error:
        raise of_system(error, path) from None
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except OSError:
            time.sleep(_LOCK_PAUSE)  # `has_writer` holds it for a moment
    os.close(descriptor)
    raise StoreError(Trouble.LOCKED, path, "another kmodmon writes here")


def has_writer(directory: Path) -> bool:
    """Whether a daemon holds the lock of this history; False also where that cannot be told."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def open_writer(path: Path, busy_seconds: float) -> Opened:
    """Open, or make, the history for writing; the caller holds the lock. Raises StoreError."""
    _make(path)
    connection: sqlite3.Connection | None = None
    try:
        connection = _connect(path, "rw", busy_seconds)
        version = schema.version_of(connection, path)
        _prepare(connection, fresh=version == 0)
        schema.migrate(connection, version)
        return Opened(connection, identity_of(path), fresh=version == 0)
    except (sqlite3.Error, StoreError) as error:
        _abandon(connection)
        raise of_sqlite(error, path) if isinstance(error, sqlite3.Error) else error from None


def open_reader(path: Path, busy_seconds: float = 2.0) -> Opened:
    """Open the history for reading only, in whatever way this user may. Raises StoreError."""
    identity = identity_of(path)
    try:
        return Opened(_read_only(path, "ro", busy_seconds), identity)
    except StoreError as first:
        if first.trouble not in (Trouble.MISSING, Trouble.READ_ONLY, Trouble.BROKEN):
            raise
        connection = _read_only(path, "ro&immutable=1", busy_seconds)
        return Opened(connection, identity, _what_is_missing(path), live=False)


def _make(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _FILE_MODE))  # SQLite would make it 0644
    except FileExistsError:
        return
    except OSError as error:
        raise of_system(error, path) from None


def _read_only(path: Path, mode: str, busy_seconds: float) -> sqlite3.Connection:
    connection: sqlite3.Connection | None = None
    try:
        connection = _connect(path, mode, busy_seconds)
        if schema.version_of(connection, path) == 0:
            raise StoreError(Trouble.MISSING, path, "holds no history yet")
        return connection
    except (sqlite3.Error, StoreError) as error:
        _abandon(connection)
        raise of_sqlite(error, path) if isinstance(error, sqlite3.Error) else error from None


def _what_is_missing(path: Path) -> str:
    try:
        waiting = path.with_name(path.name + "-wal").stat().st_size
    except OSError:
        waiting = 0
    if not waiting:
        return ""
    return (
        f"{path}: the write-ahead log ({waiting} bytes) may not be read by this user, so the newest events are missing"
    )


def _connect(path: Path, mode: str, busy_seconds: float) -> sqlite3.Connection:
    # Transactions are ours (isolation_level None). The writer is made in one thread and used in another, one at a time.
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=32,
    )
    # Text that somebody made invalid must cost one row, not the page it is read with.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _prepare(connection: sqlite3.Connection, *, fresh: bool) -> None:
    if fresh:  # both are kept in the header; auto_vacuum only counts before the first table
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")


def _abandon(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()
