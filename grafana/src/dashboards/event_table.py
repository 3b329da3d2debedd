"""Tables of events, read from timestamp gauges: one row a series, the latest event first."""

from collections.abc import Sequence
from dataclasses import replace

from grafana.src.dashboards.panel import FieldStyle, Panel, TableColumn, TableOptions, table

RETENTION = "kept for a day, also if the module is gone"
TIME_COLUMN = TableColumn(source="Value", title="When", style=FieldStyle(unit="dateTimeAsIso"), width=190)
HOST_COLUMN = TableColumn(source="instance", title="Host")
MODULE_COLUMN = TableColumn(source="module", title="Module")


def event_table(
    title: str, description: str, expr: str, columns: Sequence[TableColumn], options: TableOptions
) -> Panel:
    """A table sorted by its first column, the time of the event; `expr` gives that time in milliseconds."""
    return table(title, description, (expr,), columns, replace(options, sort=columns[0].title, descending=True))
