"""The text tables of /lib/modules/RELEASE that depmod and the kernel build write. World readable; may lag behind.

modules.dep `path: dependency …` (transitive, nearest first) · modules.builtin one path a line · modules.order ·
modules.builtin.modinfo (5.2 and later) NUL-separated `module.key=value` · modules.alias `alias PATTERN module` ·
modules.symbols `alias symbol:NAME module` · modules.softdep `softdep MODULE pre: … post: …`.

Lines that are not of the format are counted, not guessed at. Names are the kernel's spelling.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.kernel.modinfo import ModInfo, SoftDependency, parse_modinfo, parse_softdep
from kmodmon.kernel.module_name import kernel_name, name_of_file
from kmodmon.kernel.text import safe_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """modules.dep: kernel name -> path, and kernel name -> paths of what it needs. Paths as written."""

    paths: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    skipped: int = 0


def _lines(raw: bytes) -> Iterator[str]:
    for line in raw.split(b"\n"):
        if line.strip() and not line.startswith(b"#"):
            yield safe_text(line)


def parse_dep(raw: bytes) -> Dependencies:
    """Read modules.dep; the first line of a name counts, as it does for kmod."""
    paths: dict[str, str] = {}
    needs: dict[str, tuple[str, ...]] = {}
    skipped = 0
    for line in _lines(raw):
        path, colon, rest = line.partition(":")
        name = name_of_file(path)
        if not colon or name is None:
            skipped += 1
            continue
        if name not in paths:
            paths[name] = path
            needs[name] = tuple(rest.split())
    return Dependencies(paths=MappingProxyType(paths), needs=MappingProxyType(needs), skipped=skipped)


def parse_builtin(raw: bytes) -> tuple[frozenset[str], int]:
    """Names in modules.builtin (or modules.order), and the number of lines that name no module."""
    names = set()
    skipped = 0
    for line in _lines(raw):
        name = name_of_file(line.strip())
        if name is None:
            skipped += 1
        else:
            names.add(name)
    return frozenset(names), skipped


def parse_builtin_modinfo(raw: bytes) -> Mapping[str, ModInfo]:
    """Read modules.builtin.modinfo: what each built-in module says about itself, by kernel name."""
    fields: dict[str, list[tuple[str, str]]] = {}
    for key, value in parse_modinfo(raw).fields:
        module, dot, rest = key.partition(".")
        if dot:
            fields.setdefault(kernel_name(module), []).append((rest, value))
    return MappingProxyType({name: ModInfo(fields=tuple(found)) for name, found in fields.items()})


def parse_aliases(raw: bytes) -> tuple[tuple[tuple[str, str], ...], int]:
    """(pattern, kernel name) of each line of modules.alias, and the number of other lines."""
    found = []
    skipped = 0
    for line in _lines(raw):
        words = line.split()
        if len(words) == 3 and words[0] == "alias":
            found.append((words[1], kernel_name(words[2])))
        else:
            skipped += 1
    return tuple(found), skipped


def parse_symbol_owners(raw: bytes) -> Mapping[str, str]:
    """modules.symbols: exported symbol -> kernel name of the module that has it."""
    aliases, _ = parse_aliases(raw)
    prefix = "symbol:"
    return MappingProxyType({pattern[len(prefix) :]: name for pattern, name in aliases if pattern.startswith(prefix)})


def parse_softdeps(raw: bytes) -> Mapping[str, SoftDependency]:
    """modules.softdep and modules.weakdep: by kernel name; the last line of a name counts."""
    found: dict[str, SoftDependency] = {}
    for line in _lines(raw):
        words = line.split(None, 2)
        if len(words) == 3 and words[0] == "softdep":
            found[kernel_name(words[1])] = parse_softdep(words[2])
        elif len(words) == 3 and words[0] == "weakdep":
            found[kernel_name(words[1])] = SoftDependency(weak=tuple(words[2].split()))
    return MappingProxyType(found)
