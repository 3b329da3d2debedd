"""Whole dashboards: variables, links between them, annotations, and panels laid out in rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from grafana.src.dashboards.panel import DATASOURCE, Panel, rendered
from kmodmon.types.units import JsonObject

SCHEMA_VERSION = 42
COLUMNS = 24
TAG = "kmodmon"
HOST, FLEET, OWN = "kmodmon-host", "kmodmon-fleet", "kmodmon-self"


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRow:
    """A heading and the panels below it."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An annotation: a line in the graphs at the moment that a timestamp gauge says."""

    name: str
    expr: str
    title: str
    text: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard."""

    uid: str
    title: str
    description: str
    rows: Sequence[PanelRow]
    marks: Sequence[Mark] = ()
    variables: Sequence[JsonObject] = ()
    links: Sequence[JsonObject] = ()
    since: str = "now-6h"

    @property
    def file(self) -> str:
        """Its file below grafana/dashboards."""
        return f"{self.uid}.json"


def variable(name: str, query: str, description: str) -> JsonObject:
    """A variable that offers the values of a label; all of them to begin with."""
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


_SOURCE: JsonObject = {
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
    _SOURCE,
    variable("job", "label_values(kmodmon_build_info, job)", "The scrape job; kmodmon unless you renamed it."),
    variable("instance", 'label_values(kmodmon_build_info{job=~"$job"}, instance)', "The hosts."),
)
SIBLINGS: JsonObject = {
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
    """A link in the head of a dashboard."""
    return {**SIBLINGS, "tags": [], "targetBlank": True, "title": title, "tooltip": tooltip, "type": "link", "url": url}


def host_link() -> JsonObject:
    """From a row with an instance to that host's dashboard."""
    variables = "var-datasource=${datasource}&var-job=$job&var-instance=${__data.fields.Host}&${__url_time_range}"
    return {"title": "This host", "url": f"/d/{HOST}?{variables}", "targetBlank": False}


def as_json(dashboard: Dashboard) -> JsonObject:
    """The dashboard as Grafana imports it."""
    return {
        "annotations": {"list": [_mark(mark) for mark in dashboard.marks]},
        "description": dashboard.description,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "id": None,
        "links": [SIBLINGS, *dashboard.links],
        "panels": list(_panels(dashboard.rows)),
        "refresh": "1m",
        "schemaVersion": SCHEMA_VERSION,
        "tags": [TAG],
        "templating": {"list": [*VARIABLES, *dashboard.variables]},
        "time": {"from": dashboard.since, "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": dashboard.title,
        "uid": dashboard.uid,
        "version": 1,
        "weekStart": "",
    }


def _mark(mark: Mark) -> JsonObject:
    # Grafana 9 reads the query from the annotation itself, later ones from its target.
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": mark.expr,
        "hide": False,
        "iconColor": mark.colour,
        "name": mark.name,
        "step": "60s",
        "tagKeys": "instance,module",
        "target": {"expr": mark.expr, "interval": "60s", "refId": "Anno"},
        "textFormat": mark.text,
        "titleFormat": mark.title,
        "useValueForTime": "on",
    }


def _panels(rows: Iterable[PanelRow]) -> Iterator[JsonObject]:
    number, y = 1, 0
    for row in rows:
        yield _heading(row.title, number, y)
        number, y = number + 1, y + 1
        x = tallest = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            yield rendered(panel, number, x, y)
            number, x, tallest = number + 1, x + panel.width, max(tallest, panel.height)
        y += tallest


def _heading(title: str, number: int, y: int) -> JsonObject:
    place = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
    return {"collapsed": False, "gridPos": place, "id": number, "panels": [], "title": title, "type": "row"}
