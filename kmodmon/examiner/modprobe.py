"""What modprobe.d says about modules, by the precedence of modprobe.d(5).

A file hides those of the same name in directories after its own; all that are left count, sorted by name.
"""

from collections.abc import Iterable

from kmodmon.examiner.tree import HostTree
from kmodmon.kernel.modprobe_d import parse_modprobe_file
from kmodmon.kernel.module_name import kernel_name
from kmodmon.preflight.facts import ModprobeRule
from kmodmon.types.text import safe_text

DIRECTORIES = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d",
               "/lib/modprobe.d")  # fmt: skip
_LIMIT = 4 << 20


def modprobe_files(host: HostTree) -> tuple[str, ...]:
    """The files that count, in the order in which they are read."""
    found: dict[str, str] = {}
    for directory in DIRECTORIES:
        for name in host.names(directory):
            if name.endswith(".conf"):
                found.setdefault(name, f"{directory}/{name}")
    return tuple(found[name] for name in sorted(found))


def modprobe_rules(host: HostTree, command_line: Iterable[str] = ()) -> tuple[ModprobeRule, ...]:
    """Every blacklist and install line, and `modprobe.blacklist=` names of the kernel command line."""
    rules = []
    for path in modprobe_files(host):
        raw = host.read_if_there(path, _LIMIT)
        for one in parse_modprobe_file(raw or b""):
            if one.kind in {"blacklist", "install"}:
                source = f"{safe_text(path.encode('utf-8', 'surrogateescape'))}:{one.line}"
                rules.append(
                    ModprobeRule(source=source, kind=one.kind, name=one.name, rest=one.rest, refuses=one.refuses)
                )
    for name in command_line:
        rules.append(ModprobeRule(source="modprobe.blacklist=", kind="blacklist", name=kernel_name(name)))
    return tuple(rules)
