"""Whole dashboards: variables, links, annotations, and the position of each panel."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from grafana.src.dashboards.panel import DATASOURCE, Panel, render_panel
from kmodmon.types.units import JsonObject

SCHEMA_VERSION = 42
COLUMNS = 24
TAG = "kmodmon"
HOST, FLEET, SELF = "kmodmon-host", "kmodmon-fleet", "kmodmon-self"


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRow:
    """A row: a heading, and the panels below it from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A line in every graph at the time that a timestamp gauge gives."""

    name: str
    expr: str  # gives the time in milliseconds
    title: str  # a template like {{module}}; so is text
    text: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard."""

    uid: str
    title: str
    description: str
    rows: Sequence[PanelRow]
    annotations: Sequence[Annotation] = ()
    variables: Sequence[JsonObject] = ()
    links: Sequence[JsonObject] = ()
    time_from: str = "now-6h"  # the start of the time that is shown at first

    @property
    def file(self) -> str:
        """Name of the file below grafana/dashboards."""
        return f"{self.uid}.json"


def label_variable(name: str, query: str, description: str) -> JsonObject:
    """A variable whose values are those of a label; at first all of them are chosen."""
    return {
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": DATASOURCE,
        "description": description,
        "hide": 0,
        "includeAll": True,
        "label": name,
        "multi": True,
        "name": name,
        "options": [],
        "query": {"qryType": 1, "query": query, "refId": f"variable-{name}"},
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
        "type": "query",
    }


_DATASOURCE_VARIABLE: JsonObject = {
    "current": {"selected": False, "text": "", "value": ""},
    "description": "The Prometheus that has kmodmon's metrics.",
    "hide": 0,
    "includeAll": False,
    "label": "Data Source",
    "multi": False,
    "name": "datasource",
    "options": [],
    "query": "prometheus",
    "refresh": 1,
    "regex": "",
    "skipUrlSync": False,
    "type": "datasource",
}
VARIABLES = (
    _DATASOURCE_VARIABLE,
    label_variable("job", "label_values(kmodmon_build_info, job)", "The scrape job; kmodmon unless you renamed it."),
    label_variable("instance", 'label_values(kmodmon_build_info{job=~"$job"}, instance)', "The hosts."),
)
NAVIGATION_LINK: JsonObject = {
    "asDropdown": False,
    "icon": "external link",
    "includeVars": True,
    "keepTime": True,
    "tags": [TAG],
    "targetBlank": False,
    "title": "kmodmon",
    "tooltip": "The other dashboards of kmodmon, for the same hosts and time.",
    "type": "dashboards",
    "url": "",
}


def web_link(title: str, url: str, tooltip: str) -> JsonObject:
    """A link at the top of a dashboard that leads to a page outside Grafana."""
    link: JsonObject = {"tags": [], "targetBlank": True, "title": title, "tooltip": tooltip, "type": "link", "url": url}
    return {**NAVIGATION_LINK, **link}


def host_link() -> JsonObject:
    """A link from a row of a table that has the column Host to the dashboard of that host."""
    variables = "var-datasource=${datasource}&var-job=$job&var-instance=${__data.fields.Host}&${__url_time_range}"
    return {"title": "This host", "url": f"/d/{HOST}?{variables}", "targetBlank": False}


def as_json(dashboard: Dashboard) -> JsonObject:
    """The dashboard as Grafana imports it."""
    return {
        "annotations": {"list": [_annotation(annotation) for annotation in dashboard.annotations]},
        "description": dashboard.description,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "id": None,
        "links": [NAVIGATION_LINK, *dashboard.links],
        "panels": list(_panels(dashboard.rows)),
        "refresh": "1m",
        "schemaVersion": SCHEMA_VERSION,
        "tags": [TAG],
        "templating": {"list": [*VARIABLES, *dashboard.variables]},
        "time": {"from": dashboard.time_from, "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": dashboard.title,
        "uid": dashboard.uid,
        "version": 1,
        "weekStart": "",
    }


def _annotation(annotation: Annotation) -> JsonObject:
    # Grafana 9 reads the query from the annotation itself, later releases from its target.
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": annotation.expr,
        "hide": False,
        "iconColor": annotation.colour,
        "name": annotation.name,
        "step": "60s",
        "tagKeys": "instance,module",
        "target": {"expr": annotation.expr, "interval": "60s", "refId": "Anno"},
        "textFormat": annotation.text,
        "titleFormat": annotation.title,
        "useValueForTime": "on",
    }


def _panels(rows: Iterable[PanelRow]) -> Iterator[JsonObject]:
    number, y = 1, 0
    for row in rows:
        yield _row_heading(row.title, number, y)
        number, y = number + 1, y + 1
        x = tallest = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            yield render_panel(panel, number, x, y)
            number, x, tallest = number + 1, x + panel.width, max(tallest, panel.height)
        y += tallest


def _row_heading(title: str, number: int, y: int) -> JsonObject:
    position = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
    return {"collapsed": False, "gridPos": position, "id": number, "panels": [], "title": title, "type": "row"}
