"""What a daemon of this boot remembered, for a command that looks without one."""

from collections.abc import Mapping
from pathlib import Path

from kmodmon.model.event import StoredEvent
from kmodmon.model.query import EventQuery
from kmodmon.model.units import JsonObject
from kmodmon.store.error import StoreError
from kmodmon.store.reader import SqliteReader


def remembered(directory: Path, boot_id: str) -> tuple[Mapping[str, JsonObject], str]:
    """Give the checkpoints of this boot, and why there are none if the history cannot be read (empty: it can)."""
    try:
        reader = SqliteReader.open(directory)
        try:
            return reader.load_checkpoints(boot_id), reader.note
        finally:
            reader.close()
    except StoreError as error:
        return {}, str(error)


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
