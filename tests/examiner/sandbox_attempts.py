"""What an attacker who runs code in the confined examiner would try: `python -m` this MECHANISM DIRECTORY.

Prints what entering gave, and the errno of each attempt (0: it worked).
"""

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable

from kmodmon.examiner import sandbox

MECHANISM, DIRECTORY = sys.argv[1:]
NAME = os.path.join(DIRECTORY, "file")
LIBC = ctypes.CDLL(None, use_errno=True)
HELD = os.open(NAME, os.O_RDONLY)


def enter() -> object:
    """Enter the sandbox, or only one half of it."""
    if MECHANISM == "both":
        return sandbox.confine().is_confined
    LIBC.prctl(38, 1, 0, 0, 0)
    return sandbox._filter_calls(LIBC) if MECHANISM == "seccomp" else sandbox._restrict_files(LIBC)


def call(number: int, *arguments: int) -> None:
    """Call the kernel by number."""
    if LIBC.syscall(number, *(ctypes.c_ulong(value) for value in arguments)) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def fork() -> None:
    """Start a child."""
    if os.fork() == 0:
        os._exit(0)


ATTEMPTS: dict[str, Callable[[], object]] = {
    "read": lambda: os.open(NAME, os.O_RDONLY),
    "list": lambda: os.listdir(DIRECTORY),
    "append": lambda: os.open(NAME, os.O_WRONLY | os.O_APPEND),
    "update": lambda: os.open(NAME, os.O_RDWR),
    "create": lambda: os.open(NAME + "2", os.O_WRONLY | os.O_CREAT),
    "truncate": lambda: os.open(NAME, os.O_RDONLY | os.O_TRUNC),
    "nameless": lambda: os.open(DIRECTORY, os.O_TMPFILE | os.O_RDWR),
    "through_descriptor": lambda: os.open(f"/proc/self/fd/{HELD}", os.O_RDWR),
    "rename": lambda: os.rename(NAME, NAME + "3"),
    "directory": lambda: os.mkdir(NAME + "4"),
    "link": lambda: os.symlink(NAME, NAME + "5"),
    "attributes": lambda: os.chmod(NAME, 0o777),
    "fork": fork,
    "inet": lambda: socket.socket(socket.AF_INET),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "signal": lambda: os.kill(os.getppid(), 0),
    "memory_file": lambda: os.memfd_create("x"),
    "old_open": lambda: call(2, 0, 0, 0),
    "other_abi": lambda: call(0x40000000 + 41, 2, 1, 0),
    "remove": lambda: os.unlink(NAME),
    "run": lambda: os.execv("/bin/true", ["true"]),
}


def outcome(attempt: Callable[[], object]) -> int:
    """Give the errno, 0 when it worked."""
    try:
        attempt()
    except OSError as error:
        return error.errno or -1
    return 0


if __name__ == "__main__":
    entered = enter()
    print(json.dumps([entered, {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}]))
