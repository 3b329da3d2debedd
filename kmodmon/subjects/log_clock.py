"""Converts the stamp of a log record to CLOCK_MONOTONIC and wall time, over drift, suspend and steps of the clock.

printk stamps records with local_clock(), the scheduler's clock (kernel/printk/printk.c). Like CLOCK_MONOTONIC it stops
in suspend and never steps; but NTP does not steer it, so that after weeks of uptime the two differ by seconds or
minutes (20 ppm are 52 s in a month). The difference is measured with records that are read as they are written. The
offset of the wall clock from CLOCK_MONOTONIC changes with every suspend and every step. The last moment at each offset
is kept, so that a record which is read late (after a restart of kmodmon) gets the wall time at which it was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kmodmon.types.codec import entries_from_json, json_value, value_or_none
from kmodmon.types.units import Instant, JsonObject, JsonValue

STEP_USEC = 1_000_000  # a smaller change of the offset is NTP steering the wall clock
MAX_OFFSETS = 16
DRIFT = (
    100  # the clocks drift apart by less than one part of so many; real ones by far less, emulated ones by up to that
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogClock:
    """The measured differences between printk's clock, CLOCK_MONOTONIC and the wall clock."""

    ahead_usec: int = 0  # CLOCK_MONOTONIC minus printk's clock; 0: not measured yet
    last_at_offset: tuple[Instant, ...] = ()  # in order; the last one is the newest read of the log

    def after_read(self, at: Instant, newest_usec: int | None) -> "LogClock":
        """Return the clock after a read of the log; `newest_usec`: stamp of a record written just then, None: none.

        A record is read at once or later, never earlier than it was written. So the distance of the clocks falls as it
        is seen, and rises no faster than clocks drift apart: more is a reader that was late.
        """
        kept = self.last_at_offset
        if kept and at.monotonic_usec < kept[-1].monotonic_usec:  # another boot's: a saved machine that was restored
            kept = ()
        ahead = self.ahead_usec if newest_usec is None else at.monotonic_usec - newest_usec
        if kept and 0 != self.ahead_usec < ahead:
            ahead = min(ahead, self.ahead_usec + (at.monotonic_usec - kept[-1].monotonic_usec) // DRIFT)
        if kept and abs(_offset(kept[-1]) - _offset(at)) < STEP_USEC:
            kept = kept[:-1]
        return replace(self, ahead_usec=ahead, last_at_offset=(*kept, at)[-MAX_OFFSETS:])

    def moment(self, printk_usec: int | None) -> Instant | None:
        """Return when a record with this stamp was written, never later than the newest read of the log.

        `printk_usec` None: the moment of the newest read. The result is None when the log was not read yet.
        """
        if not self.last_at_offset or printk_usec is None:
            return self.last_at_offset[-1] if self.last_at_offset else None
        monotonic = max(0, printk_usec + self.ahead_usec)
        for last in self.last_at_offset:
            if monotonic <= last.monotonic_usec:
                return last.back_to(monotonic)
        return self.last_at_offset[-1]


UNSET_CLOCK = LogClock()


def _offset(at: Instant) -> int:
    return at.realtime_usec - at.monotonic_usec


def clock_to_json(clock: LogClock) -> JsonObject:
    """Write the clock's part of the checkpoint."""
    return {"ahead": clock.ahead_usec, "seen": json_value(clock.last_at_offset)}


def clock_from_json(value: JsonValue) -> LogClock:
    """Undo :func:`clock_to_json`; anything else gives the unset clock."""
    ahead = value_or_none(int, value.get("ahead")) if isinstance(value, Mapping) else None
    if ahead is None or not isinstance(value, Mapping):
        return UNSET_CLOCK
    return LogClock(ahead_usec=ahead, last_at_offset=entries_from_json(Instant, value.get("seen")))
