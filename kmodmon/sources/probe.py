"""Whether the event sources could be followed here, for `kmodmon doctor`, which does not follow them.

Opening /dev/kmsg and listing tracefs disturb nobody. A trace_pipe is not opened: it has only one reader.
"""

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType

from kmodmon.system.root import Root, outcome_of
from kmodmon.types.outcome import Absent, AbsentReason, Failed, Outcome, Read
from kmodmon.types.source_name import SourceName


def _kmsg(root: Root) -> Outcome[None]:
    path = root.dev + b"/kmsg"
    try:
        os.close(root.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        return outcome_of(error, path)
    return Read(None)


def _trace(root: Root) -> Outcome[None]:
    where = os.fsdecode(root.tracefs)
    match root.names(root.tracefs):
        case Read(names) if not names:
            return Absent(f"{where}: empty; tracefs is not mounted, or lockdown=confidentiality hides it")
        case Read(names) if b"instances" not in names or not root.exists(root.tracefs + b"/events/module"):
            return Absent(f"{where}: this kernel has no trace events of the module loader")
        case Read():
            return Read(None)
        case Absent() | Failed() as outcome:
            return outcome


def _uevent(root: Root) -> Outcome[None]:
    path = root.sys(b"kernel", b"uevent_seqnum")
    if root.exists(path):
        return Read(None)
    return Absent(f"{os.fsdecode(path)}: not there; this kernel sends no uevents, or sysfs is not mounted")


def _watch(root: Root) -> Outcome[None]:
    if not root.live:
        return Absent("a recorded machine does not change", AbsentReason.NOT_RECORDED)
    path = root.proc(b"sys", b"fs", b"inotify")
    return Read(None) if root.exists(path) else Absent(f"{os.fsdecode(path)}: this kernel has no inotify")


PROBES: Mapping[SourceName, Callable[[Root], Outcome[None]]] = MappingProxyType(
    {
        SourceName.KMSG: _kmsg,
        SourceName.TRACE: _trace,
        SourceName.UEVENT: _uevent,
        SourceName.WATCH: _watch,
    }
)
