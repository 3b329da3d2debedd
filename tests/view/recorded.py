"""The state of a recorded tree, facts to add to it, and a comparison that also sees the order of keys."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

from kmodmon.events.event import Actor, Process
from kmodmon.lifecycle.inventory import Loaded, Module
from kmodmon.state.state import State
from kmodmon.types.units import Instant, JsonValue, Usec
from tests.test_golden import look

TREES = Path(__file__).parent.parent / "trees"
DEBIAN = "debian13-6.12-x86_64"
LOCKED_DOWN = "debian13-6.12-lockdown-x86_64"
NO_MODULES = "no-modules-6.18-x86_64"

ACTOR = Actor(
    process=Process(pid=4242, comm="modprobe", exe="/usr/bin/kmod", cmdline=("modprobe", "bridge")),
    uid=0,
    login_uid=1000,
    parents=(Process(pid=2211, comm="bash"),),
    unit="session-3.scope",
    cgroup="/user.slice/session-3.scope",
    container="0123456789ab",
)
ACTOR_JSON: Mapping[str, JsonValue] = {
    "pid": 4242,
    "comm": "modprobe",
    "exe": "/usr/bin/kmod",
    "cmdline": ["modprobe", "bridge"],
    "uid": 0,
    "login_uid": 1000,
    "parents": [{"pid": 2211, "comm": "bash", "exe": None, "cmdline": None}],
    "unit": "session-3.scope",
    "cgroup": "/user.slice/session-3.scope",
    "container": "0123456789ab",
    "requester": None,
    "exited": False,
}


@cache
def recorded(tree: str = DEBIAN) -> State:
    """The state that one reading of a recorded tree gives; immutable, so that tests share it."""
    return look(TREES / tree)


def at(realtime_usec: int) -> Instant:
    """A moment whose two clocks differ, so that a view that shows the wrong one is noticed."""
    return Instant(realtime_usec=Usec(realtime_usec), monotonic_usec=Usec(5))


def with_module(state: State, module: Module) -> State:
    """The state with a module in the place of the one of its name."""
    modules = MappingProxyType({**state.inventory.modules, module.name: module})
    return replace(state, inventory=replace(state.inventory, modules=modules))


def with_load(state: State, name: str, load: Loaded) -> State:
    """The state with another record of how a module was loaded."""
    loads = MappingProxyType({**state.inventory.loaded, name: load})
    return replace(state, inventory=replace(state.inventory, loaded=loads))


def in_order(value: JsonValue) -> object:
    """JSON as lists and pairs: equal only when the keys come in the same order."""
    match value:
        case Mapping():
            return [(key, in_order(item)) for key, item in value.items()]
        case str():
            return value
        case Sequence():
            return [in_order(item) for item in value]
        case _:
            return value
