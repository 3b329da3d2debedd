"""Where the history lives: in a state directory, or in memory when there is none."""

import os
import time
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

KEPT_ASIDE = 3  # damaged files that are kept; a failing disk must not fill itself with them
_ASIDE = FILE + ".corrupt-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A damaged history that was moved away; `head` is as far as it could still be read."""

    path: Path
    head: Link
    events: int | None  # None: it cannot tell


class Backend(Protocol):
    """Makes histories and readers of one place; everything raises StoreError and nothing else."""

    def open(self, after: Link) -> HistoryStore:
        """Open the history for writing; one that is new goes on after that link."""
        ...

    def reader(self) -> HistoryReader:
        """Open it for reading."""
        ...

    def quarantine(self, now: Usec) -> Quarantined:
        """Move a damaged history away."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskBackend:
    """A state directory."""

    directory: Path
    boot_id: str
    busy_seconds: float = 2.0

    def open(self, after: Link) -> HistoryStore:
        """Open or make the history."""
        return SqliteHistory(self.directory, self.boot_id, after=after, busy_seconds=self.busy_seconds)

    def reader(self) -> HistoryReader:
        """Open it for reading, with a connection of its own."""
        return SqliteReader.open(self.directory)

    def quarantine(self, now: Usec) -> Quarantined:
        """Rename the file and its log to `history.sqlite3.corrupt-<UTC time>`; of several, the newest three stay."""
        head, events = _salvage(self.directory)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now / 1e6))
        path = self.directory / f"{_ASIDE}{stamp}"
        try:
            for number in range(1, 1000):
                if not path.exists():
                    break
                path = self.directory / f"{_ASIDE}{stamp}.{number}"
            _rename(self.directory / FILE, path)
            _forget_oldest(self.directory)
        except OSError as error:
            raise of_system(error, self.directory / FILE) from None
        return Quarantined(path=path, head=head, events=events)


@dataclass(slots=True)
class MemoryBackend:
    """No place at all: the newest events, for as long as the process lives."""

    boot_id: str
    capacity: int = 2000
    _history: MemoryHistory | None = field(default=None)

    def open(self, after: Link) -> HistoryStore:
        """The one history there is."""
        return self._only()

    def reader(self) -> HistoryReader:
        """The one history there is."""
        return self._only()

    def quarantine(self, now: Usec) -> Quarantined:
        """Memory has no files."""
        raise StoreError(Trouble.BROKEN, None, "memory cannot be set aside")

    def _only(self) -> MemoryHistory:
        if self._history is None:
            self._history = MemoryHistory(self.boot_id, self.capacity)
        return self._history


def _salvage(directory: Path) -> tuple[Link, int | None]:
    """As far as a damaged file still says so: its head, so that ids go on rising, and how many events it holds."""
    try:
        reader = SqliteReader.open(directory)
        try:
            return reader.newest_link() or GENESIS, reader.summary().events
        finally:
            reader.close()
    except StoreError:
        return GENESIS, None


def _rename(path: Path, aside: Path) -> None:
    # The log belongs to the file by its name. The -shm file is an index of the log and is made anew.
    os.replace(path, aside)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        os.replace(log, aside.with_name(aside.name + "-wal"))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def _forget_oldest(directory: Path) -> None:
    found = sorted(path for path in directory.glob(_ASIDE + "*") if not path.name.endswith(("-wal", "-shm")))
    for path in found[:-KEPT_ASIDE]:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
