"""Modules built into the kernel: modules.builtin, and directories of /sys/module that have no initstate.

Interfaces: /lib/modules/RELEASE/modules.builtin (Documentation/kbuild/kbuild.rst), /sys/module
(Documentation/ABI/testing/sysfs-module); world readable. Absent: sysfs not mounted. Built-ins are never in
/proc/modules; sysfs shows only those with a parameter, a version or a driver. Fixed for a boot, read every hour.
"""

from kmodmon.kernel.builtin import parse_builtin
from kmodmon.kernel.sysmodule import module_name
from kmodmon.lifecycle.signals import BuiltinRead
from kmodmon.sources.source import PollSource, Reading, SourceContext, SourceReader
from kmodmon.system.root import TABLE, Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Failed, Read
from kmodmon.types.source_name import SourceName

_HOUR = 3600.0


def _make(context: SourceContext) -> SourceReader:
    return lambda: read_builtin(context.root)


def read_builtin(root: Root) -> Reading:
    """Read the names that either interface has; absent only when sysfs has no directory `module`."""
    directories = root.directories(root.sys(b"module"))
    if not isinstance(directories, Read):
        return Reading(outcome=directories)
    names = {
        module_name(name) for name in directories.value if not root.exists(root.sys(b"module", name, b"initstate"))
    }
    try:
        return Reading(outcome=Read(BuiltinRead(names=frozenset(names | set(_listed(root))))))
    except ParseError as error:
        return Reading(outcome=Failed(str(error)))


def _listed(root: Root) -> tuple[str, ...]:
    release = root.text(root.proc(b"sys", b"kernel", b"osrelease"))
    if release is None or "/" in release:
        return ()
    match root.read(b"/".join((root.modules, release.encode(), b"modules.builtin")), TABLE):
        case Read(raw):
            return parse_builtin(raw)
        case _:
            return ()


SOURCE = PollSource(
    name=SourceName.BUILTIN,
    make=_make,
    every=lambda settings: _HOUR,
    interfaces=("/lib/modules/<release>/modules.builtin", "/sys/module/<module> without initstate"),
    remedy="mount sysfs of the host where --path.sysfs says, and its /usr/lib/modules where --path.modules says",
)
