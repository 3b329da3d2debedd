"""Files that are made from declarations and committed: `make generate` writes them, a test compares them.

FILES holds the files that are generated whole. PAGES holds the pages that people write and that have generated parts,
each between `<!-- generated: NAME -->` and `<!-- end: NAME -->`.
"""

import ast
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
from kmodmon.policy.condition import CONDITIONS, Condition
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


def _values(condition: Condition) -> str:
    return " ".join(f"`{word}`" for word in condition.words) if condition.words else "glob"


def conditions_table() -> str:
    """What a rule of the policy may ask, as Markdown."""
    rows = [
        f"| `{condition.key}` | {_values(condition)} | {condition.meaning} |"
        for condition in sorted(CONDITIONS, key=lambda condition: condition.key)
    ]
    rows.append("| `taint`, `without_taint` | letters | carries one of these taint letters; none of them |")
    return "\n".join(("| condition | value, or a list of them | holds for |", "|---|---|---|", *rows)) + "\n"


def recordings_table() -> str:
    """The recording rules of the fleet as Markdown."""
    rows = (
        f"| `{recording.name}` | {recording.description} |" for group in FLEET_GROUPS for recording in group.recordings
    )
    return "\n".join(("| recording | says |", "|---|---|", *rows)) + "\n"


def dashboard_file(dashboard: Dashboard) -> str:
    """A dashboard as Grafana imports it."""
    return json.dumps(as_json(dashboard), indent=2, ensure_ascii=False) + "\n"


PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/commands.md": {"commands": commands_table},
    "docs/policy.md": {"conditions": conditions_table},
    "docs/settings.md": {"settings": markdown_table},
    "docs/sources.md": {"sources": sources_table},
    "grafana/README.md": {"recordings": recordings_table},
}


def page(name: str) -> str:
    """Return the text of a page of PAGES with its generated parts replaced."""
    text = (ROOT / name).read_text()
    for part, make in PAGES[name].items():
        pattern = re.compile(rf"(<!-- generated: {part} -->\n).*?(<!-- end: {part} -->)", re.DOTALL)
        text, count = pattern.subn(partial(_replacement, make()), text)
        assert count == 1, f"{name} has no generated part called {part}"
    return text


def _replacement(content: str, match: re.Match[str]) -> str:
    return f"{match[1]}\n{content}\n{match[2]}"


def definitions(source: str) -> Mapping[str, int]:
    """Return the line of every function, class and constant of a file; methods as `Class.method`."""
    lines: dict[str, int] = {}
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                lines[node.name] = node.lineno
            case ast.ClassDef():
                lines[node.name] = node.lineno
                methods = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
                lines.update({f"{node.name}.{method.name}": method.lineno for method in methods})
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                lines[name] = node.lineno
    return lines


def architecture() -> str:
    """Return ARCHITECTURE.md with the line of each definition that it links to."""
    return _LINKED.sub(_with_line, (ROOT / "ARCHITECTURE.md").read_text())


_LINKED = re.compile(r"\[`([\w/]+\.py):\d+` `([\w.]+)`\]\(\1#L\d+\)")


def _with_line(match: re.Match[str]) -> str:
    path, name = match.groups()
    line = definitions((ROOT / path).read_text())[name]
    return f"[`{path}:{line}` `{name}`]({path}#L{line})"


FILES: Mapping[str, Callable[[], str]] = {
    "ARCHITECTURE.md": architecture,
    "grafana/METRICS.md": lambda: reference(METRICS),
    "grafana/alertmanager.yml": lambda: example(ALERTS),
    "systemd/kmodmon.catalog": catalog,
    "grafana/RUNBOOK.md": lambda: runbook(GROUPS),
    "grafana/alerts/kmodmon.rules.yml": lambda: rule_file(HOST_GROUPS, "kmodmon.rules.yml", HOST_RULES),
    "grafana/alerts/kmodmon.fleet.rules.yml": lambda: rule_file(FLEET_GROUPS, "kmodmon.fleet.rules.yml", FLEET_RULES),
    **{f"grafana/dashboards/{dashboard.file}": partial(dashboard_file, dashboard) for dashboard in DASHBOARDS},
    **{name: partial(page, name) for name in PAGES},
}


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
