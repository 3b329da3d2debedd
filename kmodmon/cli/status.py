"""`kmodmon status`: one screen about the kernel's trust."""

import argparse
from collections.abc import Iterator, Mapping, Sequence

from kmodmon.cli.gather import gather
from kmodmon.cli.output import Cell, Screen, Tint, Tinted, human_span, local_time
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
    """Print the screen; 0 no findings, 1 the policy finds something, 3 nothing can be read."""
    found = gather(args)
    view = status_view(found.state)
    if view["taint"] is None or (found.state.taint.value is None and found.state.inventory.support is None):
        raise KmodmonError("neither /proc/modules nor /proc/sys/kernel/tainted can be read; `kmodmon doctor` says why")
    events = last_events(found.settings.history.directory, EventQuery(newest_first=True, limit=LAST_EVENTS))
    screen = Screen.of(args)
    if args.json:
        screen.json({**view, "events": [event.to_json() for event in events]})
    else:
        _show(screen, view)
        if events:
            screen.line("")
            screen.line(Tinted("Last events", Tint.STRONG))
            for stored in events:
                screen.line(f"  {local_time(stored.event.at.realtime_usec)}  {sentence_of(stored.event)}")
    return 1 if view["findings"] else 0


def _show(screen: Screen, view: JsonObject) -> None:
    for name, cell in _lines(view):
        screen.line(f"{name:<12} ", cell)


def _lines(view: JsonObject) -> Iterator[tuple[str, Cell]]:
    yield "Kernel", _kernel(view["kernel"])
    yield from _taint(view["taint"])
    yield from _modules(view)
    posture = view["posture"]
    assert isinstance(posture, Mapping)
    yield "Lockdown", _word(posture["lockdown"], good=("integrity", "confidentiality"))
    yield "Signatures", _enforcement(posture)
    yield "Secure Boot", _word(posture["secure_boot"], good=("enabled",))
    yield "Loading", _loading(posture)
    newer = view["kernels_newer"]
    if isinstance(newer, Sequence) and newer:
        yield "Reboot", Tinted(f"a newer kernel is installed: {newer[-1]}", Tint.WARN)
    yield from _findings(view)
    yield from _baseline(view["baseline"])
    degraded = view["degraded"]
    if isinstance(degraded, Sequence) and degraded:
        names = ", ".join(str(entry["source"]) for entry in degraded if isinstance(entry, Mapping))
        yield "Not seen", Tinted(f"{names} (`kmodmon doctor` says why)", Tint.FAINT)


def _kernel(kernel: JsonValue) -> Cell:
    if not isinstance(kernel, Mapping):
        return "unknown"
    boot = kernel["boot_time"]
    up = f", up {human_span(SystemClock().now().seconds - boot)}" if isinstance(boot, int) else ""
    return f"{kernel['release']} {kernel['machine']}{up}"


def _taint(taint: JsonValue) -> Iterator[tuple[str, Cell]]:
    assert isinstance(taint, Mapping)
    flags = taint["flags"]
    assert isinstance(flags, Sequence)
    if taint["value"] is None:
        yield "Taint", Tinted("cannot be read", Tint.BAD)
    elif not flags:
        yield "Taint", Tinted("none", Tint.GOOD)
    else:
        yield "Taint", Tinted(f"{taint['letters']} ({taint['value']})", Tint.WARN)
    for flag in flags:
        assert isinstance(flag, Mapping)
        cause = flag["cause"] or "unknown cause"
        yield "", f"  {flag['letter']} {flag['flag']}: {cause}"


def _modules(view: JsonObject) -> Iterator[tuple[str, Cell]]:
    modules = view["modules"]
    assert isinstance(modules, Mapping)
    trust = modules["by_trust"]
    assert isinstance(trust, Mapping)
    if view["module_support"] is False:
        yield "Modules", "this kernel was built without loadable modules"
        return
    counts = ", ".join(f"{count} {verdict}" for verdict, count in trust.items() if count)
    yield "Modules", f"{modules['loaded']} loaded ({counts})" if counts else "none loaded"
    tainted = view["tainted_modules"]
    assert isinstance(tainted, Sequence)
    for entry in tainted:
        assert isinstance(entry, Mapping)
        yield "", Tinted(f"  {entry['module']} ({entry['taint']})", Tint.WARN)


def _findings(view: JsonObject) -> Iterator[tuple[str, Cell]]:
    found, policy = view["findings"], view["policy"]
    assert isinstance(found, Sequence) and isinstance(policy, Mapping)
    whose = f"by {policy['file']}" if policy["file"] else "by the shipped policy"
    if policy["refused"]:
        whose += "; its file was refused, see `kmodmon check`"
    yield "Findings", Tinted(f"{len(found)} {whose}", Tint.WARN) if found else Tinted(f"none {whose}", Tint.GOOD)
    for one in found[:MOST_FINDINGS]:
        assert isinstance(one, Mapping)
        tint = Tint.BAD if one["severity"] in ("critical", "error") else Tint.WARN
        yield "", Tinted(f"  {one['severity']} {one['rule']}: {one['subject']}", tint)
    if len(found) > MOST_FINDINGS:
        yield "", f"  and {len(found) - MOST_FINDINGS} more; `kmodmon check` shows all"


def _baseline(baseline: JsonValue) -> Iterator[tuple[str, Cell]]:
    assert isinstance(baseline, Mapping)
    drift = baseline["drift"]
    if baseline["file"] is None or not isinstance(drift, Sequence):
        return
    signed = f"signed off by {baseline['author'] or 'nobody'} on {baseline['date'] or 'no date'}"
    if drift:
        differences = f"{len(drift)} difference{'s' * (len(drift) != 1)}"
        yield "Baseline", Tinted(f"{differences} (`kmodmon baseline diff` shows them); {signed}", Tint.WARN)
    else:
        yield "Baseline", Tinted(f"as {signed}", Tint.GOOD)


def _word(value: JsonValue, good: tuple[str, ...]) -> Cell:
    if value is None:
        return Tinted("cannot be told", Tint.FAINT)
    return Tinted(str(value), Tint.GOOD) if value in good else str(value)


def _enforcement(posture: Mapping[str, JsonValue]) -> Cell:
    sentence = str(posture["signature_enforcement"] or "cannot be told")
    return Tinted(sentence, Tint.GOOD) if posture["signature_enforced"] else sentence


def _loading(posture: Mapping[str, JsonValue]) -> Cell:
    match posture["modules_disabled"]:
        case True:
            return Tinted("disabled until reboot (modules_disabled)", Tint.GOOD)
        case False:
            return f"allowed; helper {posture['modprobe'] or 'none'}"
        case _:
            return Tinted("cannot be told", Tint.FAINT)
