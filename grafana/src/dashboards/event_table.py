"""Columns of the tables of what happened: timestamp gauges, latest first."""

from grafana.src.dashboards.panel import FieldStyle, Query, TableColumn
from grafana.src.dashboards.queries import moment_of

STAMPS = "kept for a day, also if the module is gone"
WHEN = TableColumn(source="Value", title="When", look=FieldStyle(unit="dateTimeAsIso"), width=190)
WHOSE = TableColumn(source="instance", title="Host")


def happened(gauge: str, *matchers: str) -> tuple[Query, ...]:
    """When each thing that the gauge tells of happened."""
    return (Query(expr=moment_of(gauge, *matchers), table=True),)
