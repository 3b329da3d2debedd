"""The shapes of the queries: everything is asked of the jobs and instances that the dashboard is about."""

from grafana.src.alerts.promql import one_of, series

SELECT = 'job=~"$job", instance=~"$instance"'
MODULE = 'module=~"$module"'


def of(metric: str, *matchers: str, **labels: str | tuple[str, ...]) -> str:
    """A selector; `labels` are values, or lists of them."""
    wanted = (one_of(name, (value,) if isinstance(value, str) else value) for name, value in labels.items())
    return series(metric, SELECT, *matchers, *wanted)


def grown(counter: str, *matchers: str, **labels: str | tuple[str, ...]) -> str:
    """How much a counter grew in each step of a graph."""
    return f"increase({of(counter, *matchers, **labels)}[$__rate_interval])"


def by_host(expr: str) -> str:
    """One series a host."""
    return f"max by (instance) ({expr})"


def or_none(expr: str) -> str:
    """0 where there is nothing to count."""
    return f"{expr} or vector(0)"


def moment_of(gauge: str, *matchers: str, **labels: str | tuple[str, ...]) -> str:
    """A timestamp gauge in milliseconds, as Grafana wants dates."""
    return f"{of(gauge, *matchers, **labels)} * 1000"


LOCKDOWN = (
    f"max without (mode) (0 * {of('kmodmon_lockdown', mode='none')} or {of('kmodmon_lockdown', mode='integrity')} or 2 "
    f"* {of('kmodmon_lockdown', mode='confidentiality')})"
)
"""Lockdown as a number: 0 none, 1 integrity, 2 confidentiality."""

FOREIGN = ("unsigned", "invalid")
"""What a signature is called that the kernel does not trust."""
