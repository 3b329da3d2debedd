"""The history: the events of every boot, numbered and linked by hashes, in SQLite or in memory.

The daemon uses `writer.HistoryWriter`. A command uses `open_reader`, which imports nothing of the writer. Only this
package imports sqlite3.
"""

from pathlib import Path

from kmodmon.store.chain import Problem, ProblemKind
from kmodmon.store.error import StoreError, Trouble
from kmodmon.store.interface import HistoryReader, RetentionLimits, Summary
from kmodmon.store.reader import SqliteReader

__all__ = (
    "HistoryReader", "Problem", "ProblemKind", "RetentionLimits", "StoreError", "Summary", "Trouble", "open_reader",
)  # fmt: skip


def open_reader(directory: Path) -> SqliteReader:
    """Open the history of a state directory for reading, also while the daemon writes it; raises StoreError."""
    return SqliteReader.open(directory)
