"""Panels of Grafana dashboards as plain JSON (schema v1), one function a kind of panel.

Colours mean the same everywhere: GOOD is as it should be, WARN wants a look, BAD wants somebody, QUIET says nothing.
Every panel has a description, a unit or value mappings, and a text for when there is no data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from kmodmon.types.units import JsonObject, JsonValue

GOOD, WARN, BAD, QUIET = "green", "orange", "red", "text"
DATASOURCE: JsonObject = {"type": "prometheus", "uid": "${datasource}"}

Steps: TypeAlias = Sequence[tuple[float | None, str]]
Mappings: TypeAlias = Mapping[str, tuple[str, str]]  # value -> text, colour

ON_OFF: Mappings = {"0": ("off", BAD), "1": ("on", GOOD)}
CALM: Steps = ((None, GOOD),)
NONE_IS_GOOD: Steps = ((None, GOOD), (1, WARN))
NONE_IS_VITAL: Steps = ((None, GOOD), (1, BAD))
PLAIN: Steps = ((None, QUIET),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query; `table`: its latest values with their labels as columns."""

    expr: str
    legend: str = ""
    table: bool = False
    ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStyle:
    """How a value is shown: its unit or what its values stand for, and which ones are bad."""

    unit: str = "short"
    mappings: Mappings = field(default_factory=dict)
    steps: Steps = PLAIN
    no_value: str = "no data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel; `width` of 24 columns, `height` of rows of 30 pixels."""

    kind: str
    title: str
    description: str
    queries: Sequence[Query]
    look: FieldStyle
    width: int
    height: int
    options: JsonObject = field(default_factory=dict)
    custom: JsonObject = field(default_factory=dict)
    defaults: JsonObject = field(default_factory=dict)
    overrides: Sequence[JsonObject] = ()
    transformations: Sequence[JsonObject] = ()


def stat(title: str, description: str, expr: str, look: FieldStyle, *, width: int = 3) -> Panel:
    """One number or word in a colour."""
    return Panel(
        kind="stat",
        title=title,
        description=description,
        queries=(Query(expr=expr, legend="{{instance}}"),),
        look=look,
        width=width,
        height=4,
        options={
            "colorMode": "background" if look.steps is not PLAIN or look.mappings else "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showPercentChange": False,
            "textMode": "auto",
            "wideLayout": True,
        },
        defaults={"color": {"mode": "thresholds"}},
    )


def graph(
    title: str,
    description: str,
    queries: Sequence[Query],
    look: FieldStyle,
    *,
    bars: bool = False,
    width: int = 12,
) -> Panel:
    """Values over time; `bars` for what is counted in each step, stacked."""
    return Panel(
        kind="timeseries",
        title=title,
        description=description,
        queries=queries,
        look=look,
        width=width,
        height=8,
        options={
            "legend": {"calcs": ["lastNotNull"], "displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        custom={
            "drawStyle": "bars" if bars else "line",
            "fillOpacity": 80 if bars else 10,
            "lineWidth": 1,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"group": "A", "mode": "normal" if bars else "none"},
            "axisSoftMin": 0,
        },
        defaults={"color": {"mode": "palette-classic"}, "decimals": 0}
        if bars
        else {"color": {"mode": "palette-classic"}},
    )


