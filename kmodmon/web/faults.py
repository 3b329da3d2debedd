"""Faults of kmodmon itself while it serves: each is counted, and the first of its kind is logged."""

import logging

from kmodmon.subjects.self_stats import SelfCounters, SelfMetric

log = logging.getLogger(__name__)

MAX_KINDS = 64


class FaultLog:
    """Records faults; a client may be able to cause one again and again, and must not be able to fill the log."""

    def __init__(self, counters: SelfCounters) -> None:
        self._counters = counters
        self._logged: set[tuple[str, str]] = set()

    def record(self, where: str, error: Exception) -> None:
        """Count `error`; log it if none of its type happened at `where` before."""
        self._counters.add(SelfMetric.HTTP_HANDLER_ERRORS)
        kind = (where, type(error).__name__)
        if kind not in self._logged and len(self._logged) < MAX_KINDS:
            self._logged.add(kind)
            log.error("%s failed, the client got no good answer; logged once, then only counted", where, exc_info=error)
