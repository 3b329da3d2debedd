"""Descriptors that systemd passed to this process (sd_listen_fds(3)): of its .socket unit, and of its store.

A store holds descriptors for a service (FileDescriptorStoreMax=). Here root puts those into it that the daemon may not
open itself: ExecStartPre=+ of the unit runs `kmodmon handover`, which opens what HANDED lists. A file that was opened
before is read with the privileges of who opened it.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from kmodmon.system.root import Root

FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""How they are opened. Status flags belong to the open file, so they hold for the daemon too."""
HANDED: Mapping[str, Callable[[Root], bytes]] = MappingProxyType(
    {
        "kmsg": lambda root: root.dev + b"/kmsg",  # needs CAP_SYSLOG while dmesg_restrict=1
    }
)
"""Path by name in the store. The name of a socket is another one: its unit's, or its FileDescriptorName=."""

_FIRST = 3


def passed(environ: Mapping[str, str]) -> Mapping[int, str] | None:
    """Give the passed descriptors with their names ("": it has none); None: none were passed to this process.

    LISTEN_PID names the process that they were passed to; a child of it inherits the variables only.
    """
    pid, count = environ.get("LISTEN_PID", ""), environ.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return None
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    return {_FIRST + index: name for index, name in enumerate([*names, *[""] * int(count)][: int(count)])}


def with_handed(root: Root, environ: Mapping[str, str]) -> Root:
    """Give `root` with the files that were handed over, which it then need not open."""
    by_name = {name: fd for fd, name in (passed(environ) or {}).items() if name in HANDED}
    for fd in by_name.values():
        os.set_inheritable(fd, False)
    return replace(root, handed={HANDED[name](root): fd for name, fd in by_name.items()})
