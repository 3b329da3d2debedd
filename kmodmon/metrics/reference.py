"""grafana/METRICS.md: the reference of every metric, made from the declarations."""

from collections.abc import Iterable

from kmodmon.metrics.metric import Metric

_HEAD = """# Metrics of kmodmon

Generated from the declarations in `kmodmon/metrics/` by `make generate`; do not edit.

Absent is not zero: what the kernel does not offer has no series, and `kmodmon_source_present` says so. Labels are
module and parameter names and enumerations; no label holds free text. Counters whose label values are known start
at 0. `process_*` and `python_*` are those of prometheus-client.
"""


def reference(metrics: Iterable[Metric]) -> str:
    """The whole page as Markdown."""
    return _HEAD + "".join(_entry(metric) for metric in sorted(metrics, key=lambda metric: metric.name))


def _entry(metric: Metric) -> str:
    labels = ",".join(metric.labels)
    rows = (
        ("Type", metric.kind.value),
        ("Source", metric.interface),
        ("Absent when", metric.absent),
        ("Series", metric.bound),
    )
    table = "".join(f"- {name}: {_plain(text)}\n" for name, text in rows)
    shown = f"{metric.name}{{{labels}}}" if labels else metric.name
    return f"\n## `{shown}`\n\n{_plain(metric.help)}\n\n{table}"


def _plain(text: str) -> str:
    return text.replace("<", "\\<").replace("*", "\\*")
