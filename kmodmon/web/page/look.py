"""What one rendering of the page is made from, and the questions about it that several of its parts ask."""

from dataclasses import dataclass

from kmodmon.events.event import Severity, StoredEvent
from kmodmon.kernel.taint import Flag, Tier, decode
from kmodmon.state.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData:
    """The state, and the newest of the history, newest first; `trouble` says why that cannot be read."""

    state: State
    events: tuple[StoredEvent, ...] = ()
    reports: tuple[StoredEvent, ...] = ()
    trouble: str = ""

    @property
    def as_of(self) -> int | None:
        """When anything was last read, in microseconds of CLOCK_REALTIME; None: nothing was read yet."""
        read = (source.last_read.realtime_usec for source in self.state.sources.values() if source.last_read)
        return max(read, default=None)

    @property
    def flags(self) -> tuple[Flag, ...]:
        """The taint flags that are set."""
        return decode(self.state.taint.value or 0, self.state.taint.flags)

    @property
    def violations(self) -> tuple[Severity, ...]:
        """Severities of the findings that count, the worst first."""
        return tuple(one.severity for one in self.state.findings.current.values() if not one.dry_run)

    @property
    def tone(self) -> str:
        """How the kernel as a whole is shown: after the gravest of its taint flags and findings."""
        tones = {TIER_TONES[flag.tier] for flag in self.flags} | {SEVERITY_TONES[one] for one in self.violations}
        good = "unknown" if self.state.taint.value is None else "good"
        return next((tone for tone in ("critical", "bad", "warn", "notice") if tone in tones), good)


SEVERITY_TONES = {
    Severity.CRITICAL: "critical",
    Severity.ERROR: "bad",
    Severity.WARNING: "warn",
    Severity.NOTICE: "notice",
    Severity.INFO: "plain",
}
TIER_TONES = {Tier.INFORMATIONAL: "notice", Tier.DEGRADED: "warn", Tier.SECURITY: "bad"}