def timeline(
    title: str, description: str, query: Query, look: FieldStyle, *, width: int = 24, height: int = 7
) -> Panel:
    """States over time, one row a series."""
    return Panel(
        kind="state-timeline",
        title=title,
        description=description,
        queries=(query,),
        look=look,
        width=width,
        height=height,
        options={
            "alignValue": "left",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "mergeValues": True,
            "rowHeight": 0.8,
            "showValue": "never",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        custom={"fillOpacity": 80, "lineWidth": 0},
        defaults={"color": {"mode": "thresholds"}},
    )


def bars(title: str, description: str, query: Query, look: FieldStyle, *, width: int = 8, height: int = 8) -> Panel:
    """One bar a series, as it is now."""
    return Panel(
        kind="bargauge",
        title=title,
        description=description,
        queries=(query,),
        look=look,
        width=width,
        height=height,
        options={
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "maxVizHeight": 24,
            "minVizHeight": 14,
            "minVizWidth": 8,
            "namePlacement": "left",
            "orientation": "horizontal",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showUnfilled": False,
            "sizing": "auto",
            "valueMode": "color",
        },
        defaults={"color": {"mode": "thresholds"}, "min": 0},
    )


def nodes(title: str, description: str, queries: Sequence[Query], look: FieldStyle) -> Panel:
    """What depends on what; the queries are called nodes and edges."""
    return Panel(
        kind="nodeGraph",
        title=title,
        description=description,
        queries=queries,
        look=look,
        width=24,
        height=12,
        options={
            "edges": {},
            "layoutAlgorithm": "layered",
            "nodes": {"mainStatUnit": look.unit},
            "zoomMode": "cooperative",
        },
        transformations=(organize(hide=("Time",), rename={"Value #nodes": "mainstat", "Value #edges": "thickness"}),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column of a table: the field it comes from, its heading, and how it is shown."""

    source: str
    title: str
    look: FieldStyle = FieldStyle()
    link: JsonObject | None = None
    width: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large a table is, what it is sorted by (a heading), and what it says when it is empty."""

    no_value: str
    width: int = 24
    height: int = 9
    sort: str = ""
    descending: bool = False


def table(
    title: str, description: str, queries: Sequence[Query], columns: Sequence[TableColumn], shape: Shape
) -> Panel:
    """Latest values with their labels; only the columns named, in their order."""
    order = {column.source: number for number, column in enumerate(columns)}
    shown = organize(keep=order, rename={column.source: column.title for column in columns})
    joined: tuple[JsonObject, ...] = ({"id": "merge", "options": {}},) if len(queries) > 1 else ()
    sorting: JsonValue = [{"displayName": shape.sort, "desc": shape.descending}] if shape.sort else []
    return Panel(
        kind="table",
        title=title,
        description=description,
        queries=queries,
        look=FieldStyle(no_value=shape.no_value),
        width=shape.width,
        height=shape.height,
        options={"cellHeight": "sm", "frameIndex": 0, "showHeader": True, "sortBy": sorting},
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
        overrides=tuple(_column(column) for column in columns),
        transformations=(*joined, shown),
    )


def _column(column: TableColumn) -> JsonObject:
    look = column.look
    properties: list[JsonObject] = [{"id": "unit", "value": look.unit}]
    if look.mappings:
        properties.append({"id": "mappings", "value": mappings(look.mappings)})
    if look.mappings or look.steps is not PLAIN:
        properties.append({"id": "thresholds", "value": thresholds(look.steps)})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    if column.link is not None:
        properties.append({"id": "links", "value": [column.link]})
    if column.width is not None:
        properties.append({"id": "custom.width", "value": column.width})
    return {"matcher": {"id": "byName", "options": column.title}, "properties": properties}


def organize(
    *, keep: Mapping[str, int] | None = None, hide: Sequence[str] = (), rename: Mapping[str, str]
) -> JsonObject:
    """A transformation that orders, names and leaves out columns; with `keep` all others are left out."""
    options: JsonObject = {
        "excludeByName": dict.fromkeys(hide, True),
        "includeByName": {} if keep is None else dict.fromkeys(keep, True),
        "indexByName": {} if keep is None else dict(keep),
        "renameByName": dict(rename),
    }
    return {"id": "organize", "options": options}


def mappings(found: Mappings) -> JsonValue:
    """Value mappings."""
    options: dict[str, JsonValue] = {
        value: {"text": text, "color": colour, "index": at} for at, (value, (text, colour)) in enumerate(found.items())
    }
    return [{"type": "value", "options": options}]


def thresholds(steps: Steps) -> JsonObject:
    """Thresholds by value; the first one has none."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def rendered(panel: Panel, number: int, x: int, y: int) -> JsonObject:
    """A panel at its place."""
    look = panel.look
    defaults: JsonObject = {
        **panel.defaults,
        "custom": panel.custom,
        "mappings": mappings(look.mappings) if look.mappings else [],
        "noValue": look.no_value,
        "thresholds": thresholds(look.steps),
        "unit": look.unit,
    }
    return {
        "datasource": DATASOURCE,
        "description": panel.description,
        "fieldConfig": {"defaults": defaults, "overrides": list(panel.overrides)},
        "gridPos": {"h": panel.height, "w": panel.width, "x": x, "y": y},
        "id": number,
        "options": panel.options,
        "targets": [_target(query, at) for at, query in enumerate(panel.queries)],
        "title": panel.title,
        "transformations": list(panel.transformations),
        "type": panel.kind,
    }


def _target(query: Query, at: int) -> JsonObject:
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "format": "table" if query.table else "time_series",
        "instant": query.table,
        "legendFormat": query.legend or "__auto",
        "range": not query.table,
        "refId": query.ref or "ABCDEFGHIJKLMNOP"[at],
    }
