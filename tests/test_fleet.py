"""Many hosts through a real Prometheus: the rare module is found, and the rules take little time."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from grafana.src.generate import ROOT
from tests.dashboards.lint import member, objects
from tests.fleet import exposition, prometheus_config, series_of, serving
from tests.servers import Server, prometheus, until

PLANTED = "diamorphine"
MODULES, PARAMETERS = 200, 1500
_INTERVAL = re.compile(r"interval: \d+m")
_OF_GROUP = re.compile(r'^prometheus_rule_group_(?P<metric>\w+)\{rule_group="[^"]*;(?P<group>[^"]*)"\} (?P<value>\S+)')


@contextmanager
def watched(directory: Path, hosts: int, parameters: int, seconds: int) -> Iterator[tuple[Server, int]]:
    """Prometheus over a fleet with a module planted on three hosts, and how many series each host has.

    Every host is scraped once in so many seconds; if that is often, the rules that are evaluated seldom are so as well.
    """
    rules = directory / "rules"
    rules.mkdir()
    for path in (ROOT / "grafana/alerts").glob("*.yml"):
        text = path.read_text()
        (rules / path.name).write_text(text if seconds >= 60 else _INTERVAL.sub(f"interval: {seconds}s", text))
    planted = dict.fromkeys((1, hosts // 2, hosts - 1), PLANTED)
    body = exposition(directory / "host", MODULES, parameters)
    with serving(body, hosts, planted) as fleet:
        config = prometheus_config(fleet, rules, seconds)
        with prometheus(config, directory, "--storage.tsdb.retention.time=1h") as server:
            yield server, fleet.series


def durations(server: Server) -> Mapping[str, float]:
    """How long the last evaluation of each group took, in seconds."""
    return of_groups(server, "last_duration_seconds")


def iterations(server: Server) -> Mapping[str, float]:
    """How often each group was evaluated; the one that remembers is every five minutes."""
    return of_groups(server, "iterations_total")


def of_groups(server: Server, metric: str) -> Mapping[str, float]:
    """What Prometheus says of each group of rules."""
    found = (_OF_GROUP.match(line) for line in server.text("/metrics").splitlines())
    return {one["group"]: float(one["value"]) for one in found if one is not None and one["metric"] == metric}


def planted_hosts(server: Server) -> set[str]:
    """Where the rare module is, as the alert about it says; nothing until it does."""
    alerts = server.data("/api/v1/alerts")
    assert isinstance(alerts, Mapping)
    for alert in objects(alerts["alerts"]):
        labels = member(alert["labels"])
        if (labels["alertname"], labels.get("module")) == ("KmodModuleRare", PLANTED):
            return set(re.findall(r"host\d+:10069", str(member(alert["annotations"])["description"])))
    return set()


def until_planted(server: Server, hosts: set[str], timeout: float) -> None:
    """Wait until the alert names these hosts and no other; its first evaluation may see a fleet half scraped."""
    until(lambda: planted_hosts(server) == hosts, "the alert about the rare module on its hosts", timeout, pause=1)


@pytest.mark.chain
def test_rare_module_when_on_three_of_fifty_hosts_then_the_rules_find_it(tmp_path: Path) -> None:
    with watched(tmp_path, 50, 0, 5) as (server, series):
        until_planted(server, {"host1:10069", "host25:10069", "host49:10069"}, timeout=180)
        # Rules evaluate a fleet half scraped as well, and the alert may be about it.
        until(lambda: server.query("fleet:kmodmon_hosts:count == 50"), "every host to be counted", timeout=180)
        usual = 'module:kmodmon_module_hosts:count{module="module_00001"} == 50'
        until(lambda: server.query(usual), "a usual module to be counted on every host", timeout=180)
        print(f"{series} series a host; {durations(server)}")


def test_host_when_scraped_then_its_series_are_what_the_readme_says(tmp_path: Path) -> None:
    counts = {
        parameters: series_of(exposition(tmp_path / str(parameters), MODULES, parameters))
        for parameters in (0, PARAMETERS)
    }
    text = (ROOT / "grafana/README.md").read_text()
    found = re.search(r"(\d,\d{3}) series without parameters and (\d,\d{3}) with 1,500", text)
    assert found is not None
    said = [int(number.replace(",", "")) for number in found.groups()]
    # The page says it in hundreds: metrics are added, and a page need not change with each of them.
    assert [abs(one - other) <= 150 for one, other in zip(said, counts.values(), strict=True)] == [True, True], counts


@pytest.mark.soak
def test_rules_when_a_thousand_hosts_with_200_modules_then_each_group_takes_less_than_a_second(tmp_path: Path) -> None:
    with watched(tmp_path, 1000, 0, 60) as (server, series):
        until(lambda: server.query("count(up == 1) == 1000"), "every host to be scraped", timeout=300, pause=2)
        until_planted(server, {"host1:10069", "host500:10069", "host999:10069"}, timeout=700)
        before = iterations(server)
        until(lambda: all(now > before[group] for group, now in iterations(server).items()), "every group", 330, 2)
        took = durations(server)
        (total,) = server.query("sum(scrape_samples_scraped)")
        print(f"{series} series a host, {total.value:.0f} in all; {took}")
        assert max(took.values()) < 1.0, took
