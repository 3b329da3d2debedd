"""The history: events of every boot, numbered and hash-chained, in SQLite or in memory. The only user of sqlite3.

`writer.HistoryWriter` is what the daemon holds; `open_reader` is what a command opens, and all that it imports.
"""

from pathlib import Path

from kmodmon.store.chain import Problem, ProblemKind
from kmodmon.store.error import StoreError, Trouble
from kmodmon.store.interface import HistoryReader, RetentionLimits, Summary
from kmodmon.store.reader import SqliteReader

__all__ = (
    "HistoryReader", "Problem", "ProblemKind", "RetentionLimits", "StoreError", "Summary", "Trouble", "open_reader",
)  # fmt: skip


def open_reader(directory: Path) -> HistoryReader:
    """Open the history of a state directory without writing there, also while the daemon does; raises StoreError."""
    return SqliteReader.open(directory)
