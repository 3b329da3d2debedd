"""May the wall clock be trusted to decide what is old?

A clock that is set forward, by a mistake or on purpose, would make the whole history too old at once. So after a step
(and at the start, when many a machine does not yet know the time) nothing is called old for an hour.
"""

from dataclasses import dataclass

from kmodmon.types.units import Instant, Usec

STEP_USEC = 300_000_000  # wall and monotonic clock drifted apart by more than this between two looks
WAIT_USEC = 3_600_000_000


@dataclass(slots=True)
class WallClockGuard:
    """Remembers how far the clocks were apart. A suspend looks like a step, and costs an hour's patience too."""

    last: Instant
    stepped_usec: int = -1  # CLOCK_MONOTONIC of the last step; -1: the first look

    def wall(self, now: Instant) -> Usec | None:
        """CLOCK_REALTIME of `now` if it has been steady for an hour, else None."""
        apart = (now.realtime_usec - now.monotonic_usec) - (self.last.realtime_usec - self.last.monotonic_usec)
        if self.stepped_usec < 0:
            self.stepped_usec = self.last.monotonic_usec
        if abs(apart) > STEP_USEC:
            self.stepped_usec = now.monotonic_usec
        self.last = now
        return now.realtime_usec if now.monotonic_usec - self.stepped_usec >= WAIT_USEC else None
