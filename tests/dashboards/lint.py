"""The rules of Grafana's dashboard-linter in Python: they make a dashboard work for others than its author.

Names of rules are those of the linter. Exceptions are in grafana/dashboards/.lint, which the linter itself reads too.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from grafana.src.generate import ROOT
from kmodmon.types.units import JsonObject, JsonValue
from tests.promql import selectors

ROOM = ROOT / "grafana/dashboards"
_WITH_UNITS = frozenset({"stat", "timeseries", "gauge", "table", "bargauge"})
_TOTAL_FIELDS = ("job", "instance")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Finding:
    """One broken rule."""

    rule: str
    dashboard: str
    panel: str = ""
    what: str = ""


@cache
def load(path: Path) -> JsonObject:
    """A committed dashboard."""
    document: JsonObject = json.loads(path.read_text())
    return document


def panels(dashboard: JsonObject) -> Iterator[JsonObject]:
    """Every panel that is not a heading."""
    return (panel for panel in objects(dashboard["panels"]) if panel["type"] != "row")


def queries(panel: JsonObject) -> Iterator[JsonObject]:
    """The queries of a panel."""
    return iter(objects(panel["targets"]))


def objects(value: JsonValue) -> Sequence[JsonObject]:
    """A list of objects; anything else is an error of the dashboard."""
    assert isinstance(value, Sequence) and not isinstance(value, str), value
    return [member(element) for element in value]


def member(value: JsonValue, *path: str) -> JsonObject:
    """The object at a path."""
    for name in path:
        assert isinstance(value, Mapping), value
        value = value[name]
    assert isinstance(value, Mapping), value
    return value


def variables(dashboard: JsonObject) -> Mapping[str, JsonObject]:
    """The variables by name."""
    return {str(variable["name"]): variable for variable in objects(member(dashboard, "templating")["list"])}


def findings(path: Path, units: frozenset[str]) -> list[Finding]:
    """What is wrong with a dashboard, exceptions included."""
    dashboard = load(path)
    title = str(dashboard["title"])
    result = [Finding(rule=rule, dashboard=title, what=what) for rule, what in _of_dashboard(dashboard)]
    for panel in panels(dashboard):
        name = str(panel.get("title", ""))
        violations = [*_of_panel(panel, units)]
        for query in queries(panel):
            violations += _of_query(str(query["expr"]))
        result += (Finding(rule=rule, dashboard=title, panel=name, what=what) for rule, what in violations)
    return result


def exceptions() -> set[Finding]:
    """What .lint excuses."""
    listed = yaml.safe_load((ROOM / ".lint").read_text())["exclusions"]
    return {
        Finding(rule=rule, dashboard=entry["dashboard"], panel=entry["panel"])
        for rule, exclusion in listed.items()
        for entry in exclusion["entries"]
    }


Violations = Iterator[tuple[str, str]]


def _of_dashboard(dashboard: JsonObject) -> Violations:
    if dashboard["editable"] is not False:
        yield "uneditable-dashboard-rule", "editable"
    by_name = variables(dashboard)
    sources = [name for name, variable in by_name.items() if variable["type"] == "datasource"]
    source = by_name.get("datasource", {})
    if sources != ["datasource"] or source.get("label") != "Data Source" or source.get("query") != "prometheus":
        yield "template-datasource-rule", str(sources)
    for name in _TOTAL_FIELDS:
        yield from _of_target_variable(name, by_name.get(name, {}))
    for name, variable in by_name.items():
        if variable["type"] == "query":
            if variable["refresh"] != 2:
                yield "template-on-time-change-reload-rule", name
            if not re.match(r"label_values\(", str(member(variable["query"])["query"])):
                yield "template-label-promql-rule", name


def _of_target_variable(name: str, variable: JsonObject) -> Violations:
    wanted = {"type": "query", "multi": True, "allValue": ".+", "label": name, "includeAll": True}
    wrong = [key for key, value in wanted.items() if variable.get(key) != value]
    if member(variable.get("datasource", {})).get("uid") != "${datasource}":
        wrong.append("datasource")
    if wrong:
        yield f"template-{name}-rule", ", ".join(wrong)


def _of_panel(panel: JsonObject, units: frozenset[str]) -> Violations:
    if member(panel["datasource"]).get("uid") != "${datasource}":
        yield "panel-datasource-rule", str(panel["datasource"])
    if not panel.get("title") or not panel.get("description"):
        yield "panel-title-description-rule", "title or description"
    if not panel["targets"]:
        yield "panel-no-targets-rule", "no query"
    yield from _of_units(panel, units)


def _of_units(panel: JsonObject, units: frozenset[str]) -> Violations:
    defaults = member(panel, "fieldConfig", "defaults")
    if panel["type"] in _WITH_UNITS and defaults.get("unit") not in units and not defaults.get("mappings"):
        yield "panel-units-rule", str(defaults.get("unit"))
    for override in objects(member(panel, "fieldConfig")["overrides"]):
        for field in objects(override["properties"]):
            if field["id"] == "unit" and field["value"] not in units:
                yield "panel-units-rule", str(field["value"])


def _of_query(expr: str) -> Violations:
    for name, matchers, window in selectors(expr):
        for label in _TOTAL_FIELDS:
            if not re.search(rf"\b{label}=~", matchers) or f'{label}=~"${label}"' not in expr:
                yield f"target-{label}-rule", name
        if window and window not in ("[$__rate_interval]", "[$__range]"):
            yield "target-rate-interval-rule", window
        grows = re.search(rf"\b(rate|irate|increase)\({re.escape(name)}\b", expr)
        if grows and window != "[$__rate_interval]":
            yield "target-rate-interval-rule", f"{name}{window}"
        if name.endswith("_total") and not grows:
            yield "target-counter-agg-rule", name
