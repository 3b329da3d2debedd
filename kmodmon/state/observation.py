"""A reading of a source, as it is passed to `pipeline.step`."""

from dataclasses import dataclass

from kmodmon.types.outcome import Observation, Outcome
from kmodmon.types.source_name import SourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reading of one source."""

    outcome: Outcome[Observation]
    lost: int = 0  # records, datagrams or trace events that the kernel dropped before this reading
    unreadable: int = 0  # parts of the interface that could not be read
    quiet: bool = False  # of an event source: no other source is to be read because of this reading
    wakes: tuple[SourceName, ...] = ()  # of an event source: sources to be read beside those that it always wakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick(Observation):
    """Time passed; whatever waits for time is decided. Once a second while something waits, else every 15 s."""
