"""The failures of the writer since its last success: when to retry, whether to log, which event to record after."""

import time
from dataclasses import dataclass

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.source import HistoryRecovered
from kmodmon.store.error import StoreError, Trouble
from kmodmon.store.options import WriterOptions
from kmodmon.types.units import Instant

NOTABLE_SECONDS = 10  # a shorter outage without a lost event is not recorded
_AT_ONCE = frozenset({Trouble.CORRUPT, Trouble.MISSING})  # a new file can be created: the first retry does not wait


@dataclass(slots=True)
class Outage:
    """The failed tries since the last success."""

    lost_before: int = 0  # events lost in this run up to the last success
    tries: int = 0  # 0: there is no outage
    retry_at: float = 0.0  # by time.monotonic(), in seconds
    why: str = ""  # of the latest failure
    trouble: Trouble | None = None  # of the latest failure
    began_usec: int = 0  # CLOCK_MONOTONIC of the first failure

    def failed(self, error: StoreError, now: Instant, options: WriterOptions) -> bool:
        """Record a failure and when to retry; gives whether it is of another kind than the one before."""
        is_new_kind = error.trouble is not self.trouble
        if self.tries == 0:
            self.began_usec = now.monotonic_usec
        self.tries += 1
        self.why, self.trouble = error.why, error.trouble
        wait = min(options.retry_first * 2 ** min(self.tries - 1, 16), options.retry_last)
        self.retry_at = 0.0 if self.tries == 1 and error.trouble in _AT_ONCE else time.monotonic() + wait
        return is_new_kind

    def over(self, now: Instant, lost: int) -> tuple[Event, ...]:
        """The event to record when writing succeeds: none after a short outage in which no event was lost.

        Events are also lost without a failure, when more come than the disk takes.
        """
        lost_since = lost - self.lost_before
        seconds = (now.monotonic_usec - self.began_usec) / 1e6 if self.tries else 0.0
        if not lost_since and seconds < NOTABLE_SECONDS:
            return ()
        severity = Severity.WARNING if lost_since else Severity.NOTICE
        why = self.why or "more events came than could be written"
        details = HistoryRecovered(source="history", why=why, lost=lost_since, seconds=round(seconds))
        return (Event(details=details, at=now, severity=severity),)
