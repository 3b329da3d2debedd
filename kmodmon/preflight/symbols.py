"""Linking, as `simplify_symbols()` and `resolve_symbol()` do it: symbol by symbol, in the order of the symbol table.

The order matters. A symbol of a proprietary module makes the importing module proprietary, and GPL-only symbols after
it are not resolved. After a GPL-only symbol, symbols of proprietary modules are refused. All symbols are tried and
logged; the load ends with the errno of the *last* one that failed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kmodmon.preflight.early import forced, knows
from kmodmon.preflight.facts import Candidate, KnownSymbol, LoaderHost, LoadingFacts, Undefined
from kmodmon.preflight.verdict import Obstacle, ObstacleKind

# module_augment_kernel_taints() taints for these two whatever license they declare
_TAINTING_NAMES = frozenset({"driverloader", "lve"})
_IGNORED = frozenset({"_GLOBAL_OFFSET_TABLE_"})
_ERRNO_NUMBERS = {"ENOENT": -2, "EINVAL": -22, "ENOEXEC": -8}
_SHOWN = 8  # symbols named in one text


@dataclass(slots=True)
class _Linking:
    """The loader's state between two symbols."""

    proprietary: bool
    uses_gpl_only: bool = False
    inherited: list[str] = field(default_factory=list)  # modules whose taint P it inherits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    symbol: str
    kind: ObstacleKind
    errno: str
    why: str
    remedy: str
    log: tuple[str, ...] = ()
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """The result of linking one module."""

    obstacles: tuple[Obstacle, ...] = ()
    inherited: tuple[str, ...] = ()  # modules whose taint P it would inherit


def is_proprietary(facts: LoadingFacts) -> bool:
    """Whether the kernel refuses GPL-only symbols to the module."""
    return not facts.gpl_compatible or (facts.name or "") in _TAINTING_NAMES


def link(candidate: Candidate, host: LoaderHost) -> Linked:
    """Resolve every symbol; one obstacle for each kind of failure, the first one with the errno of the load."""
    facts = candidate.facts
    obstacles = list(_imports(facts, host))
    linking = _Linking(proprietary=is_proprietary(facts))
    failures: list[_Failure] = []
    if facts.common_symbols:
        failures.append(_common(facts))
    for wanted in facts.undefined:
        failure = _resolve(wanted, facts, host, linking)
        if failure is not None:
            failures.append(failure)
    obstacles += _summed(failures)
    obstacles += _duplicates(facts, host)
    obstacles += _built_in(facts, host)
    return Linked(obstacles=tuple(obstacles), inherited=tuple(dict.fromkeys(linking.inherited)))


def _imports(facts: LoadingFacts, host: LoaderHost) -> Iterator[Obstacle]:
    forbidden = next((name for name in facts.import_ns if name.startswith("module:")), None)
    if forbidden is not None and knows(host, "module namespaces"):
        yield Obstacle(
            kind=ObstacleKind.NAMESPACE,
            errno="EPERM",
            why=f"it imports {forbidden}, which is given to modules by name only",
            log=(f"{facts.name}: module tries to import module namespace: {forbidden}",),
            remedy="Remove that import.",
        )


def _common(facts: LoadingFacts) -> _Failure:
    return _Failure(
        symbol="", kind=ObstacleKind.SYMBOL, errno="ENOEXEC", why="it has common symbols",
        remedy="Compile it with -fno-common.", log=(f"{facts.name}: please compile with -fno-common",),
    )  # fmt: skip


def _resolve(wanted: Undefined, facts: LoadingFacts, host: LoaderHost, linking: _Linking) -> _Failure | None:
    export = host.symbols.exported.get(wanted.name)
    if export is None:
        return None if wanted.weak or wanted.name in _IGNORED else _missing(wanted.name, facts, host)
    if linking.proprietary and export.gpl_only:
        return None if wanted.weak else _gpl_only(wanted.name, facts)
    linking.uses_gpl_only = linking.uses_gpl_only or bool(export.gpl_only)
    if export.owner in host.proprietary:
        if linking.uses_gpl_only:
            return None if wanted.weak else _mixed(wanted.name, export.owner, facts)
        linking.proprietary = True
        linking.inherited.append(export.owner)
    return _version(wanted.name, export, facts, host) or _namespace(wanted.name, export, facts, host)


