"""What is said of modules: how far they are trusted, and the events of their lives."""

from collections.abc import Iterable, Mapping

from kmodmon.events.event import Actor, Event, Severity
from kmodmon.events.kinds.module import (
    ModuleChanged,
    ModuleInitFailed,
    ModuleLoaded,
    ModuleTransient,
    ModuleUnloaded,
    SignalsContradicted,
)
from kmodmon.kernel.modules import ModuleState
from kmodmon.kernel.taint import parse_letters
from kmodmon.lifecycle.inventory import Build, Loaded, Module, SignatureStatus
from kmodmon.types.units import Instant

_TAINT_SEVERITY = (("F", Severity.ERROR), ("E", Severity.WARNING), ("O", Severity.WARNING), ("P", Severity.WARNING))
INIT_FAILED = "init_failed"  # a reason of kmodmon_module_load_failures_total
UNKNOWN_REASON = "unknown"


def trust_of_taint(taint: str) -> SignatureStatus:
    """The kernel's own verdict at the load: E was given to what it could not verify. See `model/trust` for more."""
    return SignatureStatus.UNSIGNED if "E" in taint else SignatureStatus.VALID


def loaded_event(name: str, how: Loaded, at: Instant, module: Module | None, evidence: tuple[str, ...]) -> Event:
    """A module that was not loaded is. `module`: as listed, None when no reading of the list ever showed it."""
    taint = how.build.taint
    details = ModuleLoaded(
        signature=trust_of_taint(taint).value,
        taints=taint,
        size=None if module is None else module.size,
        state=None if module is None else module.state.value,
        version=how.build.version,
        srcversion=how.build.srcversion,
        build_id=how.build.build_id,
        init_ms=_milliseconds(how.init_usec),
        signals=how.signals,
        while_down=how.while_down,
    )
    severity = next((level for letter, level in _TAINT_SEVERITY if letter in taint), Severity.INFO)
    return Event(details=details, at=at, severity=severity, module=name, actor=how.actor, evidence=evidence)


def unloaded_event(
    name: str, how: Loaded, at: Instant, actor: Actor | None, evidence: tuple[str, ...], *, while_down: bool = False
) -> Event:
    """A module that was loaded is gone."""
    details = ModuleUnloaded(
        taints=how.build.taint,
        srcversion=how.build.srcversion,
        lifetime_ms=_lifetime(how, at),
        while_down=while_down,
    )
    return Event(details=details, at=at, module=name, actor=actor, evidence=evidence)


def transient_event(name: str, how: Loaded, at: Instant, actor: Actor | None, evidence: tuple[str, ...]) -> Event:
    """A module was loaded and unloaded between two readings of the list."""
    details = ModuleTransient(
        signature=trust_of_taint(how.build.taint).value,
        taints=how.build.taint,
        loaded=None if how.at is None else how.at.realtime_usec,
        lifetime_ms=_lifetime(how, at),
        unloaded_by=None if actor is None else actor.name,
    )
    return Event(details=details, at=at, severity=Severity.NOTICE, module=name, actor=how.actor, evidence=evidence)


def load_failed_event(
    name: str, how: Loaded, noticed: Instant, reason: str, error: int | None, evidence: tuple[str, ...]
) -> Event:
    """A load came to nothing after the kernel had taken the module in. `error`: what init returned, None if unknown."""
    details = ModuleInitFailed(
        reason=reason, taints=how.build.taint, error=error, signals=how.signals, while_down=how.while_down
    )
    at = how.at or noticed
    return Event(details=details, at=at, severity=Severity.WARNING, module=name, actor=how.actor, evidence=evidence)


def changed_event(name: str, was: Build, now: Build, at: Instant, evidence: tuple[str, ...], *, loaded: bool) -> Event:
    """The module of this name is another build than the one before, or (`loaded`) changed while it was loaded."""
    details = ModuleChanged(
        old_srcversion=was.srcversion,
        srcversion=now.srcversion,
        old_build_id=was.build_id,
        build_id=now.build_id,
        old_taints=was.taint,
        taints=now.taint,
        taint_bits=parse_letters(now.taint).value & ~parse_letters(was.taint).value if loaded else 0,
        while_loaded=loaded,
    )
    severity = Severity.WARNING if loaded else Severity.NOTICE
    return Event(details=details, at=at, severity=severity, module=name, evidence=evidence)


def is_other_build(was: Build, now: Build) -> bool:
    """Whether two builds differ in what the kernel tells of both of them."""
    pairs = ((was.srcversion, now.srcversion), (was.build_id, now.build_id))
    return any(before is not None and after is not None and before != after for before, after in pairs)


def contradiction_event(name: str, kind: str, at: Instant, evidence: tuple[str, ...]) -> Event:
    """The sources of evidence about one module contradict each other: something is hidden, forged, or unknown."""
    details = SignalsContradicted(contradiction=kind)
    return Event(details=details, at=at, severity=Severity.ERROR, module=name, evidence=evidence)


def count_states(modules: Iterable[Module]) -> Mapping[ModuleState, int]:
    """How many modules are in each state; every state has its number."""
    counts = dict.fromkeys(ModuleState, 0)
    for module in modules:
        counts[module.state] += 1
    return counts


def _milliseconds(usec: int | None) -> float | None:
    return None if usec is None else usec / 1000


def _lifetime(how: Loaded, until: Instant) -> float | None:
    return None if how.at is None else _milliseconds(until.monotonic_usec - how.at.monotonic_usec)
