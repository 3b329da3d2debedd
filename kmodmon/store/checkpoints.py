"""What a daemon of this boot remembered, for a command that looks without one."""

from collections.abc import Mapping
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
    """The checkpoints of a boot; `attended`: a daemon is at work and keeps them as they are.

    `why` says why there are none if the history cannot be read; empty: it can.
    """

    saved: Mapping[str, JsonObject] = field(default_factory=dict)
    daemon_running: bool = False
    why: str = ""


def remembered(directory: Path, boot_id: str) -> StoredCheckpoints:
    """Give what was remembered of this boot; raises nothing."""
    try:
        reader = SqliteReader.open(directory)
        try:
            saved = reader.load_checkpoints(boot_id)
            return StoredCheckpoints(saved=saved, daemon_running=bool(saved) and has_writer(directory), why=reader.note)
        finally:
            reader.close()
    except StoreError as error:
        return StoredCheckpoints(why=str(error))


def last_events(directory: Path, query: EventQuery) -> tuple[StoredEvent, ...]:
    """Give events of the history; none if it cannot be read."""
    try:
        reader = SqliteReader.open(directory)
        try:
            return tuple(reader.events(query))
        finally:
            reader.close()
    except StoreError:
        return ()
