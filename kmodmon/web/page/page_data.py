"""What one rendering of the status page shows, and what several of its parts derive from it."""

from dataclasses import dataclass

from kmodmon.events.event import Severity, StoredEvent
from kmodmon.kernel.taint import Flag, Tier, decode
from kmodmon.state.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData:
    """The state, and the newest of the history, newest first."""

    state: State
    events: tuple[StoredEvent, ...] = ()
    reports: tuple[StoredEvent, ...] = ()
    """Events of type KERNEL_REPORT."""
    history_error: str = ""
    """Why the history cannot be read; empty: it was read."""

    @property
    def as_of(self) -> int | None:
        """When a source was last read, in microseconds of CLOCK_REALTIME; None: nothing was read yet."""
        read = (source.last_read.realtime_usec for source in self.state.sources.values() if source.last_read)
        return max(read, default=None)

    @property
    def flags(self) -> tuple[Flag, ...]:
        """The taint flags that are set."""
        return decode(self.state.taint.value or 0, self.state.taint.flags)

    @property
    def violations(self) -> tuple[Severity, ...]:
        """Severities of the findings that are not a dry run, the worst first."""
        return tuple(finding.severity for finding in self.state.findings.current.values() if not finding.dry_run)

    @property
    def tone(self) -> str:
        """The colour of the whole page: that of the gravest taint flag or finding."""
        tones = {TIER_TONES[flag.tier] for flag in self.flags}
        tones |= {SEVERITY_TONES[severity] for severity in self.violations}
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
