"""Layer 2: alerting and recording rules for Prometheus, one file for each theme. Every theme is listed here only."""

from grafana.src.alerts import (
    fleet,
    hidden,
    log,
    modules,
    parameters,
    policy,
    posture,
    provenance,
    reports,
    self_monitoring,
    taint,
)
from grafana.src.alerts.alert import Alert, Group
from grafana.src.alerts.recordings import state_samples

_THEMES: tuple[Group, ...] = (
    modules.GROUP,
    hidden.GROUP,
    provenance.GROUP,
    policy.GROUP,
    taint.GROUP,
    posture.GROUP,
    parameters.GROUP,
    reports.GROUP,
    log.GROUP,
    self_monitoring.GROUP,
)
HOST_GROUPS: tuple[Group, ...] = (*_THEMES, state_samples(_THEMES))
FLEET_GROUPS: tuple[Group, ...] = (fleet.GROUP,)
GROUPS = (*HOST_GROUPS, *FLEET_GROUPS)
ALERTS: tuple[Alert, ...] = tuple(alert for group in GROUPS for alert in group.alerts)
