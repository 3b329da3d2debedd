"""The clock that the program reads. Objects that need the time are passed a clock, so that tests can pass another."""

import time
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
