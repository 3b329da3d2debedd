"""A clock whose time is set by the test, and the moment at which both clocks show zero."""

from dataclasses import dataclass

from kmodmon.types.units import Instant, Usec

EPOCH = Instant(realtime_usec=Usec(0), monotonic_usec=Usec(0))


@dataclass(slots=True)
class FakeClock:
    """A :class:`kmodmon.system.clock.Clock` that changes only when it is set or advanced."""

    realtime_usec: int = 1_700_000_000_000_000
    monotonic_usec: int = 100_000_000

    def now(self) -> Instant:
        """The time that was set."""
        return Instant(realtime_usec=Usec(self.realtime_usec), monotonic_usec=Usec(self.monotonic_usec))

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self.realtime_usec += int(seconds * 1e6)
        self.monotonic_usec += int(seconds * 1e6)
