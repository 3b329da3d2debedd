r"""/proc/PID/status: name, process, parent and uid of a task.

Interface: fs/proc/array.c `proc_pid_status` (proc_pid_status(5)); world readable unless procfs is mounted with hidepid.
Absent: the task exited. The file also exists for a thread's id, though no listing of /proc shows it. ``Name`` is the
task's comm with newline and backslash escaped; ``Uid`` has the real, effective, saved and file system uid.
"""

import re
from dataclasses import dataclass

from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

_INTERFACE = "/proc/<pid>/status"
_NUMBERS = {name: re.compile(rb"^" + name + rb":\t(\d{1,10})\b", re.MULTILINE) for name in (b"Tgid", b"PPid", b"Uid")}
_NAME = re.compile(rb"\AName:\t([^\n]*)\n")
_ESCAPE = re.compile(rb"\\(n|\\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """One task."""

    comm: str  # safe text, at most 15 bytes
    process: int  # Tgid: the id of the process that the task is a thread of
    parent: int  # PPid; 0: it has none, or none in this pid namespace
    uid: int  # real uid, in the reader's user namespace


def parse_task_status(raw: bytes) -> TaskStatus:
    """Read /proc/PID/status; raises ParseError when one of the lines is missing."""
    name = _NAME.match(raw)
    numbers = {key: pattern.search(raw) for key, pattern in _NUMBERS.items()}
    process, parent, uid = (numbers[key] for key in (b"Tgid", b"PPid", b"Uid"))
    if name is None or process is None or parent is None or uid is None:
        raise ParseError(_INTERFACE, raw, "no Name, Tgid, PPid and Uid")
    comm = _ESCAPE.sub(lambda escape: b"\n" if escape[1] == b"n" else b"\\", name[1])
    return TaskStatus(comm=safe_text(comm), process=int(process[1]), parent=int(parent[1]), uid=int(uid[1]))
