"""modprobe.d of this host: modules that it refuses (`blacklist`, `install`), and modules that it gives options.

Only lines that affect which modules are loaded, or with which parameters, are kept (modprobe.d(5)).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.kernel.cmdline import CommandLineFacts
from kmodmon.kernel.modprobe_d import Directive
from kmodmon.kernel.module_name import kernel_name
from kmodmon.types.outcome import Observation

BLACKLIST, KERNEL = "blacklist", "module_blacklist"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedDirective:
    """One line of a modprobe.d file."""

    path: str  # of the file, as the host names it
    directive: Directive

    @property
    def place(self) -> str:
        """`FILE:LINE`, for people."""
        return f"{self.path}:{self.directive.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModprobeConfig:
    """The directives in force; mappings are by module name."""

    refused: Mapping[str, tuple[PlacedDirective, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )  # in file order
    options: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))  # parameters, sorted
    read: bool = False  # False: modprobe.d was not read yet


UNREAD_MODPROBE = ModprobeConfig()


def modprobe_config(lines: Iterable[PlacedDirective]) -> ModprobeConfig:
    """Group the lines of all files that modprobe reads, by module."""
    refused: dict[str, list[PlacedDirective]] = {}
    options: dict[str, set[str]] = {}
    for placed in lines:
        directive = placed.directive
        if directive.kind == BLACKLIST or directive.refuses:
            refused.setdefault(directive.name, []).append(placed)
        elif directive.kind == "options":
            options.setdefault(directive.name, set()).update(word.partition("=")[0] for word in directive.rest.split())
    return ModprobeConfig(
        refused=MappingProxyType({name: tuple(lines) for name, lines in refused.items()}),
        options=MappingProxyType({name: tuple(sorted(names)) for name, names in options.items()}),
        read=True,
    )


def refusals(name: str, config: ModprobeConfig, cmdline: CommandLineFacts | None) -> Mapping[str, str]:
    """What refuses a module (`blacklist`, `install`, `module_blacklist`), with its place; {}: nothing does."""
    places: dict[str, str] = {}
    for placed in config.refused.get(name, ()):
        places.setdefault(placed.directive.kind, placed.place)
    if cmdline is not None:
        if name in map(kernel_name, cmdline.module_blacklist):
            places[KERNEL] = "module_blacklist= on the kernel command line"
        if name in map(kernel_name, cmdline.modprobe_blacklist):
            places.setdefault(BLACKLIST, "modprobe.blacklist= on the kernel command line")
    return places


@dataclass(frozen=True, slots=True, kw_only=True)
class ModprobeRead(Observation):
    """The modprobe.d files that modprobe would read."""

    config: ModprobeConfig
