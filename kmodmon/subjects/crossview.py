"""Places that name modules, looked at one right after the other: what each showed, and which can be had here."""

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.kernel.modules import ModuleLine, ModuleState
from kmodmon.types.outcome import Observation


class View(enum.StrEnum):
    """A place that names modules. What each is built from decides what hiding it survives."""

    LIST = "list"  # /proc/modules: the module list
    SYSFS = "sysfs"  # /sys/module: directories with initstate, the module kobjects
    KALLSYMS = "kallsyms"  # the module list again, read by other code
    FTRACE = "ftrace"  # available_filter_functions: ftrace's own records; stays when the list forgets
    KPROBES = "kprobes"  # /sys/kernel/debug/kprobes/list: where probes stand in modules
    HOLDERS = "holders"  # users of listed modules, in the list and in sysfs
    MEMORY = "memory"  # /proc/vmallocinfo: areas that the loader asked for; names nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRead:
    """One view: the names it showed, or why it could not be had (`names` None)."""

    names: frozenset[str] | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One round through the views. `listed` and `relisted` are the list at its beginning and at its end."""

    listed: Mapping[str, ModuleState]
    relisted: Mapping[str, ModuleState]
    looks: Mapping[View, ViewRead] = field(default_factory=lambda: MappingProxyType({}))
    unlistable: frozenset[str] = frozenset()  # directories of /sys/module that are there by name, and in no listing
    uncounted: int = 0  # sub-directories that /sys/module counts more than it lists
    strays: tuple[int, ...] | None = None  # sizes of memory that no listed module accounts for; None: cannot be told

    @property
    def present(self) -> frozenset[str]:
        """Modules that the list showed as live all the while."""
        live = ModuleState.LIVE
        return frozenset(
            name for name, state in self.listed.items() if state is live and self.relisted.get(name) is live
        )

    @property
    def absent(self) -> frozenset[str]:
        """Names that other views showed and the list did not, neither before nor after."""
        return self.named - self.listed.keys() - self.relisted.keys()

    @property
    def named(self) -> frozenset[str]:
        """Names that any view showed that names modules and no parts of others."""
        found = (look.names for view, look in self.looks.items() if view is not View.LIST)
        return frozenset().union(*(names for names in found if names is not None))

    def sees(self, view: View, name: str) -> bool | None:
        """Whether a view showed the module; None when it could not be had."""
        if view is View.LIST:
            return name in self.listed and name in self.relisted
        look = self.looks.get(view)
        return None if look is None or look.names is None else name in look.names


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossViewRead(Observation):
    """Passes some time apart, at least one. One alone found nothing to look at again."""

    passes: tuple[Pass, ...]

    @property
    def last(self) -> Pass:
        """The pass that was made last."""
        return self.passes[-1]

    @property
    def agreed(self) -> frozenset[str]:
        """Names about which the views did not agree in any of several passes."""
        if len(self.passes) == 1:
            return frozenset()
        return frozenset.intersection(*(suspects(one) for one in self.passes))

    @property
    def uncounted(self) -> int:
        """Sub-directories that /sys/module counted more than it listed, in each of several passes."""
        return 0 if len(self.passes) == 1 else min(one.uncounted for one in self.passes)


def suspects(seen: Pass) -> frozenset[str]:
    """Names about which the views of one pass do not agree; a race may be the reason, so they are looked at again."""
    unlisted = frozenset(name for name in seen.absent if witnesses_of(seen, name))
    return unlisted | _without_directory(seen) | seen.unlistable | _without_symbols(seen)


def witnesses_of(seen: Pass, name: str) -> tuple[View, ...]:
    """The views that show a module which the list does not, and that would not show one that is not loaded.

    kallsyms is none by itself: it is read by index, from the list that the module left.
    """
    views = (View.SYSFS, View.FTRACE, View.KPROBES, View.HOLDERS)
    return tuple(view for view in views if seen.sees(view, name))


def _without_directory(seen: Pass) -> frozenset[str]:
    directories = seen.looks.get(View.SYSFS)
    if directories is None or directories.names is None:
        return frozenset()
    return seen.present - directories.names


def _without_symbols(seen: Pass) -> frozenset[str]:
    # Its functions have names, as ftrace shows; kallsyms prints those names.
    symbols, functions = seen.looks.get(View.KALLSYMS), seen.looks.get(View.FTRACE)
    if symbols is None or functions is None or symbols.names is None or functions.names is None:
        return frozenset()
    return (seen.present & functions.names) - symbols.names


def strays_of(areas: Iterable[int], modules: Iterable[ModuleLine], page: int) -> tuple[int, ...] | None:
    """Give the sizes of areas that no listed module accounts for, None where counting does not work.

    `areas`: sizes of the areas in /proc/vmallocinfo that the loader asked for, a guard page of `page` bytes included.
    Up to 6.3 a module has one area, of its size; on later kernels, and while a module comes or goes, that is not so.
    """
    left = Counter(areas)
    for module in modules:
        wanted = module.size + page
        if module.state is not ModuleState.LIVE or left[wanted] == 0:
            return None
        left[wanted] -= 1
    return tuple(sorted(left.elements()))
