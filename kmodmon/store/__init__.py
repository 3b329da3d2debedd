"""The history: events of every boot, numbered and hash-chained, in SQLite or in memory. The only user of sqlite3.

`HistoryWriter` is what the daemon holds; `open_reader` is what a command opens.
"""

from pathlib import Path

from kmodmon.store.chain import Problem, ProblemKind
from kmodmon.store.error import StoreError, Trouble
from kmodmon.store.options import WriterOptions, WriterStats
from kmodmon.store.place import InMemory, OnDisk, Place
from kmodmon.store.query import HistoryReader, Retention, Summary
from kmodmon.store.reader import SqliteReader
from kmodmon.store.writer import HistoryWriter

__all__ = (
    "HistoryReader", "HistoryWriter", "InMemory", "OnDisk", "Place", "Problem", "ProblemKind",
    "Retention", "StoreError", "Summary", "Trouble", "WriterOptions", "WriterStats", "open_reader",
)  # fmt: skip


def open_reader(directory: Path) -> HistoryReader:
    """Open the history of a state directory without writing there, also while the daemon does; raises StoreError."""
    return SqliteReader.open(directory)
