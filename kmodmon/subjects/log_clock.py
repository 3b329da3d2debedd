"""Which moment a record of the kernel log was written at: three clocks, kept apart.

printk stamps records with the scheduler's clock. Like CLOCK_MONOTONIC it stands still in suspend and never steps; but
nothing steers it, so that after weeks of uptime the two are seconds or minutes apart (20 ppm are 52 s in a month). How
far is learnt from records that are read as they are written. The wall clock is a distance from CLOCK_MONOTONIC that
changes with every suspend and every step: the last moment at each distance is kept, so that a record which is read late
(after a restart of kmodmon) gets the wall time of when it was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kmodmon.types.codec import entries_from_json, json_value, value_or_none
from kmodmon.types.units import Instant, JsonObject, JsonValue

STEP_USEC = 1_000_000  # a smaller change of the distance is the wall clock being steered
MAX_DISTANCES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LogClock:
    """What is known of the three clocks. `seen` is in order; its last moment is the newest look at the log."""

    ahead_usec: int = 0  # CLOCK_MONOTONIC minus printk's clock
    seen: tuple[Instant, ...] = ()  # the last moment at each distance between wall clock and CLOCK_MONOTONIC

    def looked(self, at: Instant, newest_usec: int | None) -> "LogClock":
        """The log was read at `at`; `newest_usec`: the stamp of a record written just then, None if none was."""
        ahead = self.ahead_usec if newest_usec is None else at.monotonic_usec - newest_usec
        kept = self.seen
        if kept and at.monotonic_usec < kept[-1].monotonic_usec:  # another boot's: a saved machine that was restored
            kept = ()
        if kept and abs(_distance(kept[-1]) - _distance(at)) < STEP_USEC:
            kept = kept[:-1]
        return replace(self, ahead_usec=ahead, seen=(*kept, at)[-MAX_DISTANCES:])

    def moment(self, printk_usec: int | None) -> Instant | None:
        """When a record with this stamp was written; the newest look for one without; None: nothing was read yet."""
        if not self.seen or printk_usec is None:
            return self.seen[-1] if self.seen else None
        monotonic = max(0, printk_usec + self.ahead_usec)
        for then in self.seen:
            if monotonic <= then.monotonic_usec:
                return then.back_to(monotonic)
        return self.seen[-1]


UNSET_CLOCK = LogClock()


def _distance(at: Instant) -> int:
    return at.realtime_usec - at.monotonic_usec


def clock_to_json(clock: LogClock) -> JsonObject:
    """Give what is known of the clocks, as part of a checkpoint."""
    return {"ahead": clock.ahead_usec, "seen": json_value(clock.seen)}


def clock_from_json(value: JsonValue) -> LogClock:
    """Undo :func:`clock_to_json`; anything else is a clock that knows nothing."""
    ahead = value_or_none(int, value.get("ahead")) if isinstance(value, Mapping) else None
    if ahead is None or not isinstance(value, Mapping):
        return UNSET_CLOCK
    return LogClock(ahead_usec=ahead, seen=entries_from_json(Instant, value.get("seen")))
