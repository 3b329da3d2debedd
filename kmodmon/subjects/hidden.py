"""Hidden modules: loaded, and missing from a view of the kernel that must show every loaded module.

A finding says which views lack the module, which show it, how certain that is, and why. Several passes must agree,
because no view is atomic: during a load or unload a module is in some views before others. The history of loads counts
like a view: the trace had a module_load and no module_free, and /proc/modules does not list the module. Two findings
have no module name: sub-directories that st_nlink of /sys/module counts and its listing lacks, and memory of the module
loader that no listed module accounts for.

A finding proves that views disagree. No finding proves nothing: code in the kernel can forge every view.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.module import ModuleHidden, ModuleUnhidden
from kmodmon.lifecycle.inventory import Loaded
from kmodmon.lifecycle.pending import SETTLE_USEC, Discrepancy, Lifecycle
from kmodmon.subjects.crossview import CrossViewRead, Pass, View, views_showing
from kmodmon.types.codec import members_from_json, to_json
from kmodmon.types.units import Instant, JsonObject

LOAD_HISTORY = "history"  # no view of the kernel: a load was traced, and no unload
UNNAMED = "(unnamed)"
MAX_FINDINGS = 256
_WORDS = {
    View.SYSFS: "/sys/module/{} has an initstate",
    View.FTRACE: "available_filter_functions lists functions of {}",
    View.KPROBES: "a kprobe stands in {}",
    View.HOLDERS: "a listed module names {} as its user",
    View.KALLSYMS: "/proc/kallsyms has symbols of {}",
    View.LIST: "/proc/modules lists {}",
}


class Confidence(enum.StrEnum):
    """How certain a finding is; the values are public."""

    CERTAIN = "certain"  # two views show the module, or /proc/modules or /sys/module does
    LIKELY = "likely"  # one other view shows it
    POSSIBLE = "possible"  # a count differs, and no view names a module


_SEVERITIES = {
    Confidence.CERTAIN: Severity.CRITICAL,
    Confidence.LIKELY: Severity.ERROR,
    Confidence.POSSIBLE: Severity.WARNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenModule:
    """One finding."""

    module: str  # name, or UNNAMED
    since: Instant  # when it was found first
    missing_from: tuple[str, ...]  # values of `View`, or "sysfs_listing"
    seen_in: tuple[str, ...]  # values of `View`, or LOAD_HISTORY
    confidence: Confidence
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenState:
    """The findings of the latest comparison, and which views it could read."""

    findings: Mapping[str, HiddenModule] = field(default_factory=lambda: MappingProxyType({}))  # by module name
    views: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # why it was not read; empty: it was
    strays: tuple[int, ...] = ()  # `Pass.strays` of the comparison: an area must be in two to be a finding
    trace_usec: int = 0  # `Lifecycle.trace_usec` at the comparison


NOTHING_HIDDEN = HiddenState()


def crossview_read(
    hidden: HiddenState, read: CrossViewRead, loaded: Mapping[str, Loaded], lifecycle: Lifecycle, at: Instant
) -> tuple[HiddenState, tuple[Event, ...]]:
    """Fold one comparison of the views; `lifecycle` has the modules whose load was traced and that vanished since."""
    last = read.last
    findings = _named(read, lifecycle.hiding, at)
    quiet = lifecycle.trace_since is not None and not lifecycle.waits and lifecycle.trace_usec == hidden.trace_usec
    findings |= {finding.module: finding for finding in _unnamed(read, hidden if quiet else None, len(findings), at)}
    for name, before in hidden.findings.items():
        if name in findings:
            findings[name] = replace(findings[name], since=before.since)
        elif _is_unreadable(before, last) or (View.MEMORY in before.seen_in and last.strays and not quiet):
            findings[name] = before
    findings = dict(tuple(findings.items())[:MAX_FINDINGS])
    hidden_events = tuple(
        _hidden_event(finding, loaded.get(name), at)
        for name, finding in findings.items()
        if _is_new(hidden.findings.get(name), finding)
    )
    unhidden_events = tuple(
        _unhidden_event(finding, last, loaded, at) for name, finding in hidden.findings.items() if name not in findings
    )
    after = HiddenState(
        findings=MappingProxyType(findings),
        views=MappingProxyType({view.value: view_read.why for view, view_read in last.views.items()}),
        strays=last.strays or (),
        trace_usec=lifecycle.trace_usec,
    )
    return (hidden if after == hidden else after), hidden_events + unhidden_events


def _named(read: CrossViewRead, hiding: Mapping[str, Discrepancy], at: Instant) -> dict[str, HiddenModule]:
    last = read.last
    # The passes may have begun before the module vanished: such a module is compared at the next reading.
    settled = {
        name
        for name, discrepancy in hiding.items()
        if at.monotonic_usec - discrepancy.since.monotonic_usec >= SETTLE_USEC
    }
    by_history = frozenset(settled - last.listed.keys() - last.relisted.keys())
    findings = (_finding(name, last, hiding.get(name), at) for name in sorted(read.agreed | by_history))
    return {finding.module: finding for finding in findings if finding.missing_from}


def _finding(name: str, last: Pass, discrepancy: Discrepancy | None, at: Instant) -> HiddenModule:
    listed = name in last.listed or name in last.relisted
    shown = (*((View.LIST,) if listed else ()), *views_showing(last, name))
    shown = (*shown, *((View.KALLSYMS,) if last.shows(View.KALLSYMS, name) else ()))
    missing = [view.value for view in (View.LIST, View.SYSFS) if last.shows(view, name) is False and view not in shown]
    evidence = [_WORDS[view].format(name) for view in shown]
    if name in last.unlistable:
        missing.append("sysfs_listing")
        evidence.append(f"/sys/module/{name} is there by name, and in no listing of /sys/module")
    if listed and last.shows(View.FTRACE, name) and last.shows(View.KALLSYMS, name) is False:
        missing.append(View.KALLSYMS.value)
    if discrepancy is not None:
        evidence.append(f"its load was seen, and no unload ({discrepancy.kind})")
    if last.strays and not listed:
        evidence.append(_stray_words(last.strays))
    seen_in = (*(view.value for view in shown), *((LOAD_HISTORY,) if discrepancy is not None else ()))
    certain = len(seen_in) > 1 or View.LIST in shown or View.SYSFS in shown
    return HiddenModule(
        module=name,
        since=at,
        missing_from=tuple(missing),
        seen_in=seen_in,
        confidence=Confidence.CERTAIN if certain else Confidence.LIKELY,
        evidence=tuple(evidence),
    )


def _unnamed(read: CrossViewRead, before: HiddenState | None, named: int, at: Instant) -> Iterator[HiddenModule]:
    last = read.last
    if read.uncounted > len(last.unlistable):
        words = f"/sys/module counts {read.uncounted} sub-directories more than it lists"
        yield _nobody(View.SYSFS, View.SYSFS, words, at)
        return
    # A module has memory before it is listed and a little after it is not any more. So an area counts only if it was in
    # the comparison before too, and the trace had no load and no unload in between.
    stays = tuple(size for size in last.strays or () if before is not None and size in before.strays)
    if len(stays) > named:
        yield _nobody(View.LIST, View.MEMORY, _stray_words(stays), at)


def _nobody(missing_from: View, seen_in: View, words: str, at: Instant) -> HiddenModule:
    return HiddenModule(
        module=UNNAMED, since=at, missing_from=(missing_from.value,), seen_in=(seen_in.value,),
        confidence=Confidence.POSSIBLE, evidence=(words,),
    )  # fmt: skip


def _stray_words(sizes: tuple[int, ...]) -> str:
    listed = ", ".join(str(size) for size in sizes[:8])
    return f"the loader's memory has areas that no listed module accounts for, of {listed} bytes"


def _is_unreadable(before: HiddenModule, last: Pass) -> bool:
    """Whether a view that showed the module cannot be read now, so that its absence there proves nothing."""
    return any(view.value in before.seen_in and read.names is None for view, read in last.views.items())


def _is_new(before: HiddenModule | None, now: HiddenModule) -> bool:
    return before is None or set(now.missing_from) - set(before.missing_from) != set()


def _hidden_event(finding: HiddenModule, how: Loaded | None, at: Instant) -> Event:
    return Event(
        details=ModuleHidden(
            missing_from=finding.missing_from, seen_in=finding.seen_in, confidence=finding.confidence.value
        ),
        at=at,
        severity=_SEVERITIES[finding.confidence],
        module=finding.module,
        actor=None if how is None else how.actor,
        evidence=finding.evidence,
    )


def _unhidden_event(finding: HiddenModule, last: Pass, loaded: Mapping[str, Loaded], at: Instant) -> Event:
    name = finding.module
    if name in last.listed:
        how = "every view shows it again"
    elif name in loaded:
        how = "no view shows it any more, though its unload was not seen"
    else:
        how = "no view shows it any more"
    details = ModuleUnhidden(missing_from=finding.missing_from, since=finding.since.realtime_usec)
    return Event(details=details, at=at, severity=Severity.NOTICE, module=name, evidence=(how,))


def hidden_to_json(hidden: HiddenState) -> JsonObject:
    """Give the findings as a checkpoint."""
    return {name: to_json(finding, without=("module",)) for name, finding in hidden.findings.items()}


def hidden_from_json(document: JsonObject) -> HiddenState:
    """Undo :func:`hidden_to_json`; entries of another shape are dropped, and found again if they are true."""
    return HiddenState(findings=members_from_json(HiddenModule, document, name_field="module"))
