"""Decides whether the wall clock may be used to judge the age of events.

Retention by age compares CLOCK_REALTIME now with the CLOCK_REALTIME at which an event was dated. A wall clock that is
set forward, by mistake or on purpose, would make the whole history too old at once. Therefore retention by age waits
for an hour after each step of the wall clock, and after the start, when many a machine has not yet set its clock.
"""

from dataclasses import dataclass, field

from kmodmon.types.units import Instant, Usec

STEP_USEC = 300_000_000  # a step: CLOCK_REALTIME - CLOCK_MONOTONIC differs by more than this from the previous call
WAIT_USEC = 3_600_000_000  # by CLOCK_MONOTONIC


@dataclass(slots=True)
class WallClockGuard:
    """Detects steps of CLOCK_REALTIME by comparing it with CLOCK_MONOTONIC, which no one can set.

    CLOCK_MONOTONIC does not count the time a host is suspended, so a suspend of more than five minutes is taken for a
    step; that only delays retention by an hour.
    """

    last: Instant  # of the previous call; at first, of the start
    stepped_usec: int = field(init=False)  # CLOCK_MONOTONIC of the latest step; at first, of the start

    def __post_init__(self) -> None:
        self.stepped_usec = self.last.monotonic_usec

    def trusted_realtime(self, now: Instant) -> Usec | None:
        """CLOCK_REALTIME of `now`, None for an hour after a step or the start."""
        offset_change = (now.realtime_usec - now.monotonic_usec) - (self.last.realtime_usec - self.last.monotonic_usec)
        if abs(offset_change) > STEP_USEC:
            self.stepped_usec = now.monotonic_usec
        self.last = now
        return now.realtime_usec if now.monotonic_usec - self.stepped_usec >= WAIT_USEC else None
