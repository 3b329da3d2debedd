"""Reading PromQL as far as the checks of rules and dashboards need: which series an expression asks for."""

import re
from collections.abc import Iterator, Mapping

from grafana.src.alerts import GROUPS
from kmodmon.metrics import METRICS
from kmodmon.metrics.metric import MetricType

DECLARED = {metric.name: metric for metric in METRICS}
RECORDED = {recording.name for group in GROUPS for recording in group.recordings}
OF_PROMETHEUS = {
    "up",
    "ALERTS",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}
"""What Prometheus makes itself, and prometheus-client's process metrics."""
GLOBAL_VARIABLES: Mapping[str, str] = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "1h"}

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_OURS = re.compile(r"kmodmon_|process_|scrape_|up$|ALERTS$|.*:")
_SELECTOR = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<matchers>[^}]*)\})?(?P<range>\[[^\]]*\])?")
_GROWTH = re.compile(r"\b(?:rate|irate|increase)\((?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)")


def selectors(expr: str) -> Iterator[tuple[str, str, str]]:
    """Name, matchers and range of every selector, texts emptied; what neither we nor Prometheus make is left out."""
    for match in _SELECTOR.finditer(without_texts(expr)):
        if _OURS.match(match["name"]):
            yield match["name"], match["matchers"] or "", match["range"] or ""


def without_texts(expr: str) -> str:
    """The expression with every string emptied."""
    return re.sub(r'"[^"]*"', '""', expr)


def problems(expr: str) -> list[str]:
    """What is wrong with the names: metrics and labels that are not declared, gauges that are taken for counters."""
    messages = []
    for name, matchers, _ in selectors(expr):
        metric = DECLARED.get(name)
        if metric is None and name not in RECORDED | OF_PROMETHEUS:
            messages.append(f"{name} is not declared")
        labels = {re.split("[=!]", part)[0].strip() for part in matchers.split(",") if part.strip()}
        if metric is not None and not labels <= {*metric.labels, "job", "instance"}:
            messages.append(f"{name} has no label {labels - set(metric.labels)}")
    for growth in _GROWTH.finditer(without_texts(expr)):
        metric = DECLARED.get(growth["name"])
        if metric is not None and metric.kind is not MetricType.COUNTER:
            messages.append(f"{growth['name']} is no counter")
    return messages


def filled(expr: str, variables: Mapping[str, str]) -> str:
    """The expression with Grafana's variables replaced, as Grafana does before it asks Prometheus."""
    for name, value in {**GLOBAL_VARIABLES, **variables}.items():
        expr = expr.replace(name, value)
    return expr
