"""Modules: one object for each loaded module."""

from collections.abc import Sequence

from kmodmon.lifecycle.inventory import Inventory, Module
from kmodmon.state.state import State
from kmodmon.state.trust import provenance_of
from kmodmon.types.units import JsonObject
from kmodmon.view.files import file_view, provenance_view


def modules_view(state: State) -> Sequence[JsonObject]:
    """Every loaded module in the order of /proc/modules, the newest first."""
    return [module_view(state, module) for module in state.inventory.modules.values()]


def module_view(state: State, module: Module) -> JsonObject:
    """One module; `refcnt` is null on a kernel without CONFIG_MODULE_UNLOAD."""
    return {
        "name": module.name,
        "size_bytes": module.size,
        "refcnt": module.refcnt,
        "holders": list(module.holders),
        "permanent": module.permanent,
        "state": module.state.value,
        "taint": module.taint,
        "version": module.attributes.version,
        "srcversion": module.attributes.srcversion,
        "build_id": module.attributes.build_id,
        **provenance_view(provenance_of(state, module)),
        **loaded_view(state.inventory, module.name),
    }


def module_detail(state: State, module: Module) -> JsonObject:
    """One module with everything that was read of its file."""
    return {**module_view(state, module), **file_view(state, provenance_of(state, module), module.name)}


def loaded_view(inventory: Inventory, name: str) -> JsonObject:
    """How and when a module was loaded, and by which process.

    `loaded`: "before_start" (before the first read in this boot), "while_down" (while kmodmon was not running) or
    "seen". `boot` repeats the first of these as a boolean.
    """
    loaded = inventory.loaded.get(name)
    if loaded is None:
        return {"loaded": None, "boot": None, "loaded_at": None, "actor": None}
    how = "before_start" if loaded.before_start else "while_down" if loaded.while_down else "seen"
    return {
        "loaded": how,
        "boot": loaded.before_start,
        "loaded_at": None if loaded.at is None else loaded.at.realtime_usec,
        "actor": None if loaded.actor is None else loaded.actor.to_json(),
    }
