"""Where the history is kept: in a state directory, or in memory when none is configured."""

import os
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kmodmon.store.chain import GENESIS, Link
from kmodmon.store.database import FILE
from kmodmon.store.error import StoreError, Trouble, of_system
from kmodmon.store.interface import HistoryReader, HistoryStore
from kmodmon.store.memory import MemoryHistory
from kmodmon.store.reader import SqliteReader
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.types.units import Usec

KEPT_QUARANTINED = 3  # damaged files that are kept; a failing disk must not be filled with them
_QUARANTINE_PREFIX = FILE + ".corrupt-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A damaged history that was renamed."""

    path: Path
    head: Link  # its newest event; GENESIS: that could not be read
    events: int | None  # how many it holds; None: that could not be read


class Backend(Protocol):
    """Opens one history for writing and for reading; its methods raise StoreError and nothing else."""

    def open(self, after: Link) -> HistoryStore:
        """Open the history for writing; a new one numbers its events from the id that follows `after`."""
        ...

    def reader(self) -> HistoryReader:
        """Open the history for reading."""
        ...

    def quarantine(self, now: Usec) -> Quarantined:
        """Move a damaged history out of the way, so that `open` starts a new one; `now` is CLOCK_REALTIME."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskBackend:
    """The history in a state directory."""

    directory: Path
    boot_id: str
    busy_seconds: float = 2.0  # how long SQLite waits for a lock of another process

    def open(self, after: Link) -> HistoryStore:
        """Open the history, or create it."""
        return SqliteHistory(self.directory, self.boot_id, after=after, busy_seconds=self.busy_seconds)

    def reader(self) -> HistoryReader:
        """Open the history for reading, with a connection of its own."""
        return SqliteReader.open(self.directory)

    def quarantine(self, now: Usec) -> Quarantined:
        """Rename the file and its log to `history.sqlite3.corrupt-<UTC time>`, and keep the newest three of these."""
        head, events = _readable_part(self.directory)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now / 1e6))
        path = self.directory / f"{_QUARANTINE_PREFIX}{stamp}"
        try:
            for number in range(1, 1000):
                if not path.exists():
                    break
                path = self.directory / f"{_QUARANTINE_PREFIX}{stamp}.{number}"
            _rename(self.directory / FILE, path)
            _delete_oldest(self.directory)
        except OSError as error:
            raise of_system(error, self.directory / FILE) from None
        return Quarantined(path=path, head=head, events=events)


@dataclass(slots=True)
class MemoryBackend:
    """The newest events in memory, for as long as the process lives; writer and readers share one object."""

    boot_id: str
    capacity: int = 2000
    _history: MemoryHistory | None = field(default=None)

    def open(self, after: Link) -> HistoryStore:
        """Give the history; `after` does not matter, because there was none before this process."""
        return self._shared()

    def reader(self) -> HistoryReader:
        """Give the same history."""
        return self._shared()

    def quarantine(self, now: Usec) -> Quarantined:
        """Raise StoreError: a history in memory has no file that could be damaged."""
        raise StoreError(Trouble.BROKEN, None, "memory cannot be set aside")

    def _shared(self) -> MemoryHistory:
        if self._history is None:
            self._history = MemoryHistory(self.boot_id, self.capacity)
        return self._history


def _readable_part(directory: Path) -> tuple[Link, int | None]:
    # What a damaged file may still give: its head, from which the ids of the new file continue, and its size.
    try:
        with closing(SqliteReader.open(directory)) as reader:
            return reader.newest_link() or GENESIS, reader.summary().events
    except StoreError:
        return GENESIS, None


def _rename(path: Path, target: Path) -> None:
    # SQLite finds the write-ahead log by the name of the file. The -shm file is an index of that log, made at opening.
    os.replace(path, target)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        os.replace(log, target.with_name(target.name + "-wal"))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def _delete_oldest(directory: Path) -> None:
    files = directory.glob(_QUARANTINE_PREFIX + "*")
    by_time = sorted(path for path in files if not path.name.endswith(("-wal", "-shm")))
    for path in by_time[:-KEPT_QUARANTINED]:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