def _unknown(name: str, facts: LoadingFacts, errno: str) -> str:
    return f"{facts.name}: Unknown symbol {name} (err {_ERRNO_NUMBERS[errno]})"


def _missing(name: str, facts: LoadingFacts, host: LoaderHost) -> _Failure:
    owner = host.symbols.elsewhere.get(name)
    log = (_unknown(name, facts, "ENOENT"),)
    if owner is not None:
        why = f"{name} is exported by {owner}, which is not loaded"
        remedy = f"modprobe {owner} first; modprobe of this module does that by itself once depmod knows it."
        return _Failure(symbol=name, kind=ObstacleKind.SYMBOL, errno="ENOENT", why=why, remedy=remedy, log=log)
    if host.symbols.complete:
        nothing = "nor by any module of its tree" if host.symbols.tree_known else "nor by a loaded module"
        why = f"{name} is exported neither by the kernel {nothing}"
        remedy = "Load the module that has it first, or rebuild this one: what it calls may not exist in this kernel."
        return _Failure(symbol=name, kind=ObstacleKind.SYMBOL, errno="ENOENT", why=why, remedy=remedy, log=log)
    why = f"whether this kernel exports {name} is not known"
    remedy = "Install the kernel's headers or make its image in /boot readable, then ask again."
    return _Failure(
        symbol=name, kind=ObstacleKind.SYMBOL, errno="ENOENT", why=why, remedy=remedy, log=log, certain=False
    )


def _gpl_only(name: str, facts: LoadingFacts) -> _Failure:
    return _Failure(
        symbol=name, kind=ObstacleKind.GPL_ONLY, errno="ENOENT", log=(_unknown(name, facts, "ENOENT"),),
        why=f"{name} is only for modules under the GPL, and this one's license is '{facts.license or 'unspecified'}'",
        remedy="Its author has to do without the symbol or to license it compatibly; editing the license is no remedy.",
    )  # fmt: skip


def _mixed(name: str, owner: str, facts: LoadingFacts) -> _Failure:
    line = f"{facts.name}: module using GPL-only symbols uses symbols {name} from proprietary module {owner}."
    return _Failure(
        symbol=name, kind=ObstacleKind.GPL_ONLY, errno="ENOENT", log=(line, _unknown(name, facts, "ENOENT")),
        why=f"it uses GPL-only symbols, and {name} of the proprietary module {owner}",
        remedy="The kernel lets no module use both.",
    )  # fmt: skip


def _version(name: str, export: KnownSymbol, facts: LoadingFacts, host: LoaderHost) -> _Failure | None:
    if export.crc is None or (facts.extended_versions and name not in facts.versions):
        return None
    if not facts.has_versions and not facts.extended_versions:
        if forced(host):
            return None
        why = f"it has no version for {name}, and this kernel was built without CONFIG_MODULE_FORCE_LOAD"
        return _disagrees(name, facts, why, ())
    crc = facts.versions.get(name)
    if crc is None:
        line = f"{facts.loader_name}: no symbol version for {name}"
        return _disagrees(name, facts, f"it has no version for {name}", (line,))
    if crc != export.crc:
        line = f"{facts.loader_name}: disagrees about version of symbol {name}"
        why = f"{name} is another version here (checksum {export.crc:#010x}, the file wants {crc:#010x})"
        return _disagrees(name, facts, why, (line,))
    return None


