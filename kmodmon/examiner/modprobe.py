"""Blacklist and install lines of modprobe.d, by the precedence of modprobe.d(5).

A file masks those of the same name in later directories; the remaining ones are read in the order of their names.
"""

from collections.abc import Iterable

from kmodmon.examiner.tree import HostTree
from kmodmon.kernel.modprobe_d import parse_modprobe_file
from kmodmon.kernel.module_name import kernel_name
from kmodmon.preflight.facts import ModprobeRule
from kmodmon.types.text import safe_text

DIRECTORIES = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d",
               "/lib/modprobe.d")  # fmt: skip
_LIMIT = 4 << 20  # bytes of one file


def modprobe_files(host: HostTree) -> tuple[str, ...]:
    """Give the paths of the files that are in force, in the order in which they are read."""
    paths: dict[str, str] = {}
    for directory in DIRECTORIES:
        for name in host.names(directory):
            if name.endswith(".conf"):
                paths.setdefault(name, f"{directory}/{name}")
    return tuple(paths[name] for name in sorted(paths))


def modprobe_rules(host: HostTree, command_line: Iterable[str] = ()) -> tuple[ModprobeRule, ...]:
    """Give every blacklist and install line, then the names of modprobe.blacklist= of the kernel command line."""
    rules = []
    for path in modprobe_files(host):
        raw = host.read_if_there(path, _LIMIT)
        for line in parse_modprobe_file(raw or b""):
            if line.kind in {"blacklist", "install"}:
                source = f"{safe_text(path.encode('utf-8', 'surrogateescape'))}:{line.line}"
                rules.append(
                    ModprobeRule(source=source, kind=line.kind, name=line.name, rest=line.rest, refuses=line.refuses)
                )
    for name in command_line:
        rules.append(ModprobeRule(source="modprobe.blacklist=", kind="blacklist", name=kernel_name(name)))
    return tuple(rules)
