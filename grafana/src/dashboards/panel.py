"""Panels of Grafana dashboards as plain JSON (schema v1), one function for each panel type.

Colours have one meaning: GOOD is as it should be, WARN should be checked, BAD needs action now, NEUTRAL is no verdict.
Every panel has a description, a unit or value mappings, and a text that it shows when there is no data.

Grafana ignores options that its release does not know, so one file serves Grafana 9 to 13. The keys are checked against
the TypeScript types of @grafana/schema (tests/dashboards/test_types.py). grafana-foundation-sdk was measured and is not
used: each of its builds covers one Grafana release, its annotations have no Prometheus query, and its overrides and
transformations take any object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from kmodmon.types.units import JsonObject, JsonValue

GOOD, WARN, BAD, NEUTRAL = "green", "orange", "red", "text"
DATASOURCE: JsonObject = {"type": "prometheus", "uid": "${datasource}"}

ThresholdSteps: TypeAlias = Sequence[tuple[float | None, str]]
"""Lower bound (None: from minus infinity) and the colour from there on, in rising order."""
ValueMappings: TypeAlias = Mapping[str, tuple[str, str]]
"""By value: the text that is shown instead of it, and its colour."""

ON_OFF: ValueMappings = {"0": ("off", BAD), "1": ("on", GOOD)}
ALWAYS_GOOD: ThresholdSteps = ((None, GOOD),)
WARN_FROM_ONE: ThresholdSteps = ((None, GOOD), (1, WARN))
BAD_FROM_ONE: ThresholdSteps = ((None, GOOD), (1, BAD))
NO_THRESHOLDS: ThresholdSteps = ((None, NEUTRAL),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One PromQL query of a panel."""

    expr: str
    legend: str = ""  # a template like {{instance}}; empty: Grafana writes the labels
    table: bool = False  # the latest values, with the labels as columns; False: values over time
    ref_id: str = ""  # the name of the result in Grafana; empty: A, B, C in the order of the queries


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStyle:
    """How a value is shown."""

    unit: str = "short"  # an id of Grafana's units
    mappings: ValueMappings = field(default_factory=dict)
    steps: ThresholdSteps = NO_THRESHOLDS
    no_value: str = "no data"  # the text that is shown when there is no data


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel; `options` and the fields after it are Grafana's keys of the same names."""

    panel_type: str
    title: str
    description: str
    queries: Sequence[Query]
    style: FieldStyle
    width: int  # of the 24 columns of a dashboard
    height: int  # in rows of 30 pixels
    options: JsonObject = field(default_factory=dict)
    custom: JsonObject = field(default_factory=dict)
    defaults: JsonObject = field(default_factory=dict)
    overrides: Sequence[JsonObject] = ()
    transformations: Sequence[JsonObject] = ()


