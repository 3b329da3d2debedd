"""The rules of Grafana's dashboard-linter, written anew: what makes a dashboard work for others than its author.

Names of rules are the linter's. Exceptions stand in grafana/dashboards/.lint, which the linter itself reads too.
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
    return [member(one) for one in value]


def member(value: JsonValue, *path: str) -> JsonObject:
    """The object at a path."""
    for name in path:
        assert isinstance(value, Mapping), value
        value = value[name]
    assert isinstance(value, Mapping), value
    return value


def variables(dashboard: JsonObject) -> Mapping[str, JsonObject]:
    """The variables by name."""
    return {str(one["name"]): one for one in objects(member(dashboard, "templating")["list"])}


def findings(path: Path, units: frozenset[str]) -> list[Finding]:
    """What is wrong with a dashboard, exceptions included."""
    dashboard = load(path)
    title = str(dashboard["title"])
    found = [Finding(rule=rule, dashboard=title, what=what) for rule, what in _of_dashboard(dashboard)]
    for panel in panels(dashboard):
        name = str(panel.get("title", ""))
        told = (*_of_panel(panel, units), *(one for query in queries(panel) for one in _of_query(str(query["expr"]))))
        found += (Finding(rule=rule, dashboard=title, panel=name, what=what) for rule, what in told)
    return found


def exceptions() -> set[Finding]:
    """What .lint excuses."""
    listed = yaml.safe_load((ROOM / ".lint").read_text())["exclusions"]
    return {
        Finding(rule=rule, dashboard=entry["dashboard"], panel=entry["panel"])
        for rule, one in listed.items()
        for entry in one["entries"]
    }


Told = Iterator[tuple[str, str]]


def _of_dashboard(dashboard: JsonObject) -> Told:
    if dashboard["editable"] is not False:
        yield "uneditable-dashboard-rule", "editable"
    known = variables(dashboard)
    sources = [name for name, one in known.items() if one["type"] == "datasource"]
    source = known.get("datasource", {})
    if sources != ["datasource"] or source.get("label") != "Data Source" or source.get("query") != "prometheus":
        yield "template-datasource-rule", str(sources)
    for name in _TOTAL_FIELDS:
        yield from _of_target_variable(name, known.get(name, {}))
    for name, one in known.items():
        if one["type"] == "query":
            if one["refresh"] != 2:
                yield "template-on-time-change-reload-rule", name
            if not re.match(r"label_values\(", str(member(one["query"])["query"])):
                yield "template-label-promql-rule", name


def _of_target_variable(name: str, one: JsonObject) -> Told:
    wanted = {"type": "query", "multi": True, "allValue": ".+", "label": name, "includeAll": True}
    wrong = [key for key, value in wanted.items() if one.get(key) != value]
    if member(one.get("datasource", {})).get("uid") != "${datasource}":
        wrong.append("datasource")
    if wrong:
        yield f"template-{name}-rule", ", ".join(wrong)


def _of_panel(panel: JsonObject, units: frozenset[str]) -> Told:
    if member(panel["datasource"]).get("uid") != "${datasource}":
        yield "panel-datasource-rule", str(panel["datasource"])
    if not panel.get("title") or not panel.get("description"):
        yield "panel-title-description-rule", "title or description"
    if not panel["targets"]:
        yield "panel-no-targets-rule", "no query"
    yield from _of_units(panel, units)


def _of_units(panel: JsonObject, units: frozenset[str]) -> Told:
    defaults = member(panel, "fieldConfig", "defaults")
    if panel["type"] in _WITH_UNITS and defaults.get("unit") not in units and not defaults.get("mappings"):
        yield "panel-units-rule", str(defaults.get("unit"))
    for override in objects(member(panel, "fieldConfig")["overrides"]):
        for one in objects(override["properties"]):
            if one["id"] == "unit" and one["value"] not in units:
                yield "panel-units-rule", str(one["value"])


def _of_query(expr: str) -> Told:
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
