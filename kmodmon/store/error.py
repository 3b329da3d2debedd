"""The errors of a history. Error codes of SQLite and errno are translated here, with advice for the operator."""

import enum
import errno
import sqlite3
from pathlib import Path

from kmodmon.types.error import KmodmonError


class Trouble(enum.StrEnum):
    """The kinds of error that the writer handles differently."""

    CORRUPT = "corrupt"  # the file is damaged: rename it and start a new one
    MISSING = "missing"  # the file or directory was removed, or never existed: create it
    FULL = "full"  # no space or quota left: retry
    READ_ONLY = "read-only"  # this process may not write it: retry
    LOCKED = "locked"  # another process holds a lock: retry
    NEWER = "newer"  # written by a newer kmodmon: never written to
    FOREIGN = "foreign"  # a database of another program: never written to
    REFUSED = "refused"  # one event cannot be stored, the file is intact
    SLOW = "slow"  # a query took longer than it may
    BROKEN = "broken"  # the disk or the file system fails: open again and retry


ADVICE = {
    Trouble.CORRUPT: "kmodmon run moves it aside and starts a new one",
    Trouble.MISSING: "check the directory (history.directory)",
    Trouble.FULL: "free some space or lower history.max_bytes",
    Trouble.READ_ONLY: "check the mount and the owner of the directory",
    Trouble.LOCKED: "only one kmodmon may write a history",
    Trouble.NEWER: "use that version or a newer one, or another directory",
    Trouble.FOREIGN: "choose another directory (history.directory)",
    Trouble.REFUSED: "this is a defect of kmodmon, please report it",
    Trouble.SLOW: "ask for less: another span of time, fewer types",
    Trouble.BROKEN: "check the disk; the kernel log may say more",
}

_OF_SQLITE = {
    sqlite3.SQLITE_CORRUPT: Trouble.CORRUPT,
    sqlite3.SQLITE_NOTADB: Trouble.CORRUPT,
    sqlite3.SQLITE_CONSTRAINT: Trouble.CORRUPT,  # another program added a row with an id that is ours
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_PERM: Trouble.READ_ONLY,
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_CANTOPEN: Trouble.MISSING,
    sqlite3.SQLITE_INTERRUPT: Trouble.SLOW,  # by the progress handler of a reader
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
    """A history that cannot be read or written; `trouble` is the kind, `why` the cause without path and advice."""

    def __init__(self, trouble: Trouble, path: Path | None, why: str) -> None:
        self.trouble = trouble
        self.why = why
        super().__init__(f"history {path or 'in memory'}: {why}; {ADVICE[trouble]}")


class Refused(StoreError):
    """An event (`index` in the batch) or a checkpoint (`section`) cannot be stored, so nothing of its batch was."""

    def __init__(self, path: Path | None, why: str, *, index: int | None = None, section: str | None = None) -> None:
        self.index = index
        self.section = section
        what = f"event {index} of the batch" if section is None else f"checkpoint {section}"
        super().__init__(Trouble.REFUSED, path, f"{what} cannot be stored: {why}")


# sqlite3 raises the second where SQLite's message quotes text of the file (its schema) that is not UTF-8, and the third
# for SQLITE_NOMEM, which SQLite also returns for some damaged schemas.
SqliteErrors = (sqlite3.Error, UnicodeDecodeError, MemoryError)


def of_sqlite(error: sqlite3.Error | UnicodeDecodeError | MemoryError, path: Path) -> StoreError:
    """Translate an error of SQLite; the text names its extended code (SQLITE_IOERR_WRITE, …)."""
    if isinstance(error, MemoryError):  # not CORRUPT: while memory is short, no history is moved aside
        return StoreError(Trouble.BROKEN, path, "SQLite finds no memory to read it, which damage can cause as well")
    if isinstance(error, UnicodeDecodeError):
        return StoreError(Trouble.CORRUPT, path, "its schema is damaged: it holds text that is not UTF-8")
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    primary = code & 0xFF if isinstance(code, int) else None
    trouble = Trouble.BROKEN if primary is None else _OF_SQLITE.get(primary, Trouble.BROKEN)
    if primary == sqlite3.SQLITE_ERROR and str(error).startswith("no such"):  # a table or index was dropped
        trouble = Trouble.CORRUPT
    return StoreError(trouble, path, f"{error} ({name})")


def of_system(error: OSError, path: Path) -> StoreError:
    """Translate an error of a system call."""
    trouble = _OF_ERRNO.get(error.errno or 0, Trouble.BROKEN)
    return StoreError(trouble, path, error.strerror or str(error))
