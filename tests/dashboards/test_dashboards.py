"""The committed dashboards: the linter's rules, names that exist, texts, places, links."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from grafana.src.dashboards import DASHBOARDS
from grafana.src.dashboards.dashboard import COLUMNS, TAG
from kmodmon.types.units import JsonObject
from tests.dashboards.lint import ROOM, exceptions, findings, load, member, objects, panels, queries, variables
from tests.promql import problems

FILES = [ROOM / dashboard.file for dashboard in DASHBOARDS]
UNITS = frozenset(json.loads((Path(__file__).parent / "units.json").read_text())["units"])
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_dashboards_when_linted_then_only_what_is_excused_is_found() -> None:
    violations = {finding for path in FILES for finding in findings(path, UNITS)}
    bare = {replace(finding, what="") for finding in violations}
    assert bare == exceptions(), sorted(violations)


def broken(path: Path, tmp_path: Path, old: str, new: str) -> list[str]:
    text = path.read_text()
    assert old in text, old
    copy = tmp_path / "broken.json"
    copy.write_text(text.replace(old, new))
    return sorted({finding.rule for finding in findings(copy, UNITS)})


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('"editable": false', '"editable": true', "uneditable-dashboard-rule"),
        ('"label": "Data Source"', '"label": "Source"', "template-datasource-rule"),
        ('"allValue": ".+"', '"allValue": ".*"', "template-instance-rule"),
        ('"refresh": 2', '"refresh": 1', "template-on-time-change-reload-rule"),
        ("label_values(", "query_result(", "template-label-promql-rule"),
        ('"uid": "${datasource}"', '"uid": "abc"', "panel-datasource-rule"),
        ('"description": "Answers."', '"description": ""', "panel-title-description-rule"),
        ('"unit": "bytes"', '"unit": "byte"', "panel-units-rule"),
        ("[$__rate_interval]", "[5m]", "target-rate-interval-rule"),
        ("increase(", "sum(", "target-counter-agg-rule"),
        ('instance=~\\"$instance\\"', 'host=~\\"$instance\\"', "target-instance-rule"),
        ('job=~\\"$job\\"', 'job=\\"kmodmon\\"', "target-job-rule"),
    ],
)
def test_linter_when_a_dashboard_is_broken_then_it_says_so(old: str, new: str, rule: str, tmp_path: Path) -> None:
    path = ROOM / "kmodmon-self.json"
    if rule == "panel-title-description-rule":
        old = f'"description": {json.dumps(next(panels(load(path)))["description"])}'
    assert rule in broken(path, tmp_path, old, new)


@each_file
def test_queries_when_read_then_they_name_only_what_is_declared(path: Path) -> None:
    dashboard = load(path)
    exprs = [str(query["expr"]) for panel in panels(dashboard) for query in queries(panel)]
    exprs += [str(mark["expr"]) for mark in objects(member(dashboard, "annotations")["list"])]
    assert [problem for expr in exprs for problem in problems(expr)] == []


@each_file
def test_panels_when_read_then_each_says_what_it_shows(path: Path) -> None:
    titles = []
    for panel in panels(load(path)):
        titles.append(panel["title"])
        assert str(panel["description"]).rstrip().endswith("."), panel["title"]
        defaults = member(panel, "fieldConfig", "defaults")
        assert str(defaults["noValue"]) not in ("", "None"), panel["title"]
        assert member(defaults, "thresholds")["steps"], panel["title"]
    assert len(titles) == len(set(titles))


@each_file
def test_panels_when_placed_then_none_lies_on_another(path: Path) -> None:
    taken: dict[str, set[tuple[int, int]]] = {}
    identities = []
    for panel in objects(load(path)["panels"]):
        place = {name: int(str(value)) for name, value in member(panel["gridPos"]).items()}
        assert place["x"] + place["w"] <= COLUMNS
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        taken[str(panel["title"])] = cells
        identities.append(panel["id"])
    for first, second in combinations(taken, 2):
        assert taken[first].isdisjoint(taken[second]), (first, second)
    assert len(set(identities)) == len(identities)


def test_links_when_followed_then_they_lead_to_dashboards_that_exist() -> None:
    identities = {str(load(path)["uid"]) for path in FILES}
    assert len(identities) == len(FILES)
    for path in FILES:
        text = path.read_text()
        assert set(re.findall(r'"/d/([a-z-]+)', text)) <= identities
        assert load(path)["tags"] == [TAG]
        declared = {"datasource", "job", "instance", *variables(load(path))}
        used = set(re.findall(r"\$\{?([a-z]+)", text))
        assert used <= declared, used - declared


@each_file
def test_tables_when_they_name_fields_then_their_queries_give_them(path: Path) -> None:
    for panel in panels(load(path)):
        if panel["type"] != "table":
            continue
        references = [str(query["refId"]) for query in queries(panel)]
        values = {"Value"} if len(references) == 1 else {f"Value #{reference}" for reference in references}
        shown = set(member(_organized(panel), "renameByName"))
        assert {name for name in shown if name.startswith("Value")} <= values, panel["title"]


def _organized(panel: JsonObject) -> JsonObject:
    last = objects(panel["transformations"])[-1]
    assert last["id"] == "organize"
    return member(last["options"])


def test_daemon_when_imported_then_it_carries_neither_alerts_nor_dashboards() -> None:
    script = "import sys, kmodmon.runtime.daemon, kmodmon.cli.run; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = process.stdout.split()
    assert "kmodmon.runtime.engine" in loaded
    assert not [name for name in loaded if name.startswith(("grafana.src.alerts", "grafana.src.dashboards"))]


def test_provisioning_when_exported_then_it_lies_beside_the_dashboards() -> None:
    names = {path.name for path in (ROOM / "provisioning").glob("*.yml")}
    assert names == {"dashboards.yml", "datasources.yml"}
    assert {path.name for path in ROOM.glob("*.json")} == {path.name for path in FILES}


def test_marks_when_read_then_old_and_new_grafana_find_the_query() -> None:
    for mark in objects(member(load(ROOM / "kmodmon-host.json"), "annotations")["list"]):
        target: Mapping[str, object] = member(mark["target"])
        assert mark["expr"] == target["expr"]
        assert mark["useValueForTime"] == "on"
