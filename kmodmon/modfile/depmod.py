"""Text tables of /lib/modules/RELEASE that depmod writes: modules.dep, modules.alias, modules.symbols.

Interface: kmod's tools/depmod.c (modules.dep(5), depmod(8)); world readable. They may be older than the module files.
Absent: depmod has not run, or a container without the host's /lib/modules. modules.builtin is read in `kernel.builtin`.

- modules.dep: `path: dependency …` (transitive, nearest first)
- modules.alias: `alias PATTERN module`; modules.symbols: `alias symbol:NAME module`

Lines of another format are counted. Names are in the kernel's spelling.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.kernel.module_name import kernel_name, name_of_file
from kmodmon.types.text import safe_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """modules.dep. Keys are kernel names; paths are as written, relative to the directory of the file."""

    paths: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))  # paths
    skipped: int = 0  # lines of another format


def _lines(raw: bytes) -> Iterator[str]:
    for line in raw.split(b"\n"):
        if line.strip() and not line.startswith(b"#"):
            yield safe_text(line)


def parse_dep(raw: bytes) -> Dependencies:
    """Read modules.dep; the first line of a name counts, as it does for kmod. Raises nothing."""
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


def parse_aliases(raw: bytes) -> tuple[tuple[tuple[str, str], ...], int]:
    """Read modules.alias: (pattern, kernel name) of each line, and the number of other lines. Raises nothing."""
    aliases = []
    skipped = 0
    for line in _lines(raw):
        words = line.split()
        if len(words) == 3 and words[0] == "alias":
            aliases.append((words[1], kernel_name(words[2])))
        else:
            skipped += 1
    return tuple(aliases), skipped


def parse_symbol_owners(raw: bytes) -> Mapping[str, str]:
    """Read modules.symbols: exported symbol -> kernel name of the module that exports it. Raises nothing."""
    aliases, _ = parse_aliases(raw)
    prefix = "symbol:"
    return MappingProxyType({pattern[len(prefix) :]: name for pattern, name in aliases if pattern.startswith(prefix)})
