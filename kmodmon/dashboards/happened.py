"""Columns of the tables of what happened: timestamp gauges, latest first."""

from kmodmon.dashboards.panel import Column, Look, Query
from kmodmon.dashboards.queries import moment_of

STAMPS = "kept for a day, also if the module is gone"
WHEN = Column(source="Value", title="When", look=Look(unit="dateTimeAsIso"), width=190)
WHOSE = Column(source="instance", title="Host")


def happened(gauge: str, *matchers: str) -> tuple[Query, ...]:
    """When each thing that the gauge tells of happened."""
    return (Query(expr=moment_of(gauge, *matchers), table=True),)
