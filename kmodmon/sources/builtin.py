"""Modules built into the kernel: modules.builtin, and directories of /sys/module that have no initstate.

Interfaces: /lib/modules/RELEASE/modules.builtin (Documentation/kbuild/kbuild.rst), /sys/module. Built-ins are never in
/proc/modules; sysfs shows only those with a parameter, a version or a driver. Fixed for a boot, read every hour.
"""

from collections.abc import Iterator

from kmodmon.kernel.builtin import parse_builtin
from kmodmon.kernel.error import ParseError
from kmodmon.kernel.text import safe_text
from kmodmon.model.observation import BuiltinRead
from kmodmon.model.outcome import Read
from kmodmon.root import Root
from kmodmon.sources.source import Look, PollSource, Reader, Surroundings

_HOUR = 3600.0


def _make(around: Surroundings) -> Reader:
    return lambda: read_builtin(around.root)


def read_builtin(root: Root) -> Look:
    """Give the names that either interface has; absent only when sysfs has no module directory at all."""
    directories = root.directories(root.sys(b"module"))
    if not isinstance(directories, Read):
        return Look(outcome=directories)
    in_sysfs = {
        safe_text(name) for name in directories.value if not root.exists(root.sys(b"module", name, b"initstate"))
    }
    return Look(outcome=Read(BuiltinRead(names=frozenset(in_sysfs | set(_listed(root))))))


def _listed(root: Root) -> Iterator[str]:
    release = root.text(root.proc(b"sys", b"kernel", b"osrelease"))
    if release is None:
        return
    outcome = root.read(b"/".join((root.modules, release.encode(), b"modules.builtin")))
    if isinstance(outcome, Read):
        try:
            yield from parse_builtin(outcome.value)
        except ParseError:
            return


SOURCE = PollSource(
    name="builtin",
    make=_make,
    every=lambda settings: _HOUR,
    interfaces=("/lib/modules/<release>/modules.builtin", "/sys/module/<module> without initstate"),
    grant="mount sysfs of the host where --path.sysfs says",
)
