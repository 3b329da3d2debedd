"""Which symbols a module can be linked to: those of the kernel image, of Module.symvers, of modules that are loaded.

The image lists what the kernel itself exports. Module.symvers belongs to the build whose headers are installed, and
lists the modules of that build too. Exports of other modules are read from their files.
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

_TABLE_LIMIT = 64 << 20  # bytes of Module.symvers or modules.symbols


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRequest:
    """Which symbols are needed, and of which kernel."""

    image: KernelImage | None  # None: it could not be read
    loaded: frozenset[str]  # names of loaded modules
    wanted: frozenset[str]  # undefined symbols of the files
    running: bool  # False: another installed kernel, for which any module of its tree may be loaded first


@dataclass(slots=True)
class LinkableSymbols:
    """Symbols, and what could not be read."""

    symbols: Symbols = field(default_factory=Symbols)
    problems: list[str] = field(default_factory=list)


def gather_symbols(tree: ModuleTree, request: SymbolRequest) -> LinkableSymbols:
    """Collect the exported symbols; raises nothing, what cannot be read is among the problems."""
    result = LinkableSymbols()
    table = _symvers(tree)
    exported, source = _kernel(request.image, table)
    complete: bool | None = None if source == "" else True
    by_owner = _by_owner(table)
    names = request.loaded if request.running else _owners_of(request.wanted - exported.keys(), tree, by_owner)
    for name in sorted(names):
        exports = by_owner.get(name)
        if exports is None:
            exports = _from_file(tree, name, result)
        if exports is None:
            complete = None if complete is None else False
            continue
        exported.update({symbol: symbol_facts._replace(owner=name) for symbol, symbol_facts in exports.items()})
    listed = _listed(tree)
    tree_known = table is not None or listed is not None
    if not request.running and not tree_known:
        complete = None if complete is None else False
    elsewhere = {symbol: owner for owner, exports in by_owner.items() for symbol in exports} | dict(listed or {})
    result.symbols = Symbols(
        exported=MappingProxyType(exported),
        complete=complete,
        tree_known=tree_known,
        elsewhere=MappingProxyType({name: owner for name, owner in elsewhere.items() if name not in exported}),
        source=source,
    )
    return result


def _symvers(tree: ModuleTree) -> SymVers | None:
    raw = tree.host.read_if_there(f"{tree.directory}/build/Module.symvers", _TABLE_LIMIT)
    return None if raw is None else parse_symvers(raw)


def _kernel(image: KernelImage | None, table: SymVers | None) -> tuple[dict[str, KnownSymbol], str]:
    if image is not None and image.exports is not None:
        return known_symbols(image.exports, None), image.path
    if table is not None:
        exports = tuple(symbol.export for symbol in table.exports.values() if symbol.owner is None)
        symbols = known_symbols(exports, None)
        if not table.versions:
            symbols = {name: symbol._replace(crc=None) for name, symbol in symbols.items()}
        return symbols, "Module.symvers"
    return {}, ""


def _by_owner(table: SymVers | None) -> dict[str, dict[str, KnownSymbol]]:
    """Exports of the modules of the build whose headers are installed."""
    owners: dict[str, dict[str, KnownSymbol]] = {}
    if table is None:
        return owners
    for symbol in table.exports.values():
        if symbol.owner is not None:
            export = symbol.export if table.versions else symbol.export._replace(crc=None)
            owners.setdefault(safe_text(symbol.owner.encode()), {}).update(known_symbols((export,), None))
    return owners


def _listed(tree: ModuleTree) -> Mapping[str, str] | None:
    raw = tree.host.read_if_there(f"{tree.directory}/modules.symbols", _TABLE_LIMIT)
    return None if raw is None else parse_symbol_owners(raw)


def _owners_of(wanted: frozenset[str], tree: ModuleTree, by_owner: Mapping[str, Mapping[str, KnownSymbol]]) -> set[str]:
    """Modules that modprobe would load first because they export these symbols."""
    listed = _listed(tree) or {}
    owners = {listed[symbol] for symbol in wanted if symbol in listed}
    return owners | {owner for owner, exports in by_owner.items() if not wanted.isdisjoint(exports)}


def _from_file(tree: ModuleTree, name: str, result: LinkableSymbols) -> dict[str, KnownSymbol] | None:
    plain = raw_bytes(name).decode("utf-8", "surrogateescape")
    for path in tree.candidates(plain)[:1]:
        try:
            return read_exports(tree.host, path)
        except (FileError, ParseError) as error:
            result.problems.append(str(error))
            return None
    result.problems.append(f"no file of the loaded module {name}: what it exports is not known")
    return None
