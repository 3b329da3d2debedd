"""The options of the writer of the history, and its statistics."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from kmodmon.store.chain import Link
from kmodmon.store.interface import RetentionLimits

CallSoon: TypeAlias = Callable[[Callable[[], None]], object]  # loop.call_soon_threadsafe


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """Limits and times; times are in seconds."""

    retention: RetentionLimits = field(default_factory=RetentionLimits)
    queue_events: int = 10_000  # the most events that wait for the disk
    queue_weight: int = 16 << 20  # the most memory that they take, in bytes, estimated
    batch: int = 500  # events in one transaction; a single submission may exceed it
    pause: float = 0.1  # the least time between two batches; errors, critical events and full batches do not wait
    checkpoint_delay: float = 5.0  # how long checkpoints without events wait for events to be written with
    retry_first: float = 0.25  # the delay after the first failure; it doubles with each further one
    retry_last: float = 30.0  # the longest delay after a failure
    prune_every: float = 600.0  # retention runs after this time,
    seal_every: float = 900.0  # also at the start and the end; only if sealing was set up
    prune_after: int = 1000  # or after this many events


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStats:
    """The state of the writer, as the metrics `kmodmon_history_*` show it."""

    events: int = 0  # in the history
    write_errors: int = 0  # failed attempts to write
    lost: int = 0  # events that were dropped before they were stored
    bytes: int = 0  # on disk, the write-ahead log included; 0 in memory
    head: Link | None = None  # id and hash of the newest event; None: not known, or the history is in memory
    healthy: bool = False  # the last attempt to write succeeded
