"""The inventory, the lives of modules and the taint ledger as checkpoints: JSON, and back.

Entries of another shape are dropped. A dropped entry makes the daemon know less ("before our first look"), never
something false.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from kmodmon.model.codec import ShapeError, actor_from_json
from kmodmon.model.event import Actor
from kmodmon.model.inventory import EMPTY_INVENTORY, Build, Inventory, Loaded
from kmodmon.model.life import HIDING, Doubt, Lifecycle
from kmodmon.model.taint import BEFORE_START, TaintEntry, TaintState
from kmodmon.model.units import Instant, JsonObject, JsonValue, Usec

T = TypeVar("T")


def inventory_to_json(inventory: Inventory) -> JsonObject:
    """Which modules were told as loaded, which build of each, and how it came; sizes and counts are read anew."""
    return {name: {**build_to_json(how.build), **_loaded_to_json(how)} for name, how in inventory.loaded.items()}


def inventory_from_json(document: JsonObject) -> Inventory:
    """The inventory to compare the first reading with; `support` stays None until that reading."""
    loaded = {name: _loaded(entry) for name, entry in document.items() if isinstance(entry, Mapping)}
    return replace(EMPTY_INVENTORY, loaded=MappingProxyType(loaded))


def inventory_joined(inventory: Inventory, earlier: JsonObject) -> Inventory:
    """How each module came, from an earlier run of this boot where this one found it loaded already."""
    before = inventory_from_json(earlier).loaded
    loaded = {
        name: was
        if how.before_start and (was := before.get(name)) is not None and was.build.instance == how.build.instance
        else how
        for name, how in inventory.loaded.items()
    }
    return replace(inventory, loaded=MappingProxyType(loaded))


def lifecycle_to_json(life: Lifecycle) -> JsonObject:
    """How far the trace was told, and what must still be loaded though unseen."""
    return {
        "trace_usec": life.trace_usec,
        "hiding": {name: [doubt.kind, instant_to_json(doubt.since)] for name, doubt in life.hiding.items()},
    }


def lifecycle_from_json(life: Lifecycle, document: JsonObject) -> Lifecycle:
    """What the run before left; witnesses are none of it."""
    hiding = document.get("hiding")
    doubted = hiding.items() if isinstance(hiding, Mapping) else ()
    return replace(
        life,
        trace_usec=number_or_none(document.get("trace_usec")) or 0,
        doubts=MappingProxyType({name: doubt for name, each in doubted if (doubt := _doubt(each)) is not None}),
    )


def builds_to_json(builds: Mapping[str, Build]) -> JsonObject:
    """The build last told of each name, loaded or not."""
    return {name: build_to_json(build) for name, build in builds.items()}


def builds_from_json(document: JsonObject) -> Mapping[str, Build]:
    """Undo :func:`builds_to_json`."""
    return MappingProxyType(
        {name: build_from_json(each) for name, each in document.items() if isinstance(each, Mapping)}
    )


def _doubt(value: JsonValue) -> Doubt | None:
    match value:
        case [str(kind), since] if kind in HIDING and (at := instant_from_json(since)) is not None:
            return Doubt(kind=kind, since=at, said=True)
        case _:
            return None


def build_to_json(build: Build) -> JsonObject:
    """One build of a module."""
    return {
        "taint": build.taint,
        "instance": build.instance,
        "srcversion": build.srcversion,
        "build_id": build.build_id,
        "version": build.version,
    }


def build_from_json(entry: JsonObject) -> Build:
    """Undo :func:`build_to_json`; what has another shape is unknown."""
    return Build(
        taint=text_or_none(entry.get("taint")) or "",
        instance=number_or_none(entry.get("instance")),
        version=text_or_none(entry.get("version")),
        srcversion=text_or_none(entry.get("srcversion")),
        build_id=text_or_none(entry.get("build_id")),
    )


def taint_to_json(taint: TaintState) -> JsonObject:
    """The number and the ledger. Bits that still wait for a clue are left out: they are news again after a restart."""
    waiting = sum(1 << bit for bit in taint.pending)
    return {
        "value": None if taint.value is None else str(taint.value & ~waiting),
        "first_at": instant_to_json(taint.first_at),
        "read_at": instant_to_json(taint.read_at),
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


def taint_joined(taint: TaintState, earlier: JsonObject) -> TaintState:
    """The ledger with an earlier run's lines for those bits that this one found set already."""
    before = taint_from_json(earlier)
    ledger = {
        bit: before.ledger.get(bit, entry) if entry.cause == BEFORE_START else entry
        for bit, entry in taint.ledger.items()
    }
    return replace(taint, ledger=MappingProxyType(ledger), first_at=before.first_at or taint.first_at)


def taint_from_json(document: JsonObject) -> TaintState:
    """The ledger of the earlier run; the number it ended with is compared with the first reading."""
    rows = document.get("ledger")
    ledger: dict[int, TaintEntry] = {}
    for bit, entry in rows.items() if isinstance(rows, Mapping) else ():
        if bit.isdecimal() and int(bit) < 64 and isinstance(entry, Mapping):
            ledger[int(bit)] = _entry(int(bit), entry)
    value = document.get("value")
    number = int(value) if isinstance(value, str) and value.isdecimal() else None
    return TaintState(
        value=number,
        ledger=MappingProxyType(ledger),
        first_at=instant_from_json(document.get("first_at")),
        read_at=instant_from_json(document.get("read_at")),
    )


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


def _loaded_to_json(loaded: Loaded) -> JsonObject:
    return {
        "before_start": loaded.before_start,
        "while_down": loaded.while_down,
        "at": instant_to_json(loaded.at),
        "actor": None if loaded.actor is None else loaded.actor.to_json(),
        "init_usec": loaded.init_usec,
        "witnesses": list(loaded.witnesses),
    }


def _loaded(entry: Mapping[str, JsonValue]) -> Loaded:
    witnesses = entry.get("witnesses")
    return Loaded(
        before_start=entry.get("before_start") is not False,
        while_down=entry.get("while_down") is True,
        at=instant_from_json(entry.get("at")),
        actor=actor_or_none(entry.get("actor")),
        init_usec=number_or_none(entry.get("init_usec")),
        witnesses=tuple(str(name) for name in witnesses) if isinstance(witnesses, list) else ("list",),
        build=build_from_json(entry),
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
