"""Test cases of alerts: the series that make an alert fire, when it clears, and series that just do not make it fire.

Series are sampled every 15 s from time 0, as by a scrape. Times are in minutes ("12m").
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from grafana.src.alerts.alert import Alert
from grafana.src.alerts.rule_file import annotations
from tests.tools import tool

INTERVAL = "15s"
HOST = {"instance": "db1:10069", "job": "kmodmon"}
_PER_MINUTE = 4

Input = Mapping[str, str]
Value = float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test of an alert. `labels` and `description` are those of the firing alert, beside HOST and the severity.

    `near` is the near miss: series that differ from those of `fires` in one respect, which `miss` names.
    """

    alert: str
    fires: Input
    at: str
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str
    clears: str
    miss: str
    near: Input
    near_at: str | None = None
    host: bool = True


def series(metric: str, **labels: str) -> str:
    """One series of the host."""
    all_labels = {**HOST, **{name.removesuffix("_"): value for name, value in labels.items()}}
    pairs = ",".join(f'{name}="{value}"' for name, value in all_labels.items())
    return f"{metric}{{{pairs}}}"


def steps(*parts: tuple[Value, int]) -> str:
    """Values in promtool's notation, each for some minutes; None: the series is not in the scrapes."""
    before = (None, *(value for value, _ in parts))
    return " ".join(
        _part(value, minutes * _PER_MINUTE, ends=last is not None)
        for last, (value, minutes) in zip(before, parts, strict=False)
    )


def _part(value: Value, samples: int, *, ends: bool) -> str:
    if value is not None:
        return f"{value}+0x{samples - 1}"
    # A series that was in the scrape before and is not in this one ends at once.
    return f"stale _x{samples - 1}" if ends else f"_x{samples}"


def always(value: Value) -> str:
    """The same value for two hours."""
    return steps((value, 120))


def since(minute: int, value: Value, before: Value = None, until: int = 120) -> str:
    """`before`, and from a minute on `value`."""
    parts = ((before, minute), (value, until - minute))
    return steps(*(part for part in parts if part[1]))


def happened(minute: int) -> str:
    """A timestamp gauge of an event in that minute, scraped from then on."""
    return since(minute, minute * 60)


def moment(minute: int) -> str:
    """That minute as humanizeTimestamp writes it."""
    return f"1970-01-01 {minute // 60:02}:{minute % 60:02}:00 +0000 UTC"


def rule_tests(case: Case, alert: Alert) -> list[dict[str, object]]:
    """The case in the form that `promtool test rules` reads: fires and clears, and the near miss."""
    expected = {
        "exp_labels": {**(HOST if case.host else {}), **_set(case.labels), "severity": alert.severity.value},
        "exp_annotations": {**annotations(alert), "description": case.description},
    }
    fires = _alert_test(case, case.at, [expected])
    clears = _alert_test(case, case.clears, [])
    near = _alert_test(case, case.near_at or case.at, [])
    return [
        {**_input(f"{case.alert} fires, and clears", case.fires), "alert_rule_test": [fires, clears]},
        {**_input(f"{case.alert} is silent: {case.miss}", case.near), "alert_rule_test": [near]},
    ]


def _set(labels: Mapping[str, str]) -> Mapping[str, str]:
    # Prometheus takes an empty label for none.
    return {name: value for name, value in labels.items() if value}


def _input(name: str, inputs: Input) -> dict[str, object]:
    input_series = [{"series": series, "values": values} for series, values in inputs.items()]
    return {"name": name, "interval": INTERVAL, "input_series": input_series}


def _alert_test(case: Case, at: str, expected: list[object]) -> dict[str, object]:
    return {"eval_time": at, "alertname": case.alert, "exp_alerts": expected}


def run_tool(name: str, *arguments: str | Path) -> str:
    """Run a tool of Prometheus, which must succeed; what it wrote."""
    command = (str(tool(name)), *map(str, arguments))
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert process.returncode == 0, process.stdout
    return process.stdout


promtool = partial(run_tool, "promtool")
amtool = partial(run_tool, "amtool")
