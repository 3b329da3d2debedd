"""`kmodmon check`: all findings, one line each, with the exit codes of monitoring plugins; for cron, CI and Nagios."""

import argparse
from collections.abc import Iterator

from kmodmon.cli.gather import CommandInput, gather
from kmodmon.cli.output import Screen, Tint, Tinted
from kmodmon.events.event import Severity
from kmodmon.subjects.findings import Finding
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import JsonObject
from kmodmon.view.findings import finding_view

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
_WORDS = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}
_TINTS = {OK: Tint.FAINT, WARNING: Tint.WARN, CRITICAL: Tint.BAD, UNKNOWN: Tint.STRONG}

_LEVELS = {Severity.CRITICAL: CRITICAL, Severity.ERROR: CRITICAL, Severity.WARNING: WARNING}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    parser.add_argument("--verbose", action="store_true", help="Under each finding its evidence, and what to do.")


def run(args: argparse.Namespace) -> int:
    """Print the highest level with a count, then the findings; 0 OK, 1 warning, 2 critical, 3 unknown.

    Findings of severity notice and info, and those of rules in dry run, are printed and do not raise the level.
    """
    host = gather(args)
    unknown = tuple(_unknown(host))
    findings = tuple(host.state.findings.current.values())
    code = max([*(level_of(finding) for finding in findings), *(UNKNOWN for _ in unknown)], default=OK)
    screen = Screen.of(args)
    if args.json:
        views = [_view(finding) for finding in findings]
        screen.json({"status": _WORDS[code], "unknown": list(unknown), "findings": views})
        return code
    count = len(findings) + len(unknown)
    screen.line(
        Tinted(_WORDS[code], Tint.GOOD if code == OK else _TINTS[code]), f": {count} finding{'s' * (count != 1)}"
    )
    for text in unknown:
        screen.line(Tinted(_WORDS[UNKNOWN], _TINTS[UNKNOWN]), f" {text}")
    for finding in findings:
        _show(screen, finding, verbose=args.verbose)
    return code


def level_of(finding: Finding) -> int:
    """The level of a finding for a monitoring system: OK, WARNING or CRITICAL."""
    return OK if finding.dry_run else _LEVELS.get(finding.severity, OK)


def line_of(finding: Finding) -> str:
    """A finding on one line: rule, subject, reason and the first piece of evidence."""
    dry = " (dry run)" if finding.dry_run else ""
    evidence = f" [{finding.evidence[0]}]" if finding.evidence else ""
    return f"{finding.rule}{dry}: {finding.subject}: {finding.reason}{evidence}"


def _unknown(host: CommandInput) -> Iterator[str]:
    if host.state.taint.value is None:
        yield f"taint: {host.why_unreadable(SourceName.TAINT)}"
    if host.state.inventory.support is None:
        yield f"modules: {host.why_unreadable(SourceName.MODULES)}"
    for source in host.state.sources.values():
        if source.hung and source.name not in (SourceName.TAINT, SourceName.MODULES):
            yield f"{source.name}: hung: {host.why_unreadable(source.name)}"


def _show(screen: Screen, finding: Finding, *, verbose: bool) -> None:
    level = level_of(finding)
    word = _WORDS[level] if level else finding.severity.value.upper()
    screen.line(Tinted(word, _TINTS[level]), f" {line_of(finding)}")
    if verbose:
        for line in finding.evidence:
            screen.line(f"    {line}")
        if finding.advice:
            screen.line(f"    -> {finding.advice}")


def _view(finding: Finding) -> JsonObject:
    return {"level": _WORDS[level_of(finding)], "finding": line_of(finding), **finding_view(finding)}
