"""The rule files of Prometheus, generated from the declarations.

The YAML is written here, not by a library: strings as JSON strings, which are valid YAML, and expressions as literal
blocks. So the files are easy to read, and a diff shows only what changed in the declarations.
"""

import json
from collections.abc import Iterable, Iterator

from grafana.src.alerts.alert import RUNBOOK_BASE, Alert, Group, Recording

_HEAD = """# Generated from the declarations in grafana/src/alerts/ by `make generate`; do not edit.
# {about}
# RUNBOOK.md explains each alert. Say where you publish it:
#   sed -i 's,{base},https://wiki.example.org/kmodmon,' {name}
"""


HOST_RULES = "What each host alone tells: for the Prometheus that scrapes it."
FLEET_RULES = "What many hosts together tell: for the one Prometheus (or Thanos, Mimir) that sees them all."


def rule_file(groups: Iterable[Group], name: str, about: str) -> str:
    """One rule file; `name` and `about` go into the comment at its head."""
    body = "\n".join("\n".join(_group(group)) + "\n" for group in groups)
    return _HEAD.format(about=about, base=RUNBOOK_BASE, name=name) + "groups:\n" + body


def _group(group: Group) -> Iterator[str]:
    yield f"  - name: {group.name}"
    if group.interval:
        yield f"    interval: {group.interval}"
    yield "    rules:"
    for recording in group.recordings:
        yield from _recording(recording)
    for alert in group.alerts:
        yield from _alert(alert)


def _recording(recording: Recording) -> Iterator[str]:
    yield f"      # {recording.description}"
    yield f"      - record: {recording.name}"
    yield from _expression(recording.expr)


def _alert(alert: Alert) -> Iterator[str]:
    yield f"      - alert: {alert.name}"
    yield from _expression(alert.expr)
    if alert.hold:
        yield f"        for: {alert.hold}"
    if alert.keep_firing_for:
        yield f"        keep_firing_for: {alert.keep_firing_for}"
    yield "        labels:"
    yield f"          severity: {alert.severity.value}"
    yield "        annotations:"
    for name, text in annotations(alert).items():
        yield f"          {name}: {json.dumps(text, ensure_ascii=False)}"


def annotations(alert: Alert) -> dict[str, str]:
    """The annotations of an alert; templates are left as they are."""
    texts = {"summary": alert.summary, "description": alert.description, "runbook_url": alert.runbook_url}
    if alert.attack:
        texts["mitre_attack"] = ", ".join(alert.attack)
    return texts


def _expression(expr: str) -> Iterator[str]:
    yield "        expr: |-"
    for line in expr.splitlines():
        yield f"          {line}"
