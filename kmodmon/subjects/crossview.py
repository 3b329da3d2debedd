"""Views of the kernel that name modules, read one directly after the other: the names in each, and their differences.

Interfaces and their formats are described in `kmodmon.sources.crossview`, which reads them.
"""

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.kernel.modules import ModuleLine, ModuleState
from kmodmon.types.outcome import Observation


class View(enum.StrEnum):
    """A view that names modules. The kernel data behind a view decides which way of hiding a module it reveals."""

    LIST = "list"  # /proc/modules: the module list
    SYSFS = "sysfs"  # /sys/module: directories with initstate, the module kobjects
    KALLSYMS = "kallsyms"  # /proc/kallsyms: the module list, read by other code
    FTRACE = "ftrace"  # available_filter_functions: ftrace's own records, which unlinking from the list leaves
    KPROBES = "kprobes"  # /sys/kernel/debug/kprobes/list: modules with a probed function
    HOLDERS = "holders"  # users of listed modules, in the list and in sysfs
    MEMORY = "memory"  # /proc/vmallocinfo: memory areas of the module loader; has no names of modules


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRead:
    """One view: the names in it, or why it could not be read."""

    names: frozenset[str] | None = None  # None: it could not be read
    why: str = ""  # empty: it was read


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One reading of every view."""

    listed: Mapping[str, ModuleState]  # /proc/modules before the other views
    relisted: Mapping[str, ModuleState]  # /proc/modules after them
    views: Mapping[View, ViewRead] = field(default_factory=lambda: MappingProxyType({}))
    unlistable: frozenset[str] = (
        frozenset()
    )  # directories that open by name and that getdents of /sys/module leaves out
    uncounted: int = 0  # sub-directories by st_nlink of /sys/module, less those in its listing
    strays: tuple[int, ...] | None = None  # bytes of each area that no listed module accounts for; None: see strays_of

    @property
    def present(self) -> frozenset[str]:
        """Modules that /proc/modules showed as live at both readings."""
        live = ModuleState.LIVE
        return frozenset(
            name for name, state in self.listed.items() if state is live and self.relisted.get(name) is live
        )

    @property
    def absent(self) -> frozenset[str]:
        """Names that are in other views and in neither reading of /proc/modules."""
        return self.named - self.listed.keys() - self.relisted.keys()

    @property
    def named(self) -> frozenset[str]:
        """Names in any view but /proc/modules."""
        shown = (read.names for view, read in self.views.items() if view is not View.LIST)
        return frozenset().union(*(names for names in shown if names is not None))

    def shows(self, view: View, name: str) -> bool | None:
        """Whether the module is in a view; None when the view could not be read."""
        if view is View.LIST:
            return name in self.listed and name in self.relisted
        names = self.names_of(view)
        return None if names is None else name in names

    def names_of(self, view: View) -> frozenset[str] | None:
        """The names in a view; None when it could not be read."""
        read = self.views.get(view)
        return None if read is None else read.names


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossViewRead(Observation):
    """One comparison of the views."""

    passes: tuple[Pass, ...]  # in order, at least one; only one: its views agreed, so none was read again

    @property
    def last(self) -> Pass:
        """The newest pass."""
        return self.passes[-1]

    @property
    def agreed(self) -> frozenset[str]:
        """Names about which the views disagree in every pass; empty after a single pass."""
        if len(self.passes) == 1:
            return frozenset()
        return frozenset.intersection(*(suspects(each) for each in self.passes))

    @property
    def uncounted(self) -> int:
        """The smallest `uncounted` of several passes; 0 after a single pass."""
        return 0 if len(self.passes) == 1 else min(each.uncounted for each in self.passes)


def suspects(compared: Pass) -> frozenset[str]:
    """Names about which the views of one pass disagree. A load or unload during the pass can be the reason."""
    unlisted = frozenset(name for name in compared.absent if views_showing(compared, name))
    return unlisted | _without_directory(compared) | compared.unlistable | _without_symbols(compared)


def views_showing(compared: Pass, name: str) -> tuple[View, ...]:
    """The views that show the module, of those that show loaded modules only and do not depend on the module list.

    kallsyms is not among them: the kernel walks the module list for it.
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
    """Give the sizes in bytes of areas that no listed module accounts for; None where sizes cannot be matched.

    `areas`: sizes of the loader's areas in /proc/vmallocinfo, each with a guard page of `page` bytes. Up to 6.3 a
    module has one area, as large as /proc/modules says; since 6.4 it has one for each type of memory. While a module
    is loaded or unloaded its areas and its size differ on every kernel.
    """
    areas_left = Counter(areas)
    for module in modules:
        wanted = module.size + page
        if module.state is not ModuleState.LIVE or areas_left[wanted] == 0:
            return None
        areas_left[wanted] -= 1
    return tuple(sorted(areas_left.elements()))
