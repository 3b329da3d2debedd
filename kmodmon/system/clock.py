"""The clock that the program reads the time from; tests replace it by :class:`FakeClock`."""

import time
from dataclasses import dataclass
from typing import Protocol

from kmodmon.types.units import Instant, Usec


class Clock(Protocol):
    """Gives the time."""

    def now(self) -> Instant:
        """The present time, by CLOCK_REALTIME and CLOCK_MONOTONIC."""
        ...


class SystemClock:
    """CLOCK_REALTIME and CLOCK_MONOTONIC of this host."""

    def now(self) -> Instant:
        """Read both clocks, one directly after the other."""
        return Instant(
            realtime_usec=Usec(time.time_ns() // 1000),
            monotonic_usec=Usec(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000),
        )


@dataclass(slots=True)
class FakeClock:
    """A clock for tests: it changes only when it is set or advanced."""

    realtime_usec: int = 1_700_000_000_000_000
    monotonic_usec: int = 100_000_000

    def now(self) -> Instant:
        """The time that was set."""
        return Instant(realtime_usec=Usec(self.realtime_usec), monotonic_usec=Usec(self.monotonic_usec))

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self.realtime_usec += int(seconds * 1e6)
        self.monotonic_usec += int(seconds * 1e6)
