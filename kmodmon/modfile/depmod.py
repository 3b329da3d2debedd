"""The text tables of /lib/modules/RELEASE that depmod and the kernel build write. World readable; may lag behind.

modules.dep `path: dependency …` (transitive, nearest first) · modules.symbols `alias symbol:NAME module`, as
modules.alias `alias PATTERN module`. modules.builtin is read in `builtin`.

Lines that are not of the format are counted, not guessed at. Names are the kernel's spelling.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.kernel.module_name import kernel_name, name_of_file
from kmodmon.types.text import safe_text


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
