"""What a daemon of this boot remembered, for a command that looks without one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kmodmon.model.event import StoredEvent
from kmodmon.model.query import EventQuery
from kmodmon.model.units import JsonObject
from kmodmon.store.database import has_writer
from kmodmon.store.error import StoreError
from kmodmon.store.reader import SqliteReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The checkpoints of a boot; `attended`: a daemon is at work and keeps them as they are.

    `why` says why there are none if the history cannot be read; empty: it can.
    """

    saved: Mapping[str, JsonObject] = field(default_factory=dict)
    attended: bool = False
    why: str = ""


def remembered(directory: Path, boot_id: str) -> Remembered:
    """Give what was remembered of this boot; raises nothing."""
    try:
        reader = SqliteReader.open(directory)
        try:
            saved = reader.load_checkpoints(boot_id)
            return Remembered(saved=saved, attended=bool(saved) and has_writer(directory), why=reader.note)
        finally:
            reader.close()
    except StoreError as error:
        return Remembered(why=str(error))


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
