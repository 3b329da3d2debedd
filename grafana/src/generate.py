"""Files that are made from declarations and committed: `make generate` writes them, a test compares them.

A line of FILES is one generated file, a line of README_PARTS one part of README.md, of GRAFANA_PARTS one of
grafana/README.md, between `<!-- generated: NAME -->` and `<!-- end: NAME -->`.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from grafana.src.alerts import ALERTS, FLEET_GROUPS, GROUPS, HOST_GROUPS
from grafana.src.alerts.alertmanager import example
from grafana.src.alerts.rule_file import FLEET_RULES, HOST_RULES, rule_file
from grafana.src.alerts.runbook import runbook
from grafana.src.dashboards import DASHBOARDS
from grafana.src.dashboards.dashboard import Dashboard, as_json
from kmodmon.cli import VERBS
from kmodmon.config.render import markdown_table
from kmodmon.events.journal_catalog import catalog
from kmodmon.metrics import METRICS
from kmodmon.metrics.reference import reference
from kmodmon.policy.condition import CONDITIONS
from kmodmon.sources.followed import FOLLOWED
from kmodmon.sources.registry import POLLED
from kmodmon.sources.source import EventSource, PollSource

ROOT = Path(__file__).parent.parent.parent


def sources_table() -> str:
    """The sources as Markdown."""
    sources: tuple[PollSource | EventSource, ...] = (*POLLED, *FOLLOWED)
    rows = (
        f"| `{source.name}` | {'<br>'.join(f'`{path}`' for path in source.interfaces)} | {source.remedy} |"
        for source in sources
    )
    return "\n".join(("| source | reads | if it is missing |", "|---|---|---|", *rows)) + "\n"


def commands_table() -> str:
    """The commands as Markdown."""
    rows = (f"| `kmodmon {verb.name}` | {verb.help} |" for verb in VERBS)
    return "\n".join(("| command | does |", "|---|---|", *rows)) + "\n"


def conditions_table() -> str:
    """What a rule of the policy may ask, as Markdown."""
    rows = [
        f"| `{one.key}` | {' '.join(f'`{word}`' for word in one.words) if one.words else 'glob'} | {one.meaning} |"
        for one in sorted(CONDITIONS, key=lambda one: one.key)
    ]
    rows.append("| `taint`, `without_taint` | letters | carries one of these taint letters; none of them |")
    return "\n".join(("| condition | value, or a list of them | holds for |", "|---|---|---|", *rows)) + "\n"


def recordings_table() -> str:
    """The recording rules of the fleet as Markdown."""
    rows = (f"| `{one.name}` | {one.says} |" for group in FLEET_GROUPS for one in group.recordings)
    return "\n".join(("| recording | says |", "|---|---|", *rows)) + "\n"


def dashboard_file(dashboard: Dashboard) -> str:
    """A dashboard as Grafana imports it."""
    return json.dumps(as_json(dashboard), indent=2, ensure_ascii=False) + "\n"


FILES: Mapping[str, Callable[[], str]] = {
    "grafana/METRICS.md": lambda: reference(METRICS),
    "grafana/alertmanager.yml": lambda: example(ALERTS),
    "systemd/kmodmon.catalog": catalog,
    "grafana/RUNBOOK.md": lambda: runbook(GROUPS),
    "grafana/alerts/kmodmon.rules.yml": lambda: rule_file(HOST_GROUPS, "kmodmon.rules.yml", HOST_RULES),
    "grafana/alerts/kmodmon.fleet.rules.yml": lambda: rule_file(FLEET_GROUPS, "kmodmon.fleet.rules.yml", FLEET_RULES),
    **{f"grafana/dashboards/{one.file}": partial(dashboard_file, one) for one in DASHBOARDS},
    "README.md": lambda: readme((ROOT / "README.md").read_text(), README_PARTS),
    "grafana/README.md": lambda: readme((ROOT / "grafana/README.md").read_text(), GRAFANA_PARTS),
}
GRAFANA_PARTS: Mapping[str, Callable[[], str]] = {"recordings": recordings_table}
README_PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands_table,
    "conditions": conditions_table,
    "sources": sources_table,
    "settings": markdown_table,
}


def readme(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """A page with its generated parts made anew."""
    for name, make in parts.items():
        part = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end: {name} -->)", re.DOTALL)
        text, count = part.subn(partial(_filled, make()), text)
        assert count == 1, f"the page has no generated part called {name}"
    return text


def _filled(content: str, found: re.Match[str]) -> str:
    return f"{found[1]}\n{content}\n{found[2]}"


def main() -> None:
    """Write every generated file."""
    for name, make in FILES.items():
        content = make()
        path = ROOT / name
        if not path.exists() or path.read_text() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            print(f"wrote {name}")


if __name__ == "__main__":
    main()
