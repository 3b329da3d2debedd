"""Opening the database file: for the one writer, and for readers of any user.

Facts the code below is written from:

- WAL with synchronous=FULL: one fdatasync for each batch. With NORMAL a commit survives SIGKILL but not a crash of the
  kernel, and the most valuable events are those written seconds before such a crash. Batching limits that to five
  syncs a second, in a thread of their own.
- POSIX locks: when a process closes *any* descriptor of a file, it loses its locks on that file (fcntl(2)). So nothing
  here opens or closes the database file while SQLite has it open; the writer's lock is on a separate file.
- Readers need the `-wal` and `-shm` files. They exist while the writer has the database open, and not after a clean
  stop; a reader without write permission on the directory cannot create them. Such a reader opens the file with
  `immutable=1`, which ignores the log: complete when there is no log, otherwise the newest events are missing, and
  `Opened.note` says so.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from kmodmon.store import schema
from kmodmon.store.error import StoreError, Trouble, of_sqlite, of_system

FILE = "history.sqlite3"
LOCK = "history.lock"
KEY_FILE = "history.seal"  # the key of the present epoch (seal.py)
_DIRECTORY_MODE, _FILE_MODE = 0o750, 0o640  # events contain command lines of users: not for everybody
_CACHE_KIB = 256
_LOCK_TRIES, _LOCK_PAUSE = 5, 0.01
_WAL_LIMIT = 4 << 20  # bytes to which SQLite truncates the log after a checkpoint

Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection that is ready for use."""

    connection: sqlite3.Connection
    identity: Identity  # of the file that it is open on
    version: int  # of its format, as `schema.version_of` gives it
    note: str = ""  # for the user of a reader: what it cannot see; empty: nothing
    fresh: bool = False  # the file was created by this opening
    live: bool = True  # later commits of the writer are visible; False: the file as it was at opening


def identity_of(path: Path) -> Identity:
    """Device and inode of the file; raises StoreError when there is none."""
    try:
        status = path.stat()
    except OSError as error:
        raise of_system(error, path) from None
    return status.st_dev, status.st_ino


def take_lock(directory: Path) -> int:
    """Become the only writer: create the directory if needed, and give the descriptor that holds its lock.

    The lock lasts until the descriptor is closed. Raises StoreError.
    """
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
            time.sleep(_LOCK_PAUSE)  # `has_writer` of another process may hold it for a moment
    os.close(descriptor)
    raise StoreError(Trouble.LOCKED, path, "another kmodmon writes here")


def has_writer(directory: Path) -> bool:
    """Whether a daemon holds the lock of this history; False also when the lock file cannot be opened."""
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
    """Open the history for writing, or create it; the caller holds the lock. Raises StoreError."""
    _create(path)
    with _connection(path, "rw", busy_seconds) as connection:
        version = schema.version_of(connection, path)
        _prepare(connection, fresh=version == 0)
        schema.migrate(connection, version)
        return Opened(connection, identity_of(path), len(schema.MIGRATIONS), fresh=version == 0)


def open_reader(path: Path, busy_seconds: float = 2.0) -> Opened:
    """Open the history for reading; without its log where this user may not use it. Raises StoreError."""
    identity = identity_of(path)
    try:
        return _opened(path, "ro", busy_seconds, identity)
    except StoreError as first:
        if first.trouble not in (Trouble.MISSING, Trouble.READ_ONLY, Trouble.BROKEN):
            raise
        opened = _opened(path, "ro&immutable=1", busy_seconds, identity)
        return replace(opened, note=_ignored_log(path), live=False)


def _create(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _FILE_MODE))  # SQLite would create it 0644
    except FileExistsError:
        return
    except OSError as error:
        raise of_system(error, path) from None


def _opened(path: Path, mode: str, busy_seconds: float, identity: Identity) -> Opened:
    with _connection(path, mode, busy_seconds) as connection:
        version = schema.version_of(connection, path)
        if version == 0:
            raise StoreError(Trouble.MISSING, path, "holds no history yet")
        return Opened(connection, identity, version)


def _ignored_log(path: Path) -> str:
    try:
        size = path.with_name(path.name + "-wal").stat().st_size
    except OSError:
        return ""
    missing = f"the write-ahead log ({size} bytes) may not be read by this user, so the newest events are missing"
    return f"{path}: {missing}" if size else ""


@contextmanager
def _connection(path: Path, mode: str, busy_seconds: float) -> Iterator[sqlite3.Connection]:
    # A new connection, which stays open unless the block fails; raises StoreError.
    connection: sqlite3.Connection | None = None
    try:
        connection = _connect(path, mode, busy_seconds)
        yield connection
    except (sqlite3.Error, StoreError) as error:
        if connection is not None:
            connection.close()
        raise of_sqlite(error, path) if isinstance(error, sqlite3.Error) else error from None


def _connect(path: Path, mode: str, busy_seconds: float) -> sqlite3.Connection:
    # isolation_level None: sqlite3 starts no transaction by itself. The writer's connection is opened in one thread and
    # used in another, never in both at a time.
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=32,
    )
    # Text that is not UTF-8 (an edited file) must make one row unreadable, not the whole page of rows.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _prepare(connection: sqlite3.Connection, *, fresh: bool) -> None:
    if fresh:  # both are stored in the header; auto_vacuum has an effect only before the first table
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
