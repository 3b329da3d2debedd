"""The inventory and the taint ledger as checkpoints: JSON, and back. Entries of another shape are dropped.

A dropped entry makes the daemon know less ("before our first look"), never something false.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from kmodmon.model.codec import ShapeError, actor_from_json
from kmodmon.model.event import Actor
from kmodmon.model.inventory import EMPTY_INVENTORY, Inventory, Loaded, Module, ModuleAttributes
from kmodmon.model.taint import TaintEntry, TaintState
from kmodmon.model.units import Instant, JsonObject, JsonValue, Usec

T = TypeVar("T")


def inventory_to_json(inventory: Inventory) -> JsonObject:
    """Who was loaded, which build of it, and how it came; sizes and counts are read anew."""
    return {
        name: {
            "taint": module.taint,
            "instance": module.attributes.instance,
            "srcversion": module.attributes.srcversion,
            "build_id": module.attributes.build_id,
            "version": module.attributes.version,
            **_loaded_to_json(inventory.loaded.get(name)),
        }
        for name, module in inventory.modules.items()
    }


def inventory_from_json(document: JsonObject) -> Inventory:
    """The inventory to compare the first reading with; `support` stays None until that reading."""
    modules: dict[str, Module] = {}
    loaded: dict[str, Loaded] = {}
    for name, entry in document.items():
        if isinstance(entry, Mapping):
            modules[name] = _module(name, entry)
            loaded[name] = _loaded(entry)
    return replace(EMPTY_INVENTORY, modules=MappingProxyType(modules), loaded=MappingProxyType(loaded))


def taint_to_json(taint: TaintState) -> JsonObject:
    """The number and the ledger. Bits that still wait for a clue are left out: they are news again after a restart."""
    waiting = sum(1 << bit for bit in taint.pending)
    return {
        "value": None if taint.value is None else str(taint.value & ~waiting),
        "ledger": {
            str(bit): {
                "since": instant_to_json(entry.since),
                "cause": entry.cause,
                "module": entry.module,
                "actor": None if entry.actor is None else entry.actor.to_json(),
                "evidence": list(entry.evidence),
            }
            for bit, entry in taint.ledger.items()
        },
    }


def taint_from_json(document: JsonObject) -> TaintState:
    """The ledger of the earlier run; the number it ended with is compared with the first reading."""
    rows = document.get("ledger")
    ledger: dict[int, TaintEntry] = {}
    for bit, entry in rows.items() if isinstance(rows, Mapping) else ():
        if bit.isdecimal() and int(bit) < 64 and isinstance(entry, Mapping):
            ledger[int(bit)] = _entry(int(bit), entry)
    value = document.get("value")
    number = int(value) if isinstance(value, str) and value.isdecimal() else None
    return TaintState(value=number, ledger=MappingProxyType(ledger))


def instant_to_json(at: Instant | None) -> JsonValue:
    """Both clocks, in microseconds."""
    return None if at is None else [at.realtime_usec, at.monotonic_usec]


def instant_from_json(value: JsonValue) -> Instant | None:
    """Undo :func:`instant_to_json`; None for anything else."""
    match value:
        case [int(realtime), int(monotonic)]:
            return Instant(realtime_usec=Usec(realtime), monotonic_usec=Usec(monotonic))
        case _:
            return None


def text_or_none(value: JsonValue) -> str | None:
    """A JSON string, None for anything else."""
    return value if isinstance(value, str) else None


def number_or_none(value: JsonValue) -> int | None:
    """A JSON integer, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def actor_or_none(value: JsonValue) -> Actor | None:
    """An actor, None for anything else."""
    return _quietly(lambda: actor_from_json(value))


def _quietly(parse: Callable[[], T | None]) -> T | None:
    try:
        return parse()
    except ShapeError:
        return None


def _loaded_to_json(loaded: Loaded | None) -> JsonObject:
    if loaded is None:
        return {}
    return {
        "before_start": loaded.before_start,
        "while_down": loaded.while_down,
        "at": instant_to_json(loaded.at),
        "actor": None if loaded.actor is None else loaded.actor.to_json(),
    }


def _loaded(entry: Mapping[str, JsonValue]) -> Loaded:
    return Loaded(
        before_start=entry.get("before_start") is not False,
        while_down=entry.get("while_down") is True,
        at=instant_from_json(entry.get("at")),
        actor=actor_or_none(entry.get("actor")),
    )


def _module(name: str, entry: Mapping[str, JsonValue]) -> Module:
    return Module(
        name=name,
        size=0,
        taint=text_or_none(entry.get("taint")) or "",
        attributes=ModuleAttributes(
            instance=number_or_none(entry.get("instance")),
            version=text_or_none(entry.get("version")),
            srcversion=text_or_none(entry.get("srcversion")),
            build_id=text_or_none(entry.get("build_id")),
        ),
    )


def _entry(bit: int, entry: Mapping[str, JsonValue]) -> TaintEntry:
    evidence = entry.get("evidence")
    return TaintEntry(
        bit=bit,
        since=instant_from_json(entry.get("since")),
        cause=text_or_none(entry.get("cause")) or "unexplained",
        module=text_or_none(entry.get("module")),
        actor=actor_or_none(entry.get("actor")),
        evidence=tuple(line for line in evidence if isinstance(line, str)) if isinstance(evidence, list) else (),
    )
