"""The failures of the writer since its last success: when to try again, what to say, and what to record afterwards."""

import time
from dataclasses import dataclass

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.source import HistoryRecovered
from kmodmon.store.error import StoreError, Trouble
from kmodmon.store.options import WriterOptions
from kmodmon.types.units import Instant

NOTABLE_SECONDS = 10  # an outage that cost nothing and was shorter is no event
_AT_ONCE = frozenset({Trouble.CORRUPT, Trouble.MISSING})  # a new file is tried without waiting, once


@dataclass(slots=True)
class Outage:
    """There is none while `tries` is 0. `lost_before`: events lost until the last success."""

    lost_before: int = 0
    tries: int = 0
    retry_at: float = 0.0  # time.monotonic()
    why: str = ""
    trouble: Trouble | None = None
    began_usec: int = 0

    def failed(self, error: StoreError, now: Instant, options: WriterOptions) -> bool:
        """Note a failure and when to try again; True: it is news and worth a line in the log."""
        news = error.trouble is not self.trouble
        if self.tries == 0:
            self.began_usec = now.monotonic_usec
        self.tries += 1
        self.why, self.trouble = error.why, error.trouble
        wait = min(options.retry_first * 2 ** min(self.tries - 1, 16), options.retry_last)
        self.retry_at = 0.0 if self.tries == 1 and error.trouble in _AT_ONCE else time.monotonic() + wait
        return news

    def over(self, now: Instant, lost: int) -> tuple[Event, ...]:
        """The event that tells of it, when events were lost (in a flood too) or it was more than a moment."""
        gone = lost - self.lost_before
        seconds = (now.monotonic_usec - self.began_usec) / 1e6 if self.tries else 0.0
        if not gone and seconds < NOTABLE_SECONDS:
            return ()
        severity = Severity.WARNING if gone else Severity.NOTICE
        why = self.why or "more events came than could be written"
        details = HistoryRecovered(source="history", why=why, lost=gone, seconds=round(seconds))
        return (Event(details=details, at=now, severity=severity),)
