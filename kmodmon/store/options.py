"""How the writer behaves, and what it says of itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from kmodmon.store.interface import RetentionLimits

CallSoon: TypeAlias = Callable[[Callable[[], None]], object]  # loop.call_soon_threadsafe


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """Times in seconds."""

    retention: RetentionLimits = field(default_factory=RetentionLimits)
    queue_events: int = 10_000
    queue_weight: int = 16 << 20  # about so many bytes of memory
    batch: int = 500
    pause: float = 0.1  # between two batches; the first event after a pause is written at once, and grave ones always
    checkpoint_delay: float = 5.0  # how long checkpoints wait for events to be written with
    retry_first: float = 0.25
    retry_last: float = 30.0
    tidy_every: float = 600.0
    tidy_after: int = 1000  # events


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStats:
    """What `kmodmon_history_*` and `doctor` show."""

    events: int = 0  # in the history
    write_errors: int = 0
    lost: int = 0  # events that never reached the history
    queued: int = 0
    bytes: int = 0  # on the disk
    oldest_usec: int | None = None  # CLOCK_REALTIME of the oldest event
    healthy: bool = False
    last_error: str = ""  # the newest trouble, also after it is over; empty: there was none
