"""What is loaded, as /proc/modules and /sys/module say. A module exists here while the kernel lists it."""

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
    """How far a module's signature can be trusted; the values are public (`kmodmon_modules_by_trust`)."""

    VALID = "valid"  # verified: by the kernel at load (no E), or by us against a certificate
    SIGNED = "signed"  # it carries a signature, but there is no certificate to verify it with
    UNSIGNED = "unsigned"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleAttributes:
    """/sys/module/NAME, read once when the module appears; None: the kernel offers no such attribute for it."""

    instance: int | None = None  # inode of the sysfs directory: another one means it was loaded anew
    version: str | None = None
    srcversion: str | None = None
    coresize: int | None = None  # bytes
    initsize: int | None = None  # bytes
    build_id: str | None = None  # hex of .note.gnu.build-id


NO_ATTRIBUTES = ModuleAttributes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One loaded module. `name` is safe text; `taint` holds the kernel's letters, unknown ones kept."""

    name: str
    size: int  # bytes
    refcnt: int | None = None  # None: kernel without CONFIG_MODULE_UNLOAD
    holders: tuple[str, ...] = ()
    permanent: bool = False
    state: ModuleState = ModuleState.LIVE
    address: int | None = None  # None: hidden from us (kptr_restrict), or a module without text
    taint: str = ""
    attributes: ModuleAttributes = NO_ATTRIBUTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What tells one build of a module from another, and what is said of it when it goes; None as in its attributes."""

    taint: str = ""
    version: str | None = None
    srcversion: str | None = None
    build_id: str | None = None
    instance: int | None = None


UNKNOWN_BUILD = Build()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """How a module came in, as far as it was witnessed; kept until its unload is known, even while nothing lists it."""

    before_start: bool  # it was there at our first look in this boot
    while_down: bool = False  # it came while kmodmon was not running
    at: Instant | None = None  # None: nobody saw the moment
    actor: Actor | None = None
    init_usec: int | None = None  # how long init ran
    signals: tuple[str, ...] = ("list",)  # list, uevent, trace: who told of it
    build: Build = UNKNOWN_BUILD
    coming: bool = False  # told before its init was over, because that took too long


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Every module of the kernel. `support` is None until read, False for a kernel without loadable modules.

    `loaded` also names modules that the list does not: those whose unload nobody has seen.
    """

    support: bool | None = None
    modules: Mapping[str, Module] = field(default_factory=lambda: MappingProxyType({}))
    loaded: Mapping[str, Loaded] = field(default_factory=lambda: MappingProxyType({}))
    builtin: frozenset[str] = frozenset()
    skipped: int = 0  # lines of /proc/modules that could not be understood


EMPTY_INVENTORY = Inventory()


def other_modules(now: Mapping[str, Module], was: Mapping[str, Module]) -> Iterator[str]:
    """Names of listed modules that are another object than before, the new ones among them, in the list's order."""
    return compress(now, map(is_not, now.values(), map(was.get, now)))


def differing_modules(now: Mapping[str, Module], was: Mapping[str, Module]) -> frozenset[str]:
    """Names of modules that came, went, or have another taint, state or attributes; users of a module do not count."""
    if now is was:
        return frozenset()
    differing = {name for name in other_modules(now, was) if not _alike(now[name], was.get(name))}
    return frozenset(differing | (was.keys() - now.keys()))


def _alike(now: Module, was: Module | None) -> bool:
    return was is not None and (now.taint, now.state, now.attributes) == (was.taint, was.state, was.attributes)


def build_of(module: Module) -> Build:
    """What is to be remembered of a module as it is listed now."""
    return Build(
        taint=module.taint,
        version=module.attributes.version,
        srcversion=module.attributes.srcversion,
        build_id=module.attributes.build_id,
        instance=module.attributes.instance,
    )
