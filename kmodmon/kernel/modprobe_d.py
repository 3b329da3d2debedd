"""modprobe.d files (modprobe.d(5)): what the modprobe tool does with names. None of it binds insmod or finit_module(2).

A blacklist line only keeps a module from being loaded by an alias (by hardware, that is); `install NAME /bin/false`
keeps modprobe from loading it by any name. A file hides those of the same name in directories after its own; all
that are left count, sorted by name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kmodmon.kernel.module_name import kernel_name
from kmodmon.types.text import safe_text

KINDS = frozenset({"alias", "blacklist", "install", "options", "remove", "softdep", "weakdep", "config"})
DIRECTORIES = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d",
               "/lib/modprobe.d")  # fmt: skip
_REFUSING = frozenset({"/bin/false", "/usr/bin/false", "/bin/true", "/usr/bin/true", "false", "true", ":"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One line: its kind, its first word (for `alias` a pattern, else a kernel module name), the rest."""

    kind: str  # one of KINDS, or what stands there
    name: str
    rest: str
    line: int  # of the file, from 1; of continued lines the first

    @property
    def known(self) -> bool:
        """Whether modprobe knows this kind of line."""
        return self.kind in KINDS

    @property
    def refuses(self) -> bool:
        """Whether it is an `install` line that keeps modprobe from loading the module."""
        words = self.rest.split()
        return self.kind == "install" and bool(words) and words[0] in _REFUSING


def effective_files(listing: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Paths of the files that count, in the order in which they are read. `listing`: the names in each directory."""
    found: dict[str, str] = {}
    for directory in DIRECTORIES:
        for name in listing.get(directory, ()):
            if name.endswith(".conf"):
                found.setdefault(name, f"{directory}/{name}")
    return tuple(found[name] for name in sorted(found))


def parse_modprobe_file(raw: bytes) -> tuple[Directive, ...]:
    r"""Read one file: `#` starts a comment line, a backslash at the end of a line goes on with the next."""
    found = []
    for number, line in _joined(raw):
        words = line.split(None, 2)
        if not words:
            continue
        kind = safe_text(words[0])
        name = safe_text(words[1]) if len(words) > 1 else ""
        rest = safe_text(words[2].strip()) if len(words) > 2 else ""
        found.append(Directive(kind=kind, name=name if kind == "alias" else kernel_name(name), rest=rest, line=number))
    return tuple(found)


def _joined(raw: bytes) -> Iterable[tuple[int, bytes]]:
    started = 0
    parts: list[bytes] = []
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not parts:
            started = number
            if line.lstrip().startswith(b"#"):
                continue
        if line.endswith(b"\\"):
            parts.append(line[:-1])
            continue
        yield started, b" ".join([*parts, line])
        parts = []
    if parts:
        yield started, b" ".join(parts)
