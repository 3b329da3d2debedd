"""Moments on a command line: `1h` (ago), `2026-11-23 12:00`, `2026-11-23T12:00:00Z`, `@1700000000`, `today`."""

import re
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo

from kmodmon.config.values import Duration

HINT = "write a span such as 1h or 2d12h (ago), a date and time such as 2026-11-23 or 2026-11-23T12:00, or @SECONDS"
_AGO = Duration()
_LAST_USEC = 253_402_300_799 * 1_000_000  # the end of the year 9999


def moment(text: str, now_usec: int, zone: tzinfo | None = None) -> int:
    """Parse a moment to CLOCK_REALTIME in microseconds; `zone` None: the local one. Raises ValueError with advice."""
    match text:
        case "now":
            return now_usec
        case "today" | "yesterday":
            midnight = datetime.fromtimestamp(now_usec / 1e6, zone).replace(hour=0, minute=0, second=0, microsecond=0)
            return _usec(midnight if text == "today" else midnight - timedelta(days=1), zone)
    if seconds := re.fullmatch(r"@([0-9]{1,12})(?:\.([0-9]{1,6}))?", text):
        return int(seconds[1]) * 1_000_000 + int((seconds[2] or "").ljust(6, "0"))
    with suppress(ValueError):  # not a span
        return now_usec - int(_AGO.read(text) * 1_000_000)
    try:
        return _usec(datetime.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no moment; {HINT}") from None


def _usec(when: datetime, zone: tzinfo | None) -> int:
    if when.tzinfo is None:
        when = when.replace(tzinfo=zone) if zone is not None else when.astimezone()
    usec = round(when.timestamp() * 1_000_000)
    if not 0 <= usec <= _LAST_USEC:
        raise ValueError("before 1970 or after 9999")
    return usec
