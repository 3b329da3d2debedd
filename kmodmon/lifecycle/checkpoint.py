"""What is remembered of modules over a restart of kmodmon within one boot: their loads, builds, and discrepancies.

Sizes, counts and states are read anew and left out. An entry of another shape is dropped; a field of another shape
takes its default.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.codec import actor_or_none
from kmodmon.lifecycle.inventory import EMPTY_INVENTORY, Build, Inventory, Loaded
from kmodmon.lifecycle.pending import HIDING, Discrepancy, Lifecycle
from kmodmon.types.codec import (
    entries_from_json,
    json_value,
    lenient_from_json,
    members_from_json,
    to_json,
    value_or_none,
)
from kmodmon.types.units import Instant, JsonObject, JsonValue


def inventory_to_json(inventory: Inventory) -> JsonObject:
    """Give the modules that were reported as loaded, each with its build and what was seen of its load."""
    return {name: _loaded_to_json(loaded) for name, loaded in inventory.loaded.items()}


def inventory_from_json(document: JsonObject) -> Inventory:
    """Give the inventory that the first reading is compared with; its `support` is None until that reading."""
    loads = {name: load for name, entry in document.items() if (load := _loaded(entry)) is not None}
    return replace(EMPTY_INVENTORY, loaded=MappingProxyType(loads))


def inventory_joined(inventory: Inventory, earlier: JsonObject) -> Inventory:
    """Add what an earlier run of this boot saw of loads that had happened before this run started."""
    before = inventory_from_json(earlier).loaded
    loaded = {
        name: was
        if how.before_start and (was := before.get(name)) is not None and was.build.instance == how.build.instance
        else how
        for name, how in inventory.loaded.items()
    }
    return replace(inventory, loaded=MappingProxyType(loaded))


def lifecycle_to_json(life: Lifecycle) -> JsonObject:
    """Give how far the trace was processed, and which modules must still be loaded though a view denies them."""
    hiding = {name: [discrepancy.kind, json_value(discrepancy.since)] for name, discrepancy in life.hiding.items()}
    return {"trace_usec": life.trace_usec, "hiding": hiding}


def lifecycle_from_json(life: Lifecycle, document: JsonObject) -> Lifecycle:
    """Undo :func:`lifecycle_to_json`."""
    hiding = members_from_json(tuple[str, Instant], document.get("hiding"))
    return replace(
        life,
        trace_usec=value_or_none(int, document.get("trace_usec")) or 0,
        discrepancies=MappingProxyType(
            {
                name: Discrepancy(kind=kind, since=since, reported=True)
                for name, (kind, since) in hiding.items()
                if kind in HIDING
            }
        ),
    )


def builds_to_json(builds: Mapping[str, Build]) -> JsonObject:
    """Give the last reported build of each name, loaded or not."""
    return {name: to_json(build) for name, build in builds.items()}


def builds_from_json(document: JsonObject) -> Mapping[str, Build]:
    """Undo :func:`builds_to_json`."""
    return members_from_json(Build, document)


def _loaded_to_json(loaded: Loaded) -> JsonObject:
    document = to_json(loaded, without=("build", "signals", "coming"))
    return {**document, **to_json(loaded.build), "witnesses": list(loaded.signals)}


def _loaded(entry: JsonValue) -> Loaded | None:
    if not isinstance(entry, Mapping):
        return None
    return lenient_from_json(
        Loaded,
        entry,
        before_start=entry.get("before_start") is not False,
        build=lenient_from_json(Build, entry),
        actor=actor_or_none(entry.get("actor")),
        signals=entries_from_json(str, entry.get("witnesses", ("list",))),
        coming=False,
    )