def _disagrees(name: str, facts: LoadingFacts, why: str, log: tuple[str, ...]) -> _Failure:
    remedy = "Rebuild it against the headers of this kernel and of the modules that it uses."
    lines = (*log, _unknown(name, facts, "EINVAL"))
    return _Failure(symbol=name, kind=ObstacleKind.MODVERSIONS, errno="EINVAL", why=why, remedy=remedy, log=lines)


def _namespace(name: str, export: KnownSymbol, facts: LoadingFacts, host: LoaderHost) -> _Failure | None:
    space = export.namespace
    if not space or space in facts.import_ns or given_to(space, facts.name or ""):
        return None
    if host.build.allow_missing_namespaces:
        return None
    line = f"{facts.name}: module uses symbol ({name}) from namespace {space}, but does not import it."
    return _Failure(
        symbol=name, kind=ObstacleKind.NAMESPACE, errno="EINVAL", log=(line, _unknown(name, facts, "EINVAL")),
        why=f"{name} is in namespace {space}, which it does not import",
        remedy=f'Its source needs MODULE_IMPORT_NS("{space}").',
        certain=host.build.allow_missing_namespaces is False,
    )  # fmt: skip


def given_to(namespace: str, module: str) -> bool:
    """Whether a namespace `module:a,b*` (since 6.16) is for this module: `-` equals `_`, `*` only at the end."""
    if not namespace.startswith("module:"):
        return False
    name = module.replace("-", "_")
    for pattern in namespace.removeprefix("module:").split(","):
        plain = pattern.replace("-", "_")
        if name == plain or (plain.endswith("*") and name.startswith(plain[:-1])):
            return True
    return False


def _summed(failures: list[_Failure]) -> list[Obstacle]:
    """Give one obstacle for each kind, by first appearance; the first certain one has all certain log lines."""
    certain = [failure for failure in failures if failure.certain]
    final = certain[-1].errno if certain else ""
    lines = tuple(line for failure in failures if failure.certain for line in failure.log)
    kinds = dict.fromkeys((failure.kind, failure.certain) for failure in failures)
    obstacles: list[Obstacle] = []
    answered = False
    for kind, is_certain in kinds:
        group = [failure for failure in failures if (failure.kind, failure.certain) == (kind, is_certain)]
        first = is_certain and not answered
        answered = answered or first
        obstacles.append(
            Obstacle(
                kind=kind,
                certain=is_certain,
                errno=final if first else group[-1].errno,
                log=lines if first else tuple(line for failure in group for line in failure.log),
                why="; ".join(failure.why for failure in group[:_SHOWN]) + _more(len(group) - _SHOWN),
                remedy=" ".join(dict.fromkeys(failure.remedy for failure in group[:_SHOWN])),
            )
        )
    return obstacles


def _more(count: int) -> str:
    return f"; and {count} more" if count > 0 else ""


def _duplicates(facts: LoadingFacts, host: LoaderHost) -> Iterator[Obstacle]:
    """Find an export that exists already, as `verify_exported_symbols()` in complete_formation() does."""
    for name in facts.exports:
        export = host.symbols.exported.get(name)
        if export is not None and export.owner != facts.name:
            owner = export.owner or "kernel"
            line = f"{facts.name}: exports duplicate symbol {name} (owned by {owner})"
            yield Obstacle(
                kind=ObstacleKind.DUPLICATE_SYMBOL,
                errno="ENOEXEC",
                log=(line,),
                why=f"it exports {name}, as {owner} does",
                remedy=f"Only one of them can be loaded; unload {owner} if it is a module.",
            )
            return


def _built_in(facts: LoadingFacts, host: LoaderHost) -> Iterator[Obstacle]:
    """Find a built-in module of that name, as `mod_sysfs_init()` does; it is the last check before init runs."""
    if facts.name in host.builtin:
        yield Obstacle(
            kind=ObstacleKind.BUILT_IN, errno="EINVAL", log=(f"{facts.name}: module is already loaded",),
            why=f"{facts.name} is built into this kernel and has its directory in /sys/module",
            remedy="Nothing needs to be loaded.",
        )  # fmt: skip
