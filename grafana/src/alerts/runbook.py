"""grafana/RUNBOOK.md: one section for each alert, generated from the declarations."""

from collections.abc import Iterable, Iterator

from grafana.src.alerts.alert import Alert, AlertSeverity, Group

_HEAD = """# Runbook of kmodmon's alerts

Generated from the declarations in `grafana/src/alerts/` by `make generate`; do not edit.

`NAME` in a command stands for the module that the alert names. The commands run on the host that the alert names; they
need no daemon, and as root they see most. Severities: *critical* wakes somebody, *warning* is for today or tomorrow,
*info* is told to nobody and seen on dashboards.

Alerts about something that *happened* fire for 15 minutes after it, whether or not it is still there: an alert does not
need luck between two scrapes. Alerts about a *state* fire while it lasts.
"""


def runbook(groups: Iterable[Group]) -> str:
    """The content of grafana/RUNBOOK.md."""
    all_groups = tuple(groups)
    parts = [
        _HEAD,
        "\n".join(_index(all_groups)),
        *("\n".join(_section(alert)) for group in all_groups for alert in group.alerts),
    ]
    return "\n".join(parts)


def _index(groups: tuple[Group, ...]) -> Iterator[str]:
    yield "| alert | severity | says | ATT&CK |"
    yield "|---|---|---|---|"
    for group in groups:
        for alert in group.alerts:
            name = f"[{alert.name}](#{alert.name.lower()})"
            yield f"| {name} | {alert.severity.value} | {alert.summary} | {', '.join(map(_technique, alert.attack))} |"
    yield ""


def _section(alert: Alert) -> Iterator[str]:
    runbook = alert.runbook
    yield f"## {alert.name}\n"
    yield f"**{alert.summary}** Severity {alert.severity.value}" + _timing(alert) + ".\n"
    yield f"*Meaning.* {runbook.meaning}\n"
    yield f"*Impact.* {runbook.impact}\n"
    yield "*First commands.*\n"
    yield "```console"
    yield from (f"# {command}" for command in runbook.commands)
    yield "```\n"
    yield f"*Clears.* {runbook.clears}\n"
    if alert.attack:
        yield f"*ATT&CK.* {', '.join(map(_technique, alert.attack))}.\n"
    for rule in alert.inhibit_rules:
        names = " or ".join(severity.value for severity in rule.severities)
        severities = "" if len(rule.severities) == len(AlertSeverity) else f" of severity {names}"
        yield f"*Mutes* `{rule.targets}`{severities} with the same {' and '.join(rule.equal)}.\n"
    yield f"```promql\n{alert.expr}\n```\n"


def _timing(alert: Alert) -> str:
    hold = f", after {alert.hold}" if alert.hold else ""
    return hold + (f", kept for {alert.keep_firing_for} after the last sign of it" if alert.keep_firing_for else "")


def _technique(number: str) -> str:
    return f"[{number}](https://attack.mitre.org/techniques/{number.replace('.', '/')}/)"
