"""`kmodmon check`: for cron, CI and Nagios; all findings, one line each, and the exit code monitoring systems know."""

import argparse

from kmodmon.cli.gather import Gathered, gather
from kmodmon.cli.output import Screen, Tint, Tinted
from kmodmon.kernel.taint import Tier, decode
from kmodmon.model.event import Severity
from kmodmon.view.taint import carriers

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
_WORDS = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}
_TINTS = {OK: Tint.GOOD, WARNING: Tint.WARN, CRITICAL: Tint.BAD, UNKNOWN: Tint.STRONG}
_LEVELS = {Severity.CRITICAL: CRITICAL, Severity.ERROR: CRITICAL, Severity.WARNING: WARNING}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    del parser  # it takes only the shared ones


def run(args: argparse.Namespace) -> int:
    """Print the worst word with a count, then the findings; 0 OK, 1 warning, 2 critical, 3 unknown."""
    found = gather(args)
    lines = findings(found)
    code = max((level for level, _ in lines), default=OK)
    screen = Screen.of(args)
    if args.json:
        screen.json(
            {"status": _WORDS[code], "findings": [{"level": _WORDS[lv], "finding": text} for lv, text in lines]}
        )
        return code
    screen.line(Tinted(_WORDS[code], _TINTS[code]), f": {len(lines)} finding{'' if len(lines) == 1 else 's'}")
    for level, text in lines:
        screen.line(Tinted(f"{_WORDS[level]}", _TINTS[level]), f" {text}")
    return code


def findings(found: Gathered) -> list[tuple[int, str]]:
    """Every finding with its level."""
    state = found.state
    lines = [] if state.taint.value is not None else [(UNKNOWN, f"taint: {state.sources['taint'].why}")]
    if state.inventory.support is None:
        lines.append((UNKNOWN, f"modules: {state.sources['modules'].why}"))
    for flag in decode(state.taint.value or 0):
        level = CRITICAL if flag.tier is Tier.SECURITY else WARNING
        by = ", ".join(carriers(state.inventory, flag))
        lines.append((level, f"taint {flag.letter} {flag.label}{f', carried by {by}' if by else ''}: {flag.cause}"))
    return lines
