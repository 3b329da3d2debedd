"""How far each signal covers the past at one moment: whether its silence about a module means something."""

from dataclasses import dataclass

from kmodmon.lifecycle.inventory import Loaded
from kmodmon.lifecycle.pending import MARGIN_USEC, READ_USEC, Discrepancy, Lifecycle, LifecycleContext
from kmodmon.lifecycle.signals import TraceEntry
from kmodmon.types.units import Instant


@dataclass(frozen=True, slots=True)
class SignalCoverage:
    """What the signals cover at `context.at`."""

    lifecycle: Lifecycle
    context: LifecycleContext

    @property
    def is_first_reading(self) -> bool:
        """Whether /proc/modules was not read before, in this run."""
        return self.lifecycle.listed_at is None

    @property
    def is_trace_read(self) -> bool:
        """Whether the trace is open."""
        return self.lifecycle.trace_since is not None

    @property
    def may_trace_report(self) -> bool:
        """Whether the trace is open or about to be: an event that it did not report yet may still come."""
        return self.is_trace_read or self.context.trace_expected

    def is_trace_complete_since(self, moment: Instant) -> bool:
        """Whether no trace event at or after `moment` can have been lost."""
        since = self.lifecycle.trace_since
        return since is not None and moment.monotonic_usec > since.monotonic_usec + MARGIN_USEC

    def is_trace_confirmed_past(self, moment: Instant) -> bool:
        """Whether the trace was intact and read to its end after `moment`: it has no more events of that time."""
        intact = self.lifecycle.trace_intact
        return intact is not None and intact.monotonic_usec > moment.monotonic_usec + READ_USEC

    def is_list_read_since(self, moment: Instant) -> bool:
        """Whether /proc/modules was read clearly after `moment`."""
        listed = self.lifecycle.listed_at
        return listed is not None and listed.monotonic_usec > moment.monotonic_usec + MARGIN_USEC

    def is_end_traced(self, loaded: Loaded, discrepancy: Discrepancy) -> bool:
        """Whether the trace would have an unload of the module after it was last known to be loaded."""
        since = self.lifecycle.trace_since
        if since is None or since.monotonic_usec > discrepancy.since.monotonic_usec:
            return False
        if "trace" in loaded.signals and loaded.at is not None and loaded.at.monotonic_usec > since.monotonic_usec:
            return True
        return discrepancy.present_at is not None and self.is_trace_complete_since(discrepancy.present_at)

    def age(self, since: Instant) -> int:
        """Microseconds from `since` to now."""
        return self.context.at.monotonic_usec - since.monotonic_usec

    def init_time(self, since: Instant) -> int:
        """Microseconds from `since` to now, as far as the trace is read: it may have the end of that init."""
        until = self.lifecycle.trace_intact if self.is_trace_read else self.context.at
        return 0 if until is None else until.monotonic_usec - since.monotonic_usec

    def time_of(self, entry: TraceEntry) -> Instant:
        """The moment of a trace event on both clocks."""
        return self.context.at.back_to(entry.monotonic_usec)

    def is_before_start(self, entry: TraceEntry) -> bool:
        """Whether a trace event is older than this process."""
        return entry.monotonic_usec < self.context.started.monotonic_usec
