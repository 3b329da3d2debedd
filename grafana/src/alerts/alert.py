"""How an alert, a recording and what belongs to them are declared.

An alert is about what *happened* or about what *is*. What happened is read from timestamp gauges, which outlive the
thing they tell of, so nothing is missed between two scrapes; the alert fires for RECENT after the event. What is, is
read from state metrics, and the alert clears with the state.
"""

from dataclasses import dataclass, field
from enum import StrEnum

RUNBOOK_BASE = "https://kmodmon.example/RUNBOOK.md"
"""Where the operator publishes grafana/RUNBOOK.md: a reserved name, to be replaced by one's own in the rules file."""


class Level(StrEnum):
    """The label `severity`, as mixins use it: who is told."""

    CRITICAL = "critical"  # wakes somebody
    WARNING = "warning"  # a ticket: today or tomorrow
    INFO = "info"  # told to nobody; seen on dashboards


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """What the person who is woken reads. `commands` are the first three to type on the host."""

    meaning: str
    impact: str
    commands: tuple[str, str, str]
    clears: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibit:
    """While the alert that holds this fires, those of `targets` (a pattern) with the same `equal` labels are mute."""

    targets: str
    equal: tuple[str, ...]
    levels: tuple[Level, ...] = tuple(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alerting rule. `summary` is a fixed sentence; `description` is a template: who, what, where.

    `keep_firing` bridges scrapes that fail meanwhile: the series of a host that is not scraped are gone at once.
    `attack` are technique ids of MITRE ATT&CK.
    """

    name: str
    level: Level
    expr: str
    summary: str
    description: str
    runbook: Runbook
    hold: str = ""
    keep_firing: str = ""
    attack: tuple[str, ...] = ()
    inhibits: tuple[Inhibit, ...] = ()

    @property
    def runbook_url(self) -> str:
        """Where its section of the runbook is."""
        return f"{RUNBOOK_BASE}#{self.name.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording rule; `name` is level:metric:operations, `says` a sentence for the reference."""

    name: str
    expr: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated one after the other, recordings first; `interval`: not as often as the others."""

    name: str
    interval: str = ""
    alerts: tuple[Alert, ...] = ()
    recordings: tuple[Recording, ...] = field(default=())
