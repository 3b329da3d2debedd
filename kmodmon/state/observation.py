"""What flows from a source into the pipeline: one reading of one interface."""

from dataclasses import dataclass

from kmodmon.types.outcome import Observation, Outcome
from kmodmon.types.source_name import SourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reading: the outcome, and what was lost or could not be read on the way."""

    outcome: Outcome[Observation]
    lost: int = 0  # records, datagrams or trace events that the kernel dropped before this reading
    unreadable: int = 0  # things inside the interface that could not be read
    quiet: bool = False  # of an event source: it is well, and nothing happened that other sources should be read for
    wakes: tuple[SourceName, ...] = ()  # of an event source: sources to be read for this, beside those it always wakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick(Observation):
    """Time passed: what waits for silence or for age is settled. Comes once a second while anything waits."""
