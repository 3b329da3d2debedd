"""Which symbols a module can be linked to: those of the kernel image, of Module.symvers, of modules that are loaded.

The image is the kernel's own word. Module.symvers is that of the build whose headers are installed, and knows the
modules of that build, too; modules from elsewhere are asked themselves, by their files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.examiner.kernel_image import KernelImage
from kmodmon.examiner.loading import known_symbols, read_exports
from kmodmon.examiner.locate import ModuleTree
from kmodmon.examiner.tree import FileError
from kmodmon.modfile.depmod import parse_symbol_owners
from kmodmon.modfile.symvers import SymVers, parse_symvers
from kmodmon.preflight.facts import KnownSymbol, Symbols
from kmodmon.types.error import ParseError
from kmodmon.types.text import raw_bytes, safe_text

_TABLE_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkable:
    """What is asked: the image if it was read, names of loaded modules, symbols that are wanted."""

    image: KernelImage | None
    loaded: frozenset[str]
    wanted: frozenset[str]
    running: bool


@dataclass(slots=True)
class Found:
    """The answer as it grows."""

    symbols: Symbols = field(default_factory=Symbols)
    problems: list[str] = field(default_factory=list)


def gather_symbols(tree: ModuleTree, asked: Linkable) -> Found:
    """Collect what can be linked to; what cannot be read is among the problems."""
    found = Found()
    table = _symvers(tree)
    exported, source = _kernel(asked.image, table)
    complete: bool | None = None if source == "" else True
    by_owner = _by_owner(table)
    names = asked.loaded if asked.running else _owners_of(asked.wanted - exported.keys(), tree, by_owner)
    for name in sorted(names):
        own = by_owner.get(name)
        if own is None:
            own = _from_file(tree, name, found)
        if own is None:
            complete = None if complete is None else False
            continue
        exported.update({symbol: known._replace(owner=name) for symbol, known in own.items()})
    listed = _listed(tree)
    tree_known = table is not None or listed is not None
    if not asked.running and not tree_known:
        complete = None if complete is None else False
    elsewhere = {symbol: owner for owner, own in by_owner.items() for symbol in own} | dict(listed or {})
    found.symbols = Symbols(
        exported=MappingProxyType(exported),
        complete=complete,
        tree_known=tree_known,
        elsewhere=MappingProxyType({name: owner for name, owner in elsewhere.items() if name not in exported}),
        source=source,
    )
    return found


def _symvers(tree: ModuleTree) -> SymVers | None:
    raw = tree.host.read_if_there(f"{tree.directory}/build/Module.symvers", _TABLE_LIMIT)
    return None if raw is None else parse_symvers(raw)


def _kernel(image: KernelImage | None, table: SymVers | None) -> tuple[dict[str, KnownSymbol], str]:
    if image is not None and image.exports is not None:
        return known_symbols(image.exports, None), image.path
    if table is not None:
        exports = tuple(one.export for one in table.exports.values() if one.owner is None)
        known = known_symbols(exports, None)
        if not table.versions:
            known = {name: one._replace(crc=None) for name, one in known.items()}
        return known, "Module.symvers"
    return {}, ""


def _by_owner(table: SymVers | None) -> dict[str, dict[str, KnownSymbol]]:
    """Exports of the modules of the build whose headers are installed."""
    found: dict[str, dict[str, KnownSymbol]] = {}
    if table is None:
        return found
    for one in table.exports.values():
        if one.owner is not None:
            export = one.export if table.versions else one.export._replace(crc=None)
            found.setdefault(safe_text(one.owner.encode()), {}).update(known_symbols((export,), None))
    return found


def _listed(tree: ModuleTree) -> Mapping[str, str] | None:
    raw = tree.host.read_if_there(f"{tree.directory}/modules.symbols", _TABLE_LIMIT)
    return None if raw is None else parse_symbol_owners(raw)


def _owners_of(wanted: frozenset[str], tree: ModuleTree, by_owner: Mapping[str, Mapping[str, KnownSymbol]]) -> set[str]:
    """Modules that would be loaded first for these symbols."""
    listed = _listed(tree) or {}
    owners = {listed[symbol] for symbol in wanted if symbol in listed}
    return owners | {owner for owner, own in by_owner.items() if not wanted.isdisjoint(own)}


def _from_file(tree: ModuleTree, name: str, found: Found) -> dict[str, KnownSymbol] | None:
    plain = raw_bytes(name).decode("utf-8", "surrogateescape")
    for path in tree.candidates(plain)[:1]:
        try:
            return read_exports(tree.host, path)
        except (FileError, ParseError) as error:
            found.problems.append(str(error))
            return None
    found.problems.append(f"no file of the loaded module {name}: what it exports is not known")
    return None
