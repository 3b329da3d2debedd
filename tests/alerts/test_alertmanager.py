"""The example for Alertmanager: accepted by amtool, routes as it says, and mutes what it should in a real one."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from grafana.src.alerts import ALERTS
from grafana.src.generate import ROOT
from tests.alerts.case import amtool
from tests.servers import Server, alertmanager, until

EXAMPLE = ROOT / "grafana/alertmanager.yml"
LEVELS = {alert.name: alert.severity.value for alert in ALERTS}


def test_example_when_checked_then_amtool_takes_it() -> None:
    assert "SUCCESS" in amtool("check-config", str(EXAMPLE))


@pytest.mark.parametrize(
    ("alert", "receiver"),
    [
        ("KmodUnsignedModuleLoaded", "on-call"),
        ("KmodmonDown", "on-call"),
        ("KmodOutOfTreeModuleLoaded", "tickets"),
        ("KmodModuleRare", "nobody"),
    ],
)
def test_alert_when_routed_then_the_right_people_are_told(alert: str, receiver: str) -> None:
    labels = (f"alertname={alert}", f"severity={LEVELS[alert]}", "instance=db1:10069")
    assert amtool("config", "routes", "test", f"--config.file={EXAMPLE}", *labels).splitlines()[-1] == receiver


def alert(name: str, instance: str = "db1", **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": LEVELS[name], "instance": instance, "job": "kmodmon", **labels}


# Taken in last, so once this is muted everything before it has been judged.
LAST = (alert("KmodmonDown", instance="last"), alert("KmodmonHistoryFailing", instance="last"))


def muted(server: Server, *alerts: Mapping[str, str]) -> list[str]:
    """The names of those that do not get through when all of them fire."""
    server.post("/api/v2/alerts", [{"labels": labels} for labels in (*alerts, *LAST)])
    until(lambda: "KmodmonHistoryFailing last" in _muted(server), "the last alert to be judged")
    return [name for name in _muted(server) if not name.endswith(" last")]


def _muted(server: Server) -> list[str]:
    listed = server.get("/api/v2/alerts")
    assert isinstance(listed, list)
    names = []
    for entry in listed:
        assert isinstance(entry, Mapping)
        labels, status = entry["labels"], entry["status"]
        assert isinstance(labels, Mapping) and isinstance(status, Mapping)
        if status["state"] == "suppressed":
            names.append(f"{labels['alertname']} {labels['instance']}")
    return sorted(names)


def taint(tier: str, cause: str, **labels: str) -> dict[str, str]:
    return alert(f"KmodTaint{tier}", flag="x", cause=cause, **labels)


TRIALS: Mapping[str, tuple[list[dict[str, str]], list[str]]] = {
    "an oops mutes its taint, and no other": (
        [
            alert("KmodKernelOops", signature="null_pointer", module=""),
            taint("Security", "report:null_pointer", signature="null_pointer"),
            taint("Degraded", "report:warning", signature="warning"),
        ],
        ["KmodTaintSecurity db1"],
    ),
    "an unsigned module mutes its taint and the lesser alerts about it": (
        [
            alert("KmodUnsignedModuleLoaded", module="hello"),
            alert("KmodOutOfTreeModuleLoaded", module="hello"),
            alert("KmodOutOfTreeModuleLoaded", module="other"),
            alert("KmodOutOfTreeModuleLoaded", module="hello", instance="db2"),
            taint("Security", "module:hello", module="hello"),
            taint("Informational", "module:hello", module="hello"),
        ],
        ["KmodOutOfTreeModuleLoaded db1", "KmodTaintInformational db1", "KmodTaintSecurity db1"],
    ),
    "a daemon that is down mutes what is not critical, on its host": (
        [
            alert("KmodmonDown"),
            alert("KmodUnsignedModuleLoaded", module="hello"),
            alert("KmodmonHistoryFailing"),
            alert("KmodmonHistoryFailing", instance="db2"),
        ],
        ["KmodmonHistoryFailing db1"],
    ),
    "a critical alert without a module mutes nothing else": (
        [alert("KmodLockdownWeakened"), alert("KmodmonHistoryFailing")],
        [],
    ),
    "a taint that fell mutes the lesser taints of its host": (
        [alert("KmodTaintFell"), taint("Degraded", "report:warning", signature="warning")],
        ["KmodTaintDegraded db1"],
    ),
}


@pytest.mark.chain
@pytest.mark.parametrize("what", TRIALS)
def test_alerts_when_they_fire_together_then_the_causes_get_through(what: str, tmp_path: Path) -> None:
    alerts, expected = TRIALS[what]
    # The receivers are out of reach here, and notifying is not what is tried.
    with alertmanager(EXAMPLE.read_text(), tmp_path) as server:
        assert muted(server, *alerts) == expected
