"""The trials of all alerts, one file a theme, as in grafana/src/alerts."""

from tests.alerts.case import Case
from tests.alerts.cases import fleet, hidden, log, modules, own, parameters, policy, posture, provenance, reports, taint

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
    *own.CASES,
    *fleet.CASES,
)
