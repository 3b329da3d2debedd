"""The test cases of all alerts, one file for each theme, as in grafana/src/alerts."""

from tests.alerts.case import Case
from tests.alerts.cases import (
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

CASES: tuple[Case, ...] = (
    *modules.CASES,
    *hidden.CASES,
    *provenance.CASES,
    *policy.CASES,
    *taint.CASES,
    *posture.CASES,
    *parameters.CASES,
    *reports.CASES,
    *log.CASES,
    *self_monitoring.CASES,
    *fleet.CASES,
)
