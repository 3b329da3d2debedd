"""What can be wrong with a history, in words that say what to do; SQLite's and the system's error codes end here."""

import enum
import errno
import sqlite3
from pathlib import Path

from kmodmon.types.error import KmodmonError


class Trouble(enum.StrEnum):
    """The kinds of trouble that are handled differently."""

    CORRUPT = "corrupt"  # the file is damaged: moved aside, a new one started
    MISSING = "missing"  # file or directory vanished, or never were
    FULL = "full"  # no space or quota left: wait
    READ_ONLY = "read-only"  # may not be written by us: wait
    LOCKED = "locked"  # somebody else holds it: wait
    NEWER = "newer"  # written by a newer kmodmon: never touched
    FOREIGN = "foreign"  # a database, but not ours: never touched
    REFUSED = "refused"  # one event cannot be stored, the history is fine
    BROKEN = "broken"  # the disk or the file system fails: wait, open again


ADVICE = {
    Trouble.CORRUPT: "kmodmon run moves it aside and starts a new one",
    Trouble.MISSING: "check the directory (history.directory)",
    Trouble.FULL: "free some space or lower history.max_bytes",
    Trouble.READ_ONLY: "check the mount and the owner of the directory",
    Trouble.LOCKED: "only one kmodmon may write a history",
    Trouble.NEWER: "use that version or a newer one, or another directory",
    Trouble.FOREIGN: "choose another directory (history.directory)",
    Trouble.REFUSED: "this is a defect of kmodmon, please report it",
    Trouble.BROKEN: "check the disk; the kernel log may say more",
}

_OF_SQLITE = {
    sqlite3.SQLITE_CORRUPT: Trouble.CORRUPT,
    sqlite3.SQLITE_NOTADB: Trouble.CORRUPT,
    sqlite3.SQLITE_CONSTRAINT: Trouble.CORRUPT,  # somebody added rows where ours belong
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_PERM: Trouble.READ_ONLY,
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_CANTOPEN: Trouble.MISSING,
}
_OF_ERRNO = {
    errno.ENOENT: Trouble.MISSING,
    errno.ENOTDIR: Trouble.MISSING,
    errno.ENOSPC: Trouble.FULL,
    errno.EDQUOT: Trouble.FULL,
    errno.EFBIG: Trouble.FULL,
    errno.EROFS: Trouble.READ_ONLY,
    errno.EACCES: Trouble.READ_ONLY,
    errno.EPERM: Trouble.READ_ONLY,
}


class StoreError(KmodmonError):
    """A history that cannot be read or written; `trouble` says what may be done about it."""

    def __init__(self, trouble: Trouble, path: Path | None, why: str) -> None:
        self.trouble = trouble
        self.path = path
        self.why = why
        super().__init__(f"history {path or 'in memory'}: {why}; {ADVICE[trouble]}")


class Refused(StoreError):
    """An event (by its `index` in the batch) or a checkpoint (by `section`) cannot be stored; none of the batch was."""

    def __init__(self, path: Path | None, why: str, *, index: int | None = None, section: str | None = None) -> None:
        self.index = index
        self.section = section
        what = f"event {index} of the batch" if section is None else f"checkpoint {section}"
        super().__init__(Trouble.REFUSED, path, f"{what} cannot be stored: {why}")


def of_sqlite(error: sqlite3.Error, path: Path) -> StoreError:
    """Say what an error of SQLite means; its extended codes (SQLITE_IOERR_WRITE, …) are named in the text."""
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    primary = code & 0xFF if isinstance(code, int) else None
    trouble = Trouble.BROKEN if primary is None else _OF_SQLITE.get(primary, Trouble.BROKEN)
    if primary == sqlite3.SQLITE_ERROR and str(error).startswith("no such"):  # our tables or indexes were dropped
        trouble = Trouble.CORRUPT
    return StoreError(trouble, path, f"{error} ({name})")


def of_system(error: OSError, path: Path) -> StoreError:
    """Say what an error of the system means."""
    trouble = _OF_ERRNO.get(error.errno or 0, Trouble.BROKEN)
    return StoreError(trouble, path, error.strerror or str(error))
