"""Declarations of alerting rules, recording rules, their runbook sections and their inhibitions.

An alert is about an event or about a state. Events are read from timestamp gauges, which remain after the module or
file they name is gone, so none is missed between two scrapes; the alert fires for RECENT after the event. States are
read from the gauges of the current state, and the alert clears with the state.
"""

from dataclasses import dataclass
from enum import StrEnum

RUNBOOK_BASE = "https://kmodmon.example/RUNBOOK.md"
"""Where the operator publishes grafana/RUNBOOK.md: a reserved domain, which the operator replaces in the rules file."""


class AlertSeverity(StrEnum):
    """The label `severity` with the values that Prometheus mixins use: it decides who is notified."""

    CRITICAL = "critical"  # the person on call, at once
    WARNING = "warning"  # a ticket: today or tomorrow
    INFO = "info"  # nobody; shown on dashboards


BELOW_CRITICAL = (AlertSeverity.WARNING, AlertSeverity.INFO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """The section of RUNBOOK.md about one alert."""

    meaning: str
    impact: str
    commands: tuple[str, str, str]  # the first three to run on the host
    clears: str  # when the alert stops


@dataclass(frozen=True, slots=True, kw_only=True)
class InhibitRule:
    """An inhibition of Alertmanager: while the alert that has this rule fires, the target alerts are muted."""

    targets: str  # a regular expression for the names of the target alerts
    equal: tuple[str, ...]  # labels that must have the same value in both alerts
    severities: tuple[AlertSeverity, ...] = tuple(AlertSeverity)  # of the target alerts


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alerting rule, with its runbook section and the alerts that it inhibits."""

    name: str
    severity: AlertSeverity
    expr: str
    summary: str  # a fixed sentence
    description: str  # a template of Prometheus: who, what, where
    runbook: Runbook
    hold: str = ""  # `for` of the rule; empty: the alert fires at the first evaluation
    # `keep_firing_for` of the rule, for failed scrapes: the series of a host that is not scraped end at once.
    keep_firing_for: str = ""
    attack: tuple[str, ...] = ()  # technique ids of MITRE ATT&CK
    inhibit_rules: tuple[InhibitRule, ...] = ()

    @property
    def runbook_url(self) -> str:
        """The address of its section in the runbook."""
        return f"{RUNBOOK_BASE}#{self.name.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording rule."""

    name: str  # level:metric:operations, as Prometheus recommends
    expr: str
    description: str  # a sentence about the result, for the rule file and grafana/README.md


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One rule group: Prometheus evaluates its rules one after the other, recordings first."""

    name: str
    interval: str = ""  # of the evaluation; empty: the interval that Prometheus is configured with
    alerts: tuple[Alert, ...] = ()
    recordings: tuple[Recording, ...] = ()
    sampled_states: tuple[str, ...] = ()  # states that its alerts compare with the last day, see recordings.py
