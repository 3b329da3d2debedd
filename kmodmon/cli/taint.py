"""`kmodmon taint [VALUE]`: what each taint flag means, for the running kernel with its causes or for any number."""

import argparse
from collections.abc import Mapping

from kmodmon.cli import UsageError
from kmodmon.cli.output import Screen, Tint, Tinted, as_objects, joined, local_time
from kmodmon.kernel.taint import Tier, letters, parse_tainted, parse_tainted_text
from kmodmon.types.error import KmodmonError, ParseError
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import JsonObject
from kmodmon.view.taint import flags_view, taint_view

_TINTS = {Tier.SECURITY.value: Tint.BAD, Tier.DEGRADED.value: Tint.WARN, Tier.INFORMATIONAL.value: Tint.STRONG}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    parser.add_argument("value", nargs="?", metavar="VALUE", help="A taint number, or letters as in `Tainted: G  OE`.")


def run(args: argparse.Namespace) -> int:
    """Print the flags; 0 not tainted, 1 tainted, 3 the kernel's number cannot be read."""
    screen = Screen.of(args)
    if args.value is not None:
        number = offline_value(str(args.value))
        view: JsonObject = {"value": number, "letters": letters(number), "flags": flags_view(number, None, None)}
    else:
        from kmodmon.cli.gather import gather  # imports most of the program, which a number does not need

        host = gather(args, ("kernel", "modules", "taint"))
        if host.state.taint.value is None:
            raise KmodmonError(f"the kernel's taint cannot be read: {host.why_unreadable(SourceName.TAINT)}")
        view = taint_view(host.state)
    if args.json:
        screen.json(view)
    else:
        _show(screen, view)
    return 1 if view["value"] else 0


def offline_value(text: str) -> int:
    """Give the taint number that `text` means: decimal, hexadecimal after 0x, or letters; raises UsageError."""
    try:
        if text.lower().startswith("0x"):
            return int(text, 16)
        return parse_tainted(text.encode())
    except (ValueError, ParseError):
        read = parse_tainted_text(text.strip() if text.strip().startswith("Tainted") else f"Tainted: {text}")
    if not read.flags:
        raise UsageError("kmodmon taint", f"{text!r} is neither a taint number nor taint letters; try 12288")
    return read.value


def _show(screen: Screen, view: JsonObject) -> None:
    flags = as_objects(view["flags"])
    if not flags:
        screen.line(Tinted("Not tainted", Tint.GOOD))
        return
    screen.line(f"Tainted: {view['letters']} ({view['value']})")
    for flag in flags:
        _show_flag(screen, flag)


def _show_flag(screen: Screen, flag: JsonObject) -> None:
    tier = str(flag["tier"])
    screen.line("")
    screen.line(Tinted(f"{flag['letter']}  {flag['flag']}", Tint.STRONG), "  ", Tinted(tier, _TINTS[tier]))
    screen.line(f"   What    {flag['cause_of_flag']}")
    screen.line(f"   Why     {flag['why']}")
    if flag["cause"] is not None:
        screen.line(f"   Cause   {_cause(flag)}")
    if flag["modules"]:
        screen.line(f"   Carried by {joined(flag['modules'], ', ')}")
    screen.line(f"   Do      {flag['advice']}")


def _cause(flag: JsonObject) -> str:
    since = flag["since"]
    when = f" since {local_time(since)}" if isinstance(since, int) else ""
    actor = flag["actor"]
    who = f", by {actor['comm'] or 'pid ' + str(actor['pid'])}" if isinstance(actor, Mapping) else ""
    why = f" ({joined(flag['evidence'], '; ')})" if flag["evidence"] else ""
    return f"{flag['cause']}{when}{who}{why}"
