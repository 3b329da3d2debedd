"""TODO."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.codec import (
    actor_or_none,
    instant_from_json,
    instant_to_json,
    number_or_none,
    text_or_none,
)
from kmodmon.lifecycle.inventory import EMPTY_INVENTORY, Build, Inventory, Loaded
from kmodmon.lifecycle.pending import HIDING, Discrepancy, Lifecycle
from kmodmon.types.units import JsonObject, JsonValue


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


def _doubt(value: JsonValue) -> Discrepancy | None:
    match value:
        case [str(kind), since] if kind in HIDING and (at := instant_from_json(since)) is not None:
            return Discrepancy(kind=kind, since=at, said=True)
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


def _loaded_to_json(loaded: Loaded) -> JsonObject:
    return {
        "before_start": loaded.before_start,
        "while_down": loaded.while_down,
        "at": instant_to_json(loaded.at),
        "actor": None if loaded.actor is None else loaded.actor.to_json(),
        "init_usec": loaded.init_usec,
        "witnesses": list(loaded.signals),
    }


def _loaded(entry: Mapping[str, JsonValue]) -> Loaded:
    signals = entry.get("witnesses")
    return Loaded(
        before_start=entry.get("before_start") is not False,
        while_down=entry.get("while_down") is True,
        at=instant_from_json(entry.get("at")),
        actor=actor_or_none(entry.get("actor")),
        init_usec=number_or_none(entry.get("init_usec")),
        signals=tuple(str(name) for name in signals) if isinstance(signals, list) else ("list",),
        build=build_from_json(entry),
    )
