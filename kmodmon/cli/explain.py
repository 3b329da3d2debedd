"""`kmodmon explain THING`: what a message, an errno, a taint or a module means; `--log FILE`: the reports in a log.

Exit codes: for THING 0 explained, 1 unknown; for --log 0 no report, 1 some, 3 the file cannot be read. Works without
the daemon, and reads the host only for the name of a module.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping
from errno import errorcode
from pathlib import Path

from kmodmon.cli import UsageError
from kmodmon.cli.output import Cell, Screen, Tint, Tinted
from kmodmon.events.event import Severity
from kmodmon.events.report import KernelReport
from kmodmon.kernel.taint import Flag, decode, parse_letters
from kmodmon.reports.explain import Explanation, explain_line
from kmodmon.reports.saved_log import explain_log
from kmodmon.types.error import KmodmonError
from kmodmon.types.units import JsonObject

_TINTS = {Severity.CRITICAL: Tint.BAD, Severity.ERROR: Tint.BAD, Severity.WARNING: Tint.WARN}


_UNTAINTED = Explanation(
    subject="0", meaning="The taint number of a kernel that is not tainted: no flag is set.",
    why="/proc/sys/kernel/tainted is the sum of the flags set since boot.", next_step="Nothing needs to be done.",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    parser.add_argument(
        "thing", nargs="*", metavar="THING",
        help="A kernel message, an errno sentence of insmod or modprobe, a taint number or its letters, a module.",
    )  # fmt: skip
    parser.add_argument("--log", metavar="FILE", help="Find every kernel report in a saved log; - is standard input.")
    parser.add_argument("--all", action="store_true", help="With --log: refused modules, taints and denials as well.")


def run(args: argparse.Namespace) -> int:
    """Print the explanation, or the reports of the log; the exit codes are at the head of the module."""
    screen = Screen.of(args)
    if args.log is not None:
        if args.thing:
            raise UsageError("kmodmon explain", "give either a THING or --log FILE, not both")
        return _log(args, screen)
    if not args.thing:
        raise UsageError("kmodmon explain", "nothing to explain: give a THING, or --log FILE")
    return _thing(args, screen, " ".join(args.thing))


def _log(args: argparse.Namespace, screen: Screen) -> int:
    reports = explain_log(_read(str(args.log)), include_all=args.all)
    if args.json:
        screen.json([report.to_json() for report in reports])
    else:
        for report in reports:
            _show_report(screen, report)
        if not reports:
            screen.line("No kernel report found.")
    return 1 if reports else 0


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise KmodmonError(f"{name}: {error.strerror}; --log needs a file that can be read") from error


def _show_report(screen: Screen, report: KernelReport) -> None:
    lines = (
        f"{report.first_line}-{report.last_line}" if report.last_line > report.first_line else str(report.first_line)
    )
    tint = _TINTS.get(report.severity, Tint.STRONG)
    panic: tuple[Cell, ...] = (Tinted("  ended in a panic", Tint.BAD),) if report.panic else ()
    screen.line(Tinted(report.title, Tint.STRONG), *panic)
    screen.line(
        "   ", Tinted(report.severity.value, tint), f"  {report.report_class.value} ({report.signature}), lines {lines}"
    )
    for name, value in _details(report).items():
        screen.line(f"    {name:<8}{value}")
    screen.line("")


def _details(report: KernelReport) -> Mapping[str, str]:
    who = [f"CPU {report.cpu}"] if report.cpu is not None else []
    who += [f"pid {report.pid}"] if report.pid is not None else []
    who += [report.comm] if report.comm else []
    details = {
        "module": None if report.module is None else f"{report.module} ({_blame_reason(report)})",
        "where": " ".join(who),
        "kernel": " ".join(word for word in (report.release, report.arch) if word),
        "taint": report.taint_letters,
        "print": report.fingerprint,
    }
    return {name: value for name, value in details.items() if value}


def _blame_reason(report: KernelReport) -> str:
    return "named" if report.module_reason is None else report.module_reason.value.replace("_", " ")


def _thing(args: argparse.Namespace, screen: Screen, text: str) -> int:
    explanation = _errno(text)
    flags = _taint(text) if explanation is None else ()
    if flags:
        return _show_flags(args, screen, flags)
    explanation = explanation or (_UNTAINTED if text.strip() == "0" else explain_line(text))
    if explanation is None and len(args.thing) == 1:
        explanation = _module(args, text)
    if args.json:
        screen.json(None if explanation is None else explanation.to_json())
    elif explanation is None:
        screen.line(
            f"Nothing is known of {text!r}: it is no message, errno, taint or loaded module that kmodmon knows; "
            "give a message as the kernel or the tool printed it"
        )
    else:
        _show(screen, explanation)
    return 1 if explanation is None else 0


def _errno(text: str) -> Explanation | None:
    # An errno by its name or its negative number: `EPERM`, `-126`, `err -2`.
    negative = re.fullmatch(r"(?:err(?:or|no)?[ :=]*)?-([0-9]{1,4})", text.strip().lower())
    name = errorcode.get(int(negative[1]), "") if negative is not None else text.strip().upper()
    value = next((number for number, symbol in errorcode.items() if symbol == name), None)
    if value is None:
        return None
    return explain_line(name) or Explanation(
        subject=name,
        meaning=f"{os.strerror(value)}. The module loader gives it no meaning of its own.",
        why="The module's init function, or something that it called, returned it.",
        next_step="Look at the driver's own lines in the kernel log (`dmesg | tail`).",
    )


def _taint(text: str) -> tuple[Flag, ...]:
    if text.isdecimal() and len(text) < 20:
        return decode(int(text))
    if text.isalpha() and len(text) <= 20 and (text.isupper() or len(text) == 1):
        letters = parse_letters(text)
        return letters.flags if not letters.unknown else ()
    return ()


def _show_flags(args: argparse.Namespace, screen: Screen, flags: tuple[Flag, ...]) -> int:
    if args.json:
        screen.json([_flag_json(flag) for flag in flags])
        return 0
    for flag in flags:
        screen.line(Tinted(f"{flag.letter}  {flag.label}", Tint.STRONG), f"  bit {flag.bit}, {flag.tier.value}")
        _show_lines(screen, Meaning=flag.cause, Why=flag.why, Next=flag.advice)
    return 0


def _flag_json(flag: Flag) -> JsonObject:
    return {"subject": flag.label, "letter": flag.letter, "bit": flag.bit, "meaning": flag.cause, "why": flag.why,
            "next_step": flag.advice}  # fmt: skip


def _show(screen: Screen, explanation: Explanation) -> None:
    report_class: tuple[Cell, ...] = (
        () if explanation.report_class is None else (f"  {explanation.report_class.value}",)
    )
    screen.line(Tinted(explanation.subject, Tint.STRONG), *report_class)
    _show_lines(
        screen, Module=explanation.module, Meaning=explanation.meaning, Why=explanation.why,
        Wording=explanation.wording or None, Next=explanation.next_step,
    )  # fmt: skip


def _show_lines(screen: Screen, **texts: str | None) -> None:
    for name, text in texts.items():
        if text is not None:
            screen.line(f"    {name:<9}{text}")


def _module(args: argparse.Namespace, name: str) -> Explanation | None:
    from kmodmon.cli.gather import gather  # imported last: most of the program, for a word that nothing else explains
    from kmodmon.view.modules import modules_view

    module_name = name.replace("-", "_")
    for module in modules_view(gather(args, ("kernel", "modules")).state):
        if module["name"] == module_name:
            taint = str(module["taint"] or "")
            flags = " ".join(flag.cause for flag in parse_letters(taint).flags)
            return Explanation(
                subject=module_name, module=module_name,
                meaning=f"A loaded module. {flags or 'It does not taint the kernel.'}",
                why=f"Its taint letters are {taint}." if taint else "It carries no taint letter.",
                next_step=f"`kmodmon modules {module_name}` shows the rest.",
            )  # fmt: skip
    return None
