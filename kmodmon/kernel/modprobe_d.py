"""modprobe.d files: which modules the modprobe tool refuses, and which options it passes.

Interface: kmod's libkmod/libkmod-config.c (modprobe.d(5)); world readable on every distribution. Absent: no directory
of that name. Nothing in these files binds insmod or finit_module(2).

A `blacklist` line only keeps a module from being loaded by an alias (by hardware, that is); `install NAME /bin/false`
keeps modprobe from loading it by any name. A file masks files of the same name in directories of lower priority; the
remaining files are read in the order of their names.
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
    """One line of a file."""

    kind: str  # its first word; one of KINDS where modprobe knows it
    name: str  # its second word: for `alias` a pattern, else the kernel's name of a module; "": the line has none
    rest: str  # everything behind the name
    line: int  # number in the file, from 1; of continued lines the first

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
    """Paths of the files that modprobe reads, in its order. `listing`: the names in each of DIRECTORIES."""
    paths: dict[str, str] = {}
    for directory in DIRECTORIES:
        for name in listing.get(directory, ()):
            if name.endswith(".conf"):
                paths.setdefault(name, f"{directory}/{name}")
    return tuple(paths[name] for name in sorted(paths))


def parse_modprobe_file(raw: bytes) -> tuple[Directive, ...]:
    r"""Read one file: `#` starts a comment line, a backslash at the end joins a line with the next. Raises nothing."""
    directives = []
    for number, line in _joined(raw):
        words = line.split(None, 2)
        if not words:
            continue
        kind = safe_text(words[0])
        name = safe_text(words[1]) if len(words) > 1 else ""
        rest = safe_text(words[2].strip()) if len(words) > 2 else ""
        directives.append(
            Directive(kind=kind, name=name if kind == "alias" else kernel_name(name), rest=rest, line=number)
        )
    return tuple(directives)


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
