"""An event loop whose time passes only when it has nothing else to do: timers fire in order, and no test sleeps.

The loop asks its selector to wait for the next timer; the selector here moves the clock by that much instead. One clock
gives the loop's time and the daemon's, so that both agree as they do on a host. Threads are no part of this: work that
takes time is written as a coroutine that sleeps.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine

from kmodmon.types.units import Instant, Usec

_REALTIME_USEC = 1_700_000_000_000_000
_MONOTONIC_SECONDS = 1_000.0


class LoopClock:
    """CLOCK_MONOTONIC and CLOCK_REALTIME of a test; `seconds` counts from its beginning."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> Instant:
        """The present moment, as a :class:`kmodmon.system.clock.Clock` gives it."""
        usec = round(self.seconds * 1e6)
        return Instant(
            realtime_usec=Usec(_REALTIME_USEC + usec), monotonic_usec=Usec(int(_MONOTONIC_SECONDS * 1e6) + usec)
        )

    def monotonic(self) -> float:
        """The same moment, as :func:`time.monotonic` and the loop give it."""
        return _MONOTONIC_SECONDS + self.seconds


class _Selector(selectors.SelectSelector):
    def __init__(self, clock: LoopClock) -> None:
        super().__init__()
        self._clock = clock

    def select(  # type: ignore[explicit-any]  # SelectorKey.data is one
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "the test waits for something that can never happen"
            self._clock.seconds += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: LoopClock) -> None:
        super().__init__(_Selector(clock))
        self._loop_clock = clock

    def time(self) -> float:
        return self._loop_clock.monotonic()


def run(clock: LoopClock, work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run a coroutine on a loop with this clock."""
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        runner.run(work())
