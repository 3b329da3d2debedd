"""Every query of every dashboard, asked of a real Prometheus that scrapes a host on which everything happens."""

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from grafana.src.alerts.fleet import FLEET_HOSTS
from grafana.src.generate import ROOT
from kmodmon.metrics import METRICS
from kmodmon.types.units import JsonObject
from tests.dashboards.lint import ROOM, load, member, objects, panels, queries, variables
from tests.promql import filled
from tests.scenario import STAMPS, STATES, Fleet, counters, serving
from tests.servers import Server, prometheus, until

FILES = sorted(ROOM.glob("*.json"))
VARIABLES = {"$job": "kmodmon", "$instance": ".+", "$module": ".+"}
HOST = "host0:10069"
ZERO = " or vector(0)"
EMPTY: Mapping[str, str] = {"Hosts silent": "every host of the scenario answers; it shows 0"}
"""Panels that have nothing to show even here, and why."""

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}/*.rules.yml]
scrape_configs:
  - job_name: kmodmon
    static_configs:
      - targets: [{targets}]
    relabel_configs:
      - source_labels: [__address__]
        regex: "host([0-9]+):10069"
        target_label: __metrics_path__
        replacement: "/$1"
      - {{source_labels: [__address__], target_label: instance}}
      - {{target_label: __address__, replacement: "{address}"}}
"""


def test_scenario_when_read_then_every_declared_metric_is_in_it() -> None:
    assert {*STATES, *STAMPS} == {metric.name for metric in METRICS}
    labels = {metric.name: len(metric.labels) for metric in METRICS}
    for name, rows in {**STATES, **STAMPS}.items():
        assert all(len(row) == labels[name] for row in rows), name
    for name in counters():
        assert all(before < after for before, after in STATES[name].values()), name


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Prometheus after it has seen the calm, and then everything."""
    directory = tmp_path_factory.mktemp("prometheus")
    for rules in (ROOT / "grafana/alerts").glob("*.yml"):  # those that are evaluated seldom are so here at once
        (directory / rules.name).write_text(re.sub(r"interval: \d+m", "interval: 1s", rules.read_text()))
    with serving() as fleet, prometheus(_config(fleet, directory), directory) as server:
        until(lambda: server.query(f'count(up{{instance="{HOST}"}} == 1)'), "the first scrape")
        calm = f'count_over_time(up{{instance="{HOST}"}}[1m]) >= 2'
        until(lambda: server.query(calm), "two samples of the calm: a counter grows from one to the next")
        fleet.at = time.time()
        fleet.happened.set()
        until(lambda: server.query("kmodmon_kernel_tainted > 0"), "the scrape after it happened")
        until(lambda: server.query("module:kmodmon_module_rare:count"), "the rules of the fleet")
        until(lambda: server.query('ALERTS{alertstate="firing", severity="critical"}'), "an alert")
        yield server


def _config(fleet: Fleet, rules: Path) -> str:
    targets = ", ".join(f'"host{number}:10069"' for number in range(FLEET_HOSTS + 1))
    return CONFIG.format(rules=rules, targets=targets, address=fleet.address)


CASES = [
    pytest.param(path, panel, id=f"{path.stem}: {panel['title']}") for path in FILES for panel in panels(load(path))
]


@pytest.mark.chain
@pytest.mark.parametrize(("path", "panel"), CASES)
def test_panel_when_everything_happens_then_each_of_its_queries_gives_data(
    path: Path, panel: JsonObject, server: Server
) -> None:
    for query in queries(panel):
        expr = filled(str(query["expr"]), VARIABLES)
        assert server.query(expr), expr
        # What shows 0 where there is nothing must have something to count as well.
        samples = server.query(expr.removesuffix(ZERO))
        assert bool(samples) != (panel["title"] in EMPTY), (panel["title"], expr)
        assert panel["title"] in EMPTY or any(sample.labels.get("instance", HOST) == HOST for sample in samples), expr


def test_exceptions_when_listed_then_such_panels_exist() -> None:
    assert set(EMPTY) <= {str(panel["title"]) for path in FILES for panel in panels(load(path))}


@pytest.mark.chain
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_variables_when_asked_then_prometheus_offers_values(path: Path, server: Server) -> None:
    for name, variable in variables(load(path)).items():
        if variable["type"] != "query":
            continue
        asked = str(member(variable["query"])["query"]).removeprefix("label_values(").removesuffix(")")
        selector, _, label = asked.rpartition(", ")
        matcher = filled(selector, VARIABLES)
        values = server.data(f"/api/v1/label/{label}/values", **{"match[]": matcher})
        assert values, name


@pytest.mark.chain
def test_marks_when_asked_then_each_says_when(server: Server) -> None:
    for mark in objects(member(load(ROOM / "kmodmon-host.json"), "annotations")["list"]):
        samples = server.query(filled(str(mark["expr"]), VARIABLES))
        assert samples and all(abs(sample.value / 1000 - time.time()) < 600 for sample in samples), mark["name"]


@pytest.mark.chain
def test_rules_when_everything_happens_then_each_is_evaluated_and_none_fails(server: Server) -> None:
    until(lambda: {"ok"} == {rule["health"] for rule in _rules(server)}, "every rule to be evaluated")
    failures = [line for line in server.text("/metrics").splitlines() if "rule_evaluation_failures_total{" in line]
    assert failures and all(line.endswith(" 0") for line in failures), failures


def _rules(server: Server) -> list[JsonObject]:
    data = server.data("/api/v1/rules")
    assert isinstance(data, Mapping)
    return [rule for group in objects(data["groups"]) for rule in objects(group["rules"])]
