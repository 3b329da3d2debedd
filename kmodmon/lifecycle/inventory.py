"""The loaded modules, as /proc/modules and /sys/module show them, and how each was loaded."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import compress
from operator import is_not
from types import MappingProxyType

from kmodmon.events.event import Actor
from kmodmon.kernel.modules import ModuleState
from kmodmon.types.units import Instant


class SignatureStatus(enum.StrEnum):
    """How far a module's signature can be trusted; the values are labels of `kmodmon_modules_by_trust`."""

    VALID = "valid"  # verified by the kernel at the load (no taint E), or here against a certificate
    SIGNED = "signed"  # has a signature, and there is no certificate to verify it with
    UNSIGNED = "unsigned"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleAttributes:
    """Attributes of /sys/module/NAME, read once when the module appears. None: the module has no such attribute."""

    instance: int | None = None  # inode of the sysfs directory; another one means that the module was reloaded
    version: str | None = None
    srcversion: str | None = None  # with MODULE_VERSION or CONFIG_MODULE_SRCVERSION_ALL
    coresize: int | None = None  # bytes
    initsize: int | None = None  # bytes
    build_id: str | None = None  # hex of .note.gnu.build-id


NO_ATTRIBUTES = ModuleAttributes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One line of /proc/modules, and the attributes of the module."""

    name: str  # safe text
    size: int  # bytes
    refcnt: int | None = None  # None: kernel without CONFIG_MODULE_UNLOAD
    holders: tuple[str, ...] = ()
    permanent: bool = False  # has an init and no exit: it cannot be unloaded
    state: ModuleState = ModuleState.LIVE
    address: int | None = None  # None: not shown to this process (kptr_restrict), or the module has no text
    taint: str = ""  # the kernel's letters, unknown ones included
    attributes: ModuleAttributes = NO_ATTRIBUTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What distinguishes two builds of a module. None as in `ModuleAttributes`."""

    taint: str = ""
    version: str | None = None
    srcversion: str | None = None
    build_id: str | None = None
    instance: int | None = None  # of the sysfs directory; not part of the build, but of this load


UNKNOWN_BUILD = Build()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """How a module was loaded. Kept until its unload is reported, even while /proc/modules does not show the module."""

    before_start: bool  # loaded at the first reading of this boot
    while_down: bool = False  # loaded while kmodmon was not running
    at: Instant | None = None  # None: the time of the load is unknown
    actor: Actor | None = None  # None: not traced
    init_usec: int | None = None  # how long init ran; None: no init, or not traced
    signals: tuple[str, ...] = ("list",)  # list, uevent, trace: which reported the load
    build: Build = UNKNOWN_BUILD
    coming: bool = False  # reported as loaded while its init ran, because that took longer than INIT_USEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Every module of the kernel."""

    support: bool | None = None  # None: not read yet; False: a kernel without CONFIG_MODULES
    modules: Mapping[str, Module] = field(default_factory=lambda: MappingProxyType({}))  # as listed
    loaded: Mapping[str, Loaded] = field(default_factory=lambda: MappingProxyType({}))  # also those that hide
    builtin: frozenset[str] = frozenset()
    skipped: int = 0  # lines of /proc/modules that could not be parsed


EMPTY_INVENTORY = Inventory()


def other_modules(now: Mapping[str, Module], before: Mapping[str, Module]) -> Iterator[str]:
    """Names of the modules in `now` that `before` does not have as the same object, in the order of `now`."""
    return compress(now, map(is_not, now.values(), map(before.get, now)))


def differing_modules(now: Mapping[str, Module], was: Mapping[str, Module]) -> frozenset[str]:
    """Names of modules that came, went, or have another taint, state or attributes; users of a module do not count."""
    if now is was:
        return frozenset()
    differing = {name for name in other_modules(now, was) if not _alike(now[name], was.get(name))}
    return frozenset(differing | (was.keys() - now.keys()))


def _alike(now: Module, was: Module | None) -> bool:
    return was is not None and (now.taint, now.state, now.attributes) == (was.taint, was.state, was.attributes)


def build_of(module: Module) -> Build:
    """The build of a listed module."""
    return Build(
        taint=module.taint,
        version=module.attributes.version,
        srcversion=module.attributes.srcversion,
        build_id=module.attributes.build_id,
        instance=module.attributes.instance,
    )
