"""The trials of all alerts, one file a theme, as in kmodmon/alerts."""

from tests.alerts.case import Case
from tests.alerts.cases import fleet, log, modules, own, parameters, posture, reports, taint

CASES: tuple[Case, ...] = (
    *modules.CASES,
    *taint.CASES,
    *posture.CASES,
    *parameters.CASES,
    *reports.CASES,
    *log.CASES,
    *own.CASES,
    *fleet.CASES,
)
