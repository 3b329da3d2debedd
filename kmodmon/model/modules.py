"""The inventory from one reading to the next: what came, what went, what is another module of the same name."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from kmodmon.kernel.modules import ModuleState
from kmodmon.model.event import Event, EventType, Severity
from kmodmon.model.inventory import Inventory, Loaded, Module, Signature
from kmodmon.model.observation import ModulesRead
from kmodmon.model.units import Instant, JsonValue

_TAINT_SEVERITY = (("F", Severity.ERROR), ("E", Severity.WARNING), ("O", Severity.WARNING), ("P", Severity.WARNING))


def trust(module: Module) -> Signature:
    """The kernel's own verdict: E was given to what it could not verify; without E it verified the signature.

    On a kernel without CONFIG_MODULE_SIG no module gets an E; the examiner's verdict replaces this one there.
    """
    return Signature.UNSIGNED if "E" in module.taint else Signature.VALID


def modules_read(
    inventory: Inventory, read: ModulesRead, at: Instant, *, resumed: bool
) -> tuple[Inventory, tuple[Event, ...]]:
    """Fold one consistent reading of the module list. `resumed`: `inventory` is from an earlier run of this boot."""
    if read.modules is inventory.modules and inventory.support:
        return inventory, ()
    if inventory.support is None and not resumed:
        loaded = {name: Loaded(before_start=True) for name in read.modules}
        return _with(inventory, read, loaded), ()
    while_down = inventory.support is None
    gone, came, changed = _compare(inventory.modules, read.modules)
    if not (gone or came or changed) and not while_down:
        return _with(inventory, read, inventory.loaded), ()
    loaded = {name: how for name, how in inventory.loaded.items() if name in read.modules and name not in came}
    for name in came:
        loaded[name] = Loaded(before_start=False, while_down=while_down, at=None if while_down else at)
    events = (
        *(unloaded_event(inventory.modules[name], at, while_down=while_down) for name in gone),
        *(loaded_event(read.modules[name], at, while_down=while_down) for name in came),
        *(_changed_event(inventory.modules[name], read.modules[name], at) for name in changed),
    )
    return _with(inventory, read, loaded), events


def _with(inventory: Inventory, read: ModulesRead, loaded: Mapping[str, Loaded]) -> Inventory:
    return replace(inventory, support=True, modules=read.modules, loaded=loaded, skipped=read.skipped)


def _compare(
    before: Mapping[str, Module], after: Mapping[str, Module]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    gone = [name for name in before if name not in after]
    came = [name for name in after if name not in before]
    changed = []
    for name, now in after.items():
        was = before.get(name)
        if was is None or was is now:
            continue
        if was.attributes.instance != now.attributes.instance and None not in (
            was.attributes.instance,
            now.attributes.instance,
        ):
            gone.append(name)
            came.append(name)
        if identity(was) != identity(now) or was.taint != now.taint:
            changed.append(name)
    return tuple(gone), tuple(came), tuple(changed)


def identity(module: Module) -> tuple[str | None, str | None]:
    """What tells one build of a module from another: srcversion and build-id, None where the kernel has none."""
    return module.attributes.srcversion, module.attributes.build_id


def loaded_event(module: Module, at: Instant, *, while_down: bool = False) -> Event:
    """A module that was not there is there."""
    severity = next((level for letter, level in _TAINT_SEVERITY if letter in module.taint), Severity.INFO)
    fields: dict[str, JsonValue] = {
        "signature": trust(module).value,
        "taints": module.taint,
        "size": module.size,
        "state": module.state.value,
        "version": module.attributes.version,
        "srcversion": module.attributes.srcversion,
        "build_id": module.attributes.build_id,
    }
    if while_down:
        fields["while_down"] = True
    return Event(
        type=EventType.MODULE_LOADED, at=at, severity=severity, module=module.name, fields=MappingProxyType(fields),
        evidence=("/proc/modules",),
    )  # fmt: skip


def unloaded_event(module: Module, at: Instant, *, while_down: bool = False) -> Event:
    """A module that was there is gone."""
    fields: dict[str, JsonValue] = {"taints": module.taint, "srcversion": module.attributes.srcversion}
    if while_down:
        fields["while_down"] = True
    return Event(
        type=EventType.MODULE_UNLOADED, at=at, module=module.name, fields=MappingProxyType(fields),
        evidence=("/proc/modules",),
    )  # fmt: skip


def _changed_event(was: Module, now: Module, at: Instant) -> Event:
    return Event(
        type=EventType.MODULE_CHANGED,
        at=at,
        severity=Severity.WARNING,
        module=now.name,
        fields={
            "old_srcversion": was.attributes.srcversion,
            "srcversion": now.attributes.srcversion,
            "old_build_id": was.attributes.build_id,
            "build_id": now.attributes.build_id,
            "old_taints": was.taint,
            "taints": now.taint,
        },
        evidence=("/proc/modules", "/sys/module"),
    )


def count_states(modules: Iterable[Module]) -> Mapping[ModuleState, int]:
    """How many modules are in each state; every state has its number."""
    counts = dict.fromkeys(ModuleState, 0)
    for module in modules:
        counts[module.state] += 1
    return counts
