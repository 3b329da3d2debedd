"""What is said of modules: how far they are trusted, and the events of their lives."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kmodmon.events.event import Actor, Event, EventType, Severity
from kmodmon.kernel.modules import ModuleState
from kmodmon.kernel.taint import parse_letters
from kmodmon.lifecycle.inventory import Build, Loaded, Module, SignatureStatus
from kmodmon.types.units import Instant, JsonValue

_TAINT_SEVERITY = (("F", Severity.ERROR), ("E", Severity.WARNING), ("O", Severity.WARNING), ("P", Severity.WARNING))
INIT_FAILED = "init_failed"  # a reason of kmodmon_module_load_failures_total
UNKNOWN_REASON = "unknown"


def trust_of_taint(taint: str) -> SignatureStatus:
    """The kernel's own verdict at the load: E was given to what it could not verify. See `model/trust` for more."""
    return SignatureStatus.UNSIGNED if "E" in taint else SignatureStatus.VALID


def loaded_event(name: str, how: Loaded, at: Instant, module: Module | None, evidence: tuple[str, ...]) -> Event:
    """A module that was not there is there. `module`: as listed, None when no look at the list ever saw it."""
    taint = how.build.taint
    severity = next((level for letter, level in _TAINT_SEVERITY if letter in taint), Severity.INFO)
    fields: dict[str, JsonValue] = {
        "signature": trust_of_taint(taint).value,
        "taints": taint,
        "size": None if module is None else module.size,
        "state": None if module is None else module.state.value,
        "version": how.build.version,
        "srcversion": how.build.srcversion,
        "build_id": how.build.build_id,
        "init_ms": _milliseconds(how.init_usec),
        "witnesses": list(how.signals),
    }
    if how.while_down:
        fields["while_down"] = True
    return Event(
        type=EventType.MODULE_LOADED, at=at, severity=severity, module=name, actor=how.actor, evidence=evidence,
        fields=MappingProxyType(fields),
    )  # fmt: skip


def unloaded_event(
    name: str, how: Loaded, at: Instant, actor: Actor | None, evidence: tuple[str, ...], *, while_down: bool = False
) -> Event:
    """A module that was there is gone."""
    fields: dict[str, JsonValue] = {
        "taints": how.build.taint,
        "srcversion": how.build.srcversion,
        "lifetime_ms": _lifetime(how, at),
    }
    if while_down:
        fields["while_down"] = True
    return Event(
        type=EventType.MODULE_UNLOADED, at=at, module=name, actor=actor, evidence=evidence,
        fields=MappingProxyType(fields),
    )  # fmt: skip


def transient_event(name: str, how: Loaded, at: Instant, actor: Actor | None, evidence: tuple[str, ...]) -> Event:
    """A module's whole life, from load to unload, passed between two looks at the list."""
    fields: dict[str, JsonValue] = {
        "signature": trust_of_taint(how.build.taint).value,
        "taints": how.build.taint,
        "loaded": None if how.at is None else how.at.realtime_usec,
        "lifetime_ms": _lifetime(how, at),
        "unloaded_by": None if actor is None else actor.name,
    }
    return Event(
        type=EventType.MODULE_TRANSIENT, at=at, severity=Severity.NOTICE, module=name, actor=how.actor,
        evidence=evidence, fields=MappingProxyType(fields),
    )  # fmt: skip


def load_failed_event(
    name: str, how: Loaded, noticed: Instant, reason: str, error: int | None, evidence: tuple[str, ...]
) -> Event:
    """A load came to nothing after the kernel had taken the module in. `error`: what init returned, None if unknown."""
    fields: dict[str, JsonValue] = {
        "reason": reason,
        "taints": how.build.taint,
        "error": error,
        "witnesses": list(how.signals),
    }
    if how.while_down:
        fields["while_down"] = True
    return Event(
        type=EventType.MODULE_LOAD_FAILED, at=how.at or noticed, severity=Severity.WARNING, module=name,
        actor=how.actor, evidence=evidence, fields=MappingProxyType(fields),
    )  # fmt: skip


def changed_event(name: str, was: Build, now: Build, at: Instant, evidence: tuple[str, ...], *, loaded: bool) -> Event:
    """The module of this name is another build than the one before, or (`loaded`) changed while it was loaded."""
    return Event(
        type=EventType.MODULE_CHANGED,
        at=at,
        severity=Severity.WARNING if loaded else Severity.NOTICE,
        module=name,
        fields={
            "old_srcversion": was.srcversion,
            "srcversion": now.srcversion,
            "old_build_id": was.build_id,
            "build_id": now.build_id,
            "old_taints": was.taint,
            "taints": now.taint,
            "taint_bits": parse_letters(now.taint).value & ~parse_letters(was.taint).value if loaded else 0,
            "while_loaded": loaded,
        },
        evidence=evidence,
    )


def is_other_build(was: Build, now: Build) -> bool:
    """Whether two builds differ in what the kernel tells of both of them."""
    pairs = ((was.srcversion, now.srcversion), (was.build_id, now.build_id))
    return any(before is not None and after is not None and before != after for before, after in pairs)


def contradiction_event(name: str, kind: str, at: Instant, evidence: tuple[str, ...]) -> Event:
    """Witnesses of one module's life do not agree: something is hidden, forged, or unknown to us."""
    return Event(
        type=EventType.WITNESS_CONTRADICTED, at=at, severity=Severity.ERROR, module=name, evidence=evidence,
        fields={"kind": kind},
    )  # fmt: skip


def count_states(modules: Iterable[Module]) -> Mapping[ModuleState, int]:
    """How many modules are in each state; every state has its number."""
    counts = dict.fromkeys(ModuleState, 0)
    for module in modules:
        counts[module.state] += 1
    return counts


def _milliseconds(usec: int | None) -> float | None:
    return None if usec is None else round(usec / 1000, 3)


def _lifetime(how: Loaded, until: Instant) -> float | None:
    return None if how.at is None else _milliseconds(until.monotonic_usec - how.at.monotonic_usec)
