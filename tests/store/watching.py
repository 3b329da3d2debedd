"""A writer under observation: what it acknowledged and lost, and waiting for it without sleeping for luck."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kmodmon.events.event import Event, StoredEvent
from kmodmon.store.backend import Backend, DiskBackend, Quarantined
from kmodmon.store.chain import Link
from kmodmon.store.error import StoreError
from kmodmon.store.interface import HistoryReader, HistoryStore
from kmodmon.store.memory import MemoryHistory
from kmodmon.store.options import WriterOptions
from kmodmon.store.writer import HistoryWriter
from kmodmon.types.units import JsonObject, Usec
from tests.fake_clock import FakeClock
from tests.store.making import BOOT

PATIENCE = 20.0
BRISK = WriterOptions(pause=0.0, checkpoint_delay=0.0, retry_first=0.001, retry_last=0.01)


def until(condition: Callable[[], bool]) -> None:
    """Wait for it; a test that waits in vain fails."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


@dataclass(slots=True)
class Watched:
    """A writer, with the events that it has reported as stored or lost."""

    place: Backend
    options: WriterOptions = BRISK
    clock: FakeClock = field(default_factory=FakeClock)
    stored: list[StoredEvent] = field(default_factory=list)
    lost: list[Event] = field(default_factory=list)
    remembered: Mapping[str, JsonObject] = field(default_factory=dict)
    writer: HistoryWriter = field(init=False)

    def __post_init__(self) -> None:
        self.writer = HistoryWriter(
            self.place,
            self.clock,
            call_soon=lambda call: call(),
            on_stored=self.stored.extend,
            on_lost=self.lost.extend,
            options=self.options,
        )
        self.remembered = self.writer.start(BOOT)

    def put(self, *events: Event, **checkpoints: JsonObject) -> None:
        """Submit."""
        self.writer.submit(events, checkpoints)

    def acknowledged(self, count: int) -> list[StoredEvent]:
        """Wait until so many events are acknowledged."""
        until(lambda: len(self.stored) >= count)
        return self.stored

    @property
    def queued(self) -> int:
        """How many events wait for the disk."""
        return len(self.writer._queue)

    def close(self) -> None:
        """Stop it."""
        assert self.writer.close(PATIENCE)


def on_disk(directory: Path) -> DiskBackend:
    """A state directory that does not wait for locks."""
    return DiskBackend(directory=directory, boot_id=BOOT, busy_seconds=0.01)


@dataclass(slots=True)
class Faulty:
    """A backend whose history fails as the test says: when it is opened, or when events are appended."""

    history: MemoryHistory = field(default_factory=lambda: MemoryHistory(BOOT, 1000))
    at_open: list[StoreError] = field(default_factory=list)
    at_append: list[StoreError] = field(default_factory=list)
    defects: list[Exception] = field(default_factory=list)
    appended: list[tuple[Sequence[Event], Mapping[str, JsonObject]]] = field(default_factory=list)
    broken: StoreError | None = None  # as long as it is set, every append fails
    hung: threading.Event | None = None  # appending waits for it
    opened: int = 0
    quarantine_count: int = 0

    def open(self, after: Link) -> HistoryStore:
        """Fail as told, or give the one history."""
        self.opened += 1
        if self.at_open:
            raise self.at_open.pop(0)
        return _Failing(self)

    def reader(self) -> HistoryReader:
        """The one history."""
        return self.history

    def quarantine(self, now: Usec) -> Quarantined:
        """Nothing to move."""
        self.quarantine_count += 1
        return Quarantined(path=Path("/aside"), head=Link(0, bytes(32)), events=None)


class _Failing(MemoryHistory):
    def __init__(self, place: Faulty) -> None:
        super().__init__(BOOT)
        self.place = place

    def append(
        self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject] | None = None
    ) -> tuple[StoredEvent, ...]:
        if self.place.hung is not None:
            assert self.place.hung.wait(PATIENCE)
        if self.place.broken is not None:
            raise self.place.broken
        if self.place.defects:
            raise self.place.defects.pop(0)
        if self.place.at_append:
            raise self.place.at_append.pop(0)
        self.place.appended.append((events, dict(checkpoints or {})))
        return self.place.history.append(events, checkpoints)
