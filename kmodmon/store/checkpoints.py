"""Checkpoints and events of the history for commands, which also work where no history can be read."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from kmodmon.events.event import StoredEvent
from kmodmon.events.query import EventQuery
from kmodmon.store.database import has_writer
from kmodmon.store.error import StoreError
from kmodmon.store.reader import SqliteReader
from kmodmon.types.units import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheckpoints:
    """The checkpoints of one boot, by section; empty when the history cannot be read."""

    saved: Mapping[str, JsonObject] = field(default_factory=dict)
    daemon_running: bool = False  # a daemon holds the lock of the history and keeps the checkpoints up to date
    why: str = ""  # why the history, or its newest part, cannot be read; empty: it can


def load_checkpoints(directory: Path, boot_id: str) -> StoredCheckpoints:
    """Give the checkpoints of a boot; raises nothing."""
    try:
        with closing(SqliteReader.open(directory)) as reader:
            saved = reader.load_checkpoints(boot_id)
            return StoredCheckpoints(saved=saved, daemon_running=bool(saved) and has_writer(directory), why=reader.note)
    except StoreError as error:
        return StoredCheckpoints(why=str(error))


def last_events(directory: Path, query: EventQuery) -> tuple[StoredEvent, ...]:
    """Give the events that match; none if the history cannot be read."""
    try:
        with closing(SqliteReader.open(directory)) as reader:
            return tuple(reader.events(query))
    except StoreError:
        return ()