def stat(title: str, description: str, expr: str, style: FieldStyle, *, width: int = 3) -> Panel:
    """A stat panel: one number or word in a colour."""
    return Panel(
        panel_type="stat",
        title=title,
        description=description,
        queries=(Query(expr=expr, legend="{{instance}}"),),
        style=style,
        width=width,
        height=4,
        options={
            "colorMode": "background" if style.steps is not NO_THRESHOLDS or style.mappings else "value",
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


def timeseries(
    title: str, description: str, queries: Sequence[Query], style: FieldStyle, *, bars: bool = False, width: int = 12
) -> Panel:
    """Values over time: lines, or with `bars` the count of each step, stacked."""
    return Panel(
        panel_type="timeseries",
        title=title,
        description=description,
        queries=queries,
        style=style,
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


def state_timeline(
    title: str, description: str, query: Query, style: FieldStyle, *, width: int = 24, height: int = 7
) -> Panel:
    """States over time, one row for each series."""
    return Panel(
        panel_type="state-timeline",
        title=title,
        description=description,
        queries=(query,),
        style=style,
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


def bar_gauge(title: str, description: str, query: Query, style: FieldStyle) -> Panel:
    """The latest value of each series as a bar."""
    return Panel(
        panel_type="bargauge",
        title=title,
        description=description,
        queries=(query,),
        style=style,
        width=8,
        height=8,
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


def node_graph(title: str, description: str, nodes: str, edges: str, style: FieldStyle) -> Panel:
    """A graph of dependencies; the queries `nodes` and `edges` give the fields that Grafana's node graph reads."""
    return Panel(
        panel_type="nodeGraph",
        title=title,
        description=description,
        queries=(Query(expr=nodes, table=True, ref_id="nodes"), Query(expr=edges, table=True, ref_id="edges")),
        style=style,
        width=24,
        height=12,
        options={
            "edges": {},
            "layoutAlgorithm": "layered",
            "nodes": {"mainStatUnit": style.unit},
            "zoomMode": "cooperative",
        },
        transformations=(_organize(hide=("Time",), rename={"Value #nodes": "mainstat", "Value #edges": "thickness"}),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column of a table."""

    source: str  # a label, or the value: "Value" of a single query, else "Value #A", "Value #B" in their order
    title: str
    style: FieldStyle = FieldStyle()
    link: JsonObject | None = None  # None: the cells are no links
    width: int | None = None  # in pixels; None: Grafana divides the space


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """Size and order of a table, and the text that it shows when it is empty."""

    no_value: str
    width: int = 24
    height: int = 9
    sort: str = ""  # the title of a column; empty: in the order of Prometheus
    descending: bool = False


def table(
    title: str, description: str, exprs: Sequence[str], columns: Sequence[TableColumn], options: TableOptions
) -> Panel:
    """The latest results of the queries, joined by their labels; only the columns named, in their order."""
    order = {column.source: number for number, column in enumerate(columns)}
    organized = _organize(keep=order, rename={column.source: column.title for column in columns})
    merge: tuple[JsonObject, ...] = ({"id": "merge", "options": {}},) if len(exprs) > 1 else ()
    sort: JsonValue = [{"displayName": options.sort, "desc": options.descending}] if options.sort else []
    return Panel(
        panel_type="table",
        title=title,
        description=description,
        queries=tuple(Query(expr=expr, table=True) for expr in exprs),
        style=FieldStyle(no_value=options.no_value),
        width=options.width,
        height=options.height,
        options={"cellHeight": "sm", "frameIndex": 0, "showHeader": True, "sortBy": sort},
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
        overrides=tuple(_column_override(column) for column in columns),
        transformations=(*merge, organized),
    )


def _column_override(column: TableColumn) -> JsonObject:
    style = column.style
    properties: list[JsonObject] = [{"id": "unit", "value": style.unit}]
    if style.mappings:
        properties.append({"id": "mappings", "value": _value_mappings(style.mappings)})
    if style.mappings or style.steps is not NO_THRESHOLDS:
        properties.append({"id": "thresholds", "value": _thresholds(style.steps)})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    if column.link is not None:
        properties.append({"id": "links", "value": [column.link]})
    if column.width is not None:
        properties.append({"id": "custom.width", "value": column.width})
    return {"matcher": {"id": "byName", "options": column.title}, "properties": properties}


def _organize(
    *, keep: Mapping[str, int] | None = None, hide: Sequence[str] = (), rename: Mapping[str, str]
) -> JsonObject:
    # `keep`: the fields that remain, with their position; None: all but those of `hide`.
    options: JsonObject = {
        "excludeByName": dict.fromkeys(hide, True),
        "includeByName": {} if keep is None else dict.fromkeys(keep, True),
        "indexByName": {} if keep is None else dict(keep),
        "renameByName": dict(rename),
    }
    return {"id": "organize", "options": options}


def _value_mappings(mappings: ValueMappings) -> JsonValue:
    if not mappings:
        return []
    options: dict[str, JsonValue] = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(mappings.items())
    }
    return [{"type": "value", "options": options}]


def _thresholds(steps: ThresholdSteps) -> JsonObject:
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def render_panel(panel: Panel, number: int, x: int, y: int) -> JsonObject:
    """The panel as Grafana reads it, with its id and its position in the grid."""
    style = panel.style
    defaults: JsonObject = {
        **panel.defaults,
        "custom": panel.custom,
        "mappings": _value_mappings(style.mappings),
        "noValue": style.no_value,
        "thresholds": _thresholds(style.steps),
        "unit": style.unit,
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
        "type": panel.panel_type,
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
        "refId": query.ref_id or "ABCDEFGHIJKLMNOP"[at],
    }
