"""What decides whether a module loads: facts of its file, and facts of the kernel that is to load it.

Names of symbols and modules are safe texts. None always means that it is not known, never that it is not so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from kmodmon.modfile.loader_elf import LoaderRules
from kmodmon.subjects.module_file import ModuleFile


class Undefined(NamedTuple):
    """A symbol that the module wants; a weak one may stay unresolved."""

    name: str
    weak: bool


class KnownSymbol(NamedTuple):
    """An exported symbol. `owner` None: the kernel itself; `crc` None: none, or not known (see the host)."""

    owner: str | None
    gpl_only: bool | None
    namespace: str | None
    crc: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingFacts:
    """What the loader reads in one file. `elf_objection`: see `kernel.loader_elf`; then the rest is empty."""

    name: str | None = None  # in struct module: the name it is known by once loaded
    loader_name: str = ""  # in the loader's messages
    elf_objection: str | None = None
    unreadable: str | None = None  # why none of this could be read
    vermagic: str | None = None
    license: str | None = None
    gpl_compatible: bool = False
    import_ns: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()  # of intree, staging, livepatch, test: those it has
    has_versions: bool = False
    extended_versions: bool = False
    versions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    undefined: tuple[Undefined, ...] = ()
    common_symbols: bool = False
    exports: Mapping[str, KnownSymbol] = field(default_factory=lambda: MappingProxyType({}))
    write_exec: tuple[int, str] | None = None  # first section that is writable and executable


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One file that is to be loaded."""

    file: ModuleFile
    facts: LoadingFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ModprobeRule:
    """A line of modprobe.d, or of the kernel command line, about one module."""

    source: str
    kind: str  # blacklist or install
    name: str
    rest: str = ""
    refuses: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildChoices:
    """How the kernel was built, as far as the loader cares; None: not known."""

    module_sig: bool | None = None
    modversions: bool | None = None
    force_load: bool | None = None
    allow_missing_namespaces: bool | None = None
    livepatch: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderPosture:
    """What forbids loading on this host as it is booted now."""

    capable: bool | None = None  # whether who asks has CAP_SYS_MODULE
    modules_disabled: bool | None = None
    sig_enforce: bool | None = None
    locked_down: bool | None = None
    blacklist: tuple[str, ...] = ()  # module_blacklist= of the kernel
    modprobe: tuple[ModprobeRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """What a module can be linked to.

    `exported`: by the kernel and by what is loaded. `complete`: no other symbol is; None: the kernel's own list is not
    known at all. `elsewhere`: exported by modules of the tree that are not loaded (symbol -> module); `tree_known`:
    there is a list of those.
    """

    exported: Mapping[str, KnownSymbol] = field(default_factory=lambda: MappingProxyType({}))
    complete: bool | None = None
    elsewhere: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tree_known: bool = False
    source: str = ""  # of the kernel's own list


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderHost:
    """The kernel that is to load something. `running` False: another installed one, asked about beforehand."""

    release: str
    running: bool = True
    rules: LoaderRules | None = None  # None: its image could not be read, so wording and checks are the newest's
    same_image: bool = True  # False: what lies in /boot is another build of this release than the one that runs
    vermagic: str | None = None
    build: BuildChoices = BuildChoices()
    posture: LoaderPosture = LoaderPosture()
    loaded: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # name -> live, coming, going
    proprietary: frozenset[str] = frozenset()  # loaded modules with taint P
    builtin: frozenset[str] = frozenset()  # with a directory in /sys/module
    symbols: Symbols = Symbols()
    notes: tuple[str, ...] = ()
