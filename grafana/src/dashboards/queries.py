"""PromQL that the dashboards share. Every selector is limited to the jobs and instances chosen in the dashboard."""

from grafana.src.alerts.promql import matcher, selector
from grafana.src.dashboards.panel import Query

HOST_MATCHERS = 'job=~"$job", instance=~"$instance"'
MODULE_MATCHER = 'module=~"$module"'


def select(metric: str, *matchers: str, **labels: str | tuple[str, ...]) -> str:
    """A selector of the chosen hosts; `labels` gives the value, or the list of values, that a label must have."""
    by_label = (matcher(name, (value,) if isinstance(value, str) else value) for name, value in labels.items())
    return selector(metric, HOST_MATCHERS, *matchers, *by_label)


def increase_per_step(counter: str, **labels: str) -> str:
    """How much a counter grows in each step of a graph."""
    return f"increase({select(counter, **labels)}[$__rate_interval])"


def increase_query(counter: str, legend: str) -> Query:
    """How much a counter grows in each step of a graph, all its series together."""
    return Query(expr=f"sum({increase_per_step(counter)})", legend=legend)


def sum_query(label: str, expr: str) -> Query:
    """The sum for each value of a label; values whose sum is 0 are not shown."""
    return Query(expr=f"sum by ({label}) ({expr}) > 0", legend=f"{{{{{label}}}}}")


def max_by_host(expr: str) -> str:
    """The highest value of each host: one series a host."""
    return f"max by (instance) ({expr})"


def count_or_zero(expr: str) -> str:
    """The number of series; 0 where there is none, for which count() gives nothing."""
    return f"count({expr}) or vector(0)"


def timestamp_ms(gauge: str, *matchers: str) -> str:
    """A timestamp gauge in milliseconds: Grafana's unit of time, where Prometheus counts seconds."""
    return f"{select(gauge, *matchers)} * 1000"


LOCKDOWN = (
    f"max without (mode) (0 * {select('kmodmon_lockdown', mode='none')} or "
    f"{select('kmodmon_lockdown', mode='integrity')} or 2 * {select('kmodmon_lockdown', mode='confidentiality')})"
)
"""Lockdown as a number: 0 none, 1 integrity, 2 confidentiality."""

UNTRUSTED = ("unsigned", "invalid")
"""Values of the label `signature` of modules whose signature the kernel does not trust."""
