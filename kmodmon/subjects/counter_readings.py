"""The kernel's own counters and its taint number, as the latest readings showed them: they confirm what the log says.

A report in the log is text, and text can be forged. The kernel counts most of its failures as well
(/sys/kernel/oops_count and the like), or sets a taint bit, where no text reaches. So it is kept when each number
changed: whoever asks whether a number moved since a moment compares with the last reading before that moment. A number
that was never read before the moment counts as 0, which it was at boot.

In memory only: a new process reads the numbers anew, and what the ring holds from before is compared with 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from kmodmon.types.units import Instant

TAINTED = "tainted"
"""The name of the taint number among the counters."""

MAX_SPANS = 64  # changes of one number that are kept
KEPT_USEC = 600_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """Readings in a row that gave the same value."""

    value: int
    first_usec: int  # CLOCK_MONOTONIC of the first of them
    last_usec: int  # of the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterReadings:
    """The readings of each number, by its name: one of `kernel.sysctl.COUNTERS`, or TAINTED."""

    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=lambda: MappingProxyType({}))  # the oldest first

    def has(self, name: str) -> bool:
        """Whether this kernel has the number, and it could be read."""
        return name in self.spans

    def read_usec(self, name: str) -> int:
        """CLOCK_MONOTONIC of the last reading of a number that :meth:`has`."""
        return self.spans[name][-1].last_usec

    def before(self, name: str, moment_usec: int) -> int:
        """The value at the last reading before a moment; 0: there was no reading."""
        return next((span.value for span in reversed(self.spans[name]) if span.first_usec <= moment_usec), 0)

    def rose(self, name: str, moment_usec: int) -> bool:
        """Whether a counter rose after the last reading before a moment. Root may set some of them back to 0."""
        return any(new > old for old, new in self._steps(name, moment_usec))

    def gained(self, bits: int, moment_usec: int) -> bool:
        """Whether one of these taint bits was newly set after the last reading before a moment."""
        return any(new & ~old & bits for old, new in self._steps(TAINTED, moment_usec))

    def _steps(self, name: str, moment_usec: int) -> list[tuple[int, int]]:
        spans = self.spans.get(name, ())
        if not spans:
            return []
        values = [self.before(name, moment_usec), *(span.value for span in spans if span.first_usec > moment_usec)]
        return list(pairwise(values))


UNREAD_COUNTERS = CounterReadings()


def with_reading(readings: CounterReadings, values: Mapping[str, int], at: Instant) -> CounterReadings:
    """Add one reading; `at`: before the files were read, so that nothing in it is older."""
    new = {name: _extended(readings.spans.get(name, ()), value, at.monotonic_usec) for name, value in values.items()}
    return CounterReadings(spans=MappingProxyType({**readings.spans, **new}))


def _extended(spans: tuple[Span, ...], value: int, at_usec: int) -> tuple[Span, ...]:
    if spans and spans[-1].value == value:
        return (*spans[:-1], Span(value, spans[-1].first_usec, at_usec))
    spans = (*spans, Span(value, at_usec, at_usec))
    # The oldest span stays as the value before all others: with one that is older than needed more is believed.
    while len(spans) > 2 and spans[1].last_usec < at_usec - KEPT_USEC:
        spans = spans[1:]
    return spans if len(spans) <= MAX_SPANS else (spans[0], *spans[2:])
