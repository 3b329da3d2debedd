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
    views: Mapping[View, ViewRead] = field(default_factory=lambda: MappingProxyType({}))
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
        shown = (read.names for view, read in self.views.items() if view is not View.LIST)
        return frozenset().union(*(names for names in shown if names is not None))

    def shows(self, view: View, name: str) -> bool | None:
        """Whether a view showed the module; None when it could not be had."""
        if view is View.LIST:
            return name in self.listed and name in self.relisted
        names = self.names_of(view)
        return None if names is None else name in names

    def names_of(self, view: View) -> frozenset[str] | None:
        """The names that a view showed; None when it could not be read."""
        read = self.views.get(view)
        return None if read is None else read.names


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
        return frozenset.intersection(*(suspects(each) for each in self.passes))

    @property
    def uncounted(self) -> int:
        """Sub-directories that /sys/module counted more than it listed, in each of several passes."""
        return 0 if len(self.passes) == 1 else min(each.uncounted for each in self.passes)


def suspects(compared: Pass) -> frozenset[str]:
    """Names about which the views of one pass do not agree; a race may be the reason, so they are looked at again."""
    unlisted = frozenset(name for name in compared.absent if views_showing(compared, name))
    return unlisted | _without_directory(compared) | compared.unlistable | _without_symbols(compared)


def views_showing(compared: Pass, name: str) -> tuple[View, ...]:
    """The views that show a module which the list does not, and that would not show one that is not loaded.

    kallsyms is none by itself: it is read by index, from the list that the module left.
    """
    views = (View.SYSFS, View.FTRACE, View.KPROBES, View.HOLDERS)
    return tuple(view for view in views if compared.shows(view, name))


def _without_directory(compared: Pass) -> frozenset[str]:
    directories = compared.names_of(View.SYSFS)
    return frozenset() if directories is None else compared.present - directories


def _without_symbols(compared: Pass) -> frozenset[str]:
    # A module whose functions ftrace lists has symbols, and kallsyms prints the symbols of every listed module.
    symbols, functions = compared.names_of(View.KALLSYMS), compared.names_of(View.FTRACE)
    return frozenset() if symbols is None or functions is None else (compared.present & functions) - symbols


def strays_of(areas: Iterable[int], modules: Iterable[ModuleLine], page: int) -> tuple[int, ...] | None:
    """Give the sizes of areas that no listed module accounts for, None where counting does not work.

    `areas`: sizes of the areas in /proc/vmallocinfo that the loader asked for, a guard page of `page` bytes included.
    Up to 6.3 a module has one area, of its size; on later kernels, and while a module comes or goes, that is not so.
    """
    areas_left = Counter(areas)
    for module in modules:
        wanted = module.size + page
        if module.state is not ModuleState.LIVE or areas_left[wanted] == 0:
            return None
        areas_left[wanted] -= 1
    return tuple(sorted(areas_left.elements()))
