"""`kmodmon status`: taint, modules, posture, findings and the latest events on one screen."""

import argparse
from collections.abc import Iterator, Mapping, Sequence

from kmodmon.cli.gather import gather
from kmodmon.cli.output import Cell, Screen, Tint, Tinted, as_object, as_objects, human_span, local_time
from kmodmon.events.query import EventQuery
from kmodmon.events.sentence import sentence_of
from kmodmon.store.checkpoints import last_events
from kmodmon.system.clock import SystemClock
from kmodmon.types.error import KmodmonError
from kmodmon.types.units import JsonObject, JsonValue
from kmodmon.view.status import status_view

LAST_EVENTS = 8
MOST_FINDINGS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    del parser  # it takes only the shared ones


def run(args: argparse.Namespace) -> int:
    """Print the screen; 0 no findings, 1 some, 3 neither modules nor taint can be read, or a source hangs."""
    host = gather(args)
    view = status_view(host.state)
    if host.state.taint.value is None and host.state.inventory.support is None:
        raise KmodmonError("neither /proc/modules nor /proc/sys/kernel/tainted can be read; `kmodmon doctor` says why")
    events = last_events(host.settings.history.directory, EventQuery(newest_first=True, limit=LAST_EVENTS))
    screen = Screen.of(args)
    if args.json:
        screen.json({**view, "events": [event.to_json() for event in events]})
    else:
        for name, cell in _lines(view):
            screen.line(f"{name:<12} ", cell)
        if events:
            screen.line("")
            screen.line(Tinted("Last events", Tint.STRONG))
            for stored in events:
                screen.line(f"  {local_time(stored.event.at.realtime_usec)}  {sentence_of(stored.event)}")
    if any(source["hung"] for source in as_objects(view["degraded"])):
        return 3
    return 1 if view["findings"] else 0


def _lines(view: JsonObject) -> Iterator[tuple[str, Cell]]:
    yield "Kernel", _kernel(view["kernel"])
    yield from _taint(as_object(view["taint"]))
    yield from _modules(view)
    posture = as_object(view["posture"])
    yield "Lockdown", _level(posture["lockdown"], good=("integrity", "confidentiality"))
    yield "Signatures", _enforcement(posture)
    yield "Secure Boot", _level(posture["secure_boot"], good=("enabled",))
    yield "Loading", _loading(posture)
    newer = view["kernels_newer"]
    if isinstance(newer, Sequence) and newer:
        yield "Reboot", Tinted(f"a newer kernel is installed: {newer[-1]}", Tint.WARN)
    yield from _findings(view)
    yield from _baseline(as_object(view["baseline"]))
    degraded = as_objects(view["degraded"])
    for source in degraded:
        if source["hung"]:
            yield "Hung", Tinted(f"{source['source']}: {source['why']}", Tint.BAD)
    names = ", ".join(str(source["source"]) for source in degraded if not source["hung"])
    if names:
        yield "Not seen", Tinted(f"{names} (`kmodmon doctor` says why)", Tint.FAINT)


def _kernel(kernel: JsonValue) -> Cell:
    if not isinstance(kernel, Mapping):
        return "unknown"
    boot = kernel["boot_time"]
    up = f", up {human_span(SystemClock().now().seconds - boot)}" if isinstance(boot, int) else ""
    return f"{kernel['release']} {kernel['machine']}{up}"


def _taint(taint: JsonObject) -> Iterator[tuple[str, Cell]]:
    flags = as_objects(taint["flags"])
    if taint["value"] is None:
        yield "Taint", Tinted("cannot be read", Tint.BAD)
    elif not flags:
        yield "Taint", Tinted("none", Tint.GOOD)
    else:
        yield "Taint", Tinted(f"{taint['letters']} ({taint['value']})", Tint.WARN)
    for flag in flags:
        cause = flag["cause"] or "unknown cause"
        yield "", f"  {flag['letter']} {flag['flag']}: {cause}"


def _modules(view: JsonObject) -> Iterator[tuple[str, Cell]]:
    modules = as_object(view["modules"])
    if view["module_support"] is None:
        yield "Modules", Tinted("cannot be read", Tint.BAD)
        return
    if view["module_support"] is False:
        yield "Modules", "this kernel was built without loadable modules"
        return
    counts = ", ".join(f"{count} {trust}" for trust, count in as_object(modules["by_trust"]).items() if count)
    yield "Modules", f"{modules['loaded']} loaded ({counts})" if counts else "none loaded"
    for module in as_objects(view["tainted_modules"]):
        yield "", Tinted(f"  {module['module']} ({module['taint']})", Tint.WARN)


def _findings(view: JsonObject) -> Iterator[tuple[str, Cell]]:
    findings, policy = as_objects(view["findings"]), as_object(view["policy"])
    whose = f"by {policy['file']}" if policy["file"] else "by the shipped policy"
    if policy["refused"]:
        whose += "; its file was refused, see `kmodmon check`"
    yield "Findings", Tinted(f"{len(findings)} {whose}", Tint.WARN) if findings else Tinted(f"none {whose}", Tint.GOOD)
    for finding in findings[:MOST_FINDINGS]:
        tint = Tint.BAD if finding["severity"] in ("critical", "error") else Tint.WARN
        yield "", Tinted(f"  {finding['severity']} {finding['rule']}: {finding['subject']}", tint)
    if len(findings) > MOST_FINDINGS:
        yield "", f"  and {len(findings) - MOST_FINDINGS} more; `kmodmon check` shows all"


def _baseline(baseline: JsonObject) -> Iterator[tuple[str, Cell]]:
    drift = as_objects(baseline["drift"])
    if baseline["file"] is None:
        return
    signed = f"signed off by {baseline['author'] or 'nobody'} on {baseline['date'] or 'no date'}"
    if drift:
        differences = f"{len(drift)} difference{'s' * (len(drift) != 1)}"
        yield "Baseline", Tinted(f"{differences} (`kmodmon baseline diff` shows them); {signed}", Tint.WARN)
    else:
        yield "Baseline", Tinted(f"as {signed}", Tint.GOOD)


def _level(value: JsonValue, good: tuple[str, ...]) -> Cell:
    if value is None:
        return Tinted("cannot be told", Tint.FAINT)
    return Tinted(str(value), Tint.GOOD) if value in good else str(value)


def _enforcement(posture: JsonObject) -> Cell:
    sentence = str(posture["signature_enforcement"] or "cannot be told")
    return Tinted(sentence, Tint.GOOD) if posture["signature_enforced"] else sentence


def _loading(posture: JsonObject) -> Cell:
    match posture["modules_disabled"]:
        case True:
            return Tinted("disabled until reboot (modules_disabled)", Tint.GOOD)
        case False:
            return f"allowed; helper {posture['modprobe'] or 'none'}"
        case _:
            return Tinted("cannot be told", Tint.FAINT)
