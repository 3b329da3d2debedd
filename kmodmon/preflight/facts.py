"""What decides whether a module loads: facts of its file, and facts of the kernel that is to load it.

Names of symbols and modules are safe texts. None means unknown, never false.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from kmodmon.modfile.loader_elf import LoaderRules
from kmodmon.subjects.module_file import ModuleFile


class Undefined(NamedTuple):
    """An undefined symbol of the module; a weak one may stay unresolved."""

    name: str
    weak: bool


class KnownSymbol(NamedTuple):
    """An exported symbol."""

    owner: str | None  # the module that exports it; None: the kernel itself
    gpl_only: bool | None  # None: not known
    namespace: str | None  # None or empty: none
    crc: int | None  # None: kernel without CONFIG_MODVERSIONS, or not known


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingFacts:
    """What the loader reads in one file; with `elf_objection` or `unreadable` the rest is empty."""

    name: str | None = None  # in struct module: its name once it is loaded
    loader_name: str = ""  # its name in messages that the loader logs before it has struct module
    elf_objection: str | None = None  # the line that the kernel logs when it refuses the ELF structure; empty: none
    unreadable: str | None = None  # why none of this could be read
    vermagic: str | None = None  # None: the file has none
    license: str | None = None  # None: the file has none
    gpl_compatible: bool = False
    import_ns: tuple[str, ...] = ()  # symbol namespaces
    flags: frozenset[str] = frozenset()  # of intree, staging, livepatch, test: those it has
    has_versions: bool = False  # section __versions
    extended_versions: bool = False  # section __version_ext_crcs (CONFIG_EXTENDED_MODVERSIONS, 6.14)
    versions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # symbol -> CRC
    undefined: tuple[Undefined, ...] = ()  # in the order of the symbol table
    common_symbols: bool = False  # compiled with -fcommon
    exports: Mapping[str, KnownSymbol] = field(default_factory=lambda: MappingProxyType({}))
    write_exec: tuple[int, str] | None = None  # index and name of the first section that is writable and executable


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One file that is to be loaded."""

    file: ModuleFile
    facts: LoadingFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ModprobeRule:
    """A line of modprobe.d, or a name of modprobe.blacklist= on the kernel command line."""

    source: str  # file:line, or the option
    kind: str  # blacklist or install
    name: str  # of the module
    rest: str = ""  # the command of an install line
    refuses: bool = False  # that command loads nothing, such as /bin/false


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildChoices:
    """Build options of the kernel that the loader depends on; None: not known."""

    module_sig: bool | None = None  # CONFIG_MODULE_SIG
    force_load: bool | None = None  # CONFIG_MODULE_FORCE_LOAD
    allow_missing_namespaces: bool | None = None  # CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS
    livepatch: bool | None = None  # CONFIG_LIVEPATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderPosture:
    """What restricts loading on this host in its present boot; None: not known."""

    capable: bool | None = None  # this process has CAP_SYS_MODULE in the initial user namespace
    modules_disabled: bool | None = None  # sysctl kernel.modules_disabled
    sig_enforce: bool | None = None  # module.sig_enforce
    locked_down: bool | None = None  # lockdown integrity or confidentiality
    blacklist: tuple[str, ...] = ()  # module_blacklist= of the kernel command line
    modprobe: tuple[ModprobeRule, ...] = ()  # heeded by modprobe alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """What a module can be linked to."""

    exported: Mapping[str, KnownSymbol] = field(default_factory=lambda: MappingProxyType({}))  # kernel, loaded modules
    complete: bool | None = None  # `exported` has all of them; None: the exports of the kernel itself are not known
    elsewhere: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # symbol -> module not loaded
    tree_known: bool = False  # the exports of the modules in the tree are known
    source: str = ""  # path of the list of the kernel's exports; empty: none


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderHost:
    """The kernel that is to load a module."""

    release: str
    running: bool = True  # False: another installed kernel
    rules: LoaderRules | None = None  # None: no image could be read; checks and messages of the newest known kernel
    same_image: bool = True  # False: the image in /boot is another build of this release than the running one
    vermagic: str | None = None  # None: not known
    build: BuildChoices = BuildChoices()
    posture: LoaderPosture = LoaderPosture()
    loaded: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # name -> live, coming, going
    proprietary: frozenset[str] = frozenset()  # loaded modules with taint P
    builtin: frozenset[str] = frozenset()  # names with a directory in /sys/module that are no loaded modules
    symbols: Symbols = Symbols()
    notes: tuple[str, ...] = ()
