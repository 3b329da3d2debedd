"""The sandbox of the examiner process: it reads files and writes its answers, and can do nothing else.

Module files are foreign ELF, DER, zstd, xz and lz4, and the libraries that read them are written in C. So before the
first file is opened the process gives up, for good and for whatever may come to run in it:

- with seccomp (Documentation/userspace-api/seccomp_filter.rst; x86_64 and arm64): every system call that reading files
  does not take. There is no socket, no program to start, no other process to touch, and no file to open for writing.
- with Landlock (Documentation/userspace-api/landlock.rst; Linux 5.13 and later, if the `lsm=` list has it): changing
  or running any file; since 6.7 connecting and listening, since 6.12 signals and abstract sockets. It holds where the
  architecture has no table below.

Both need `no_new_privs`, and are kept by the kernel, not by this code. Neither is there on a kernel without
CONFIG_SECCOMP_FILTER: then `Confinement` says so.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

# Numbers of x86_64 (arch/x86/entry/syscalls/syscall_64.tbl) and of arm64 (include/uapi/asm-generic/unistd.h).
_CALLS: Mapping[str, tuple[int | None, int | None]] = MappingProxyType(
    {
        # reading
        "read": (0, 63),
        "pread64": (17, 67),
        "readv": (19, 65),
        "lseek": (8, 62),
        "stat": (4, None),
        "fstat": (5, 80),
        "lstat": (6, None),
        "newfstatat": (262, 79),
        "statx": (332, 291),
        "statfs": (137, 43),
        "fstatfs": (138, 44),
        "getdents64": (217, 61),
        "readlink": (89, None),
        "readlinkat": (267, 78),
        "access": (21, None),
        "faccessat": (269, 48),
        "faccessat2": (439, 439),
        "getcwd": (79, 17),
        "fadvise64": (221, 223),
        # answers, and what a process does with descriptors it has
        "write": (1, 64),
        "writev": (20, 66),
        "close": (3, 57),
        "dup": (32, 23),
        "fcntl": (72, 25),
        "poll": (7, None),
        "ppoll": (271, 73),
        # memory
        "brk": (12, 214),
        "mmap": (9, 222),
        "munmap": (11, 215),
        "mprotect": (10, 226),
        "mremap": (25, 216),
        "madvise": (28, 233),
        # locks, signals to itself, time, random numbers, facts about itself
        "futex": (202, 98),
        "set_robust_list": (273, 99),
        "rseq": (334, 293),
        "membarrier": (324, 283),
        "rt_sigaction": (13, 134),
        "rt_sigprocmask": (14, 135),
        "rt_sigreturn": (15, 139),
        "sigaltstack": (131, 132),
        "restart_syscall": (219, 128),
        "clock_gettime": (228, 113),
        "clock_getres": (229, 114),
        "clock_nanosleep": (230, 115),
        "gettimeofday": (96, 169),
        "getrandom": (318, 278),
        "getpid": (39, 172),
        "gettid": (186, 178),
        "getuid": (102, 174),
        "geteuid": (107, 175),
        "getgid": (104, 176),
        "getegid": (108, 177),
        "getrusage": (98, 165),
        "times": (100, 153),
        "uname": (63, 160),
        "sysinfo": (99, 179),
        "sched_yield": (24, 124),
        "sched_getaffinity": (204, 123),
        "exit": (60, 93),
        "exit_group": (231, 94),
    }
)
_OPENAT = (257, 56)
_ARCHITECTURES = MappingProxyType({"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)})  # column, AUDIT_ARCH_*
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (os.O_TMPFILE & ~os.O_DIRECTORY)

# include/uapi/linux/bpf_common.h, filter.h, seccomp.h
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_REFUSE = 0x00050000 | errno.EPERM
_X32 = 0x40000000  # bit in the numbers of x86_64's other ABI

_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446  # the same on every architecture
_LANDLOCK_VERSION = 1
# The rights by the version of the interface that brought them: all that change or run a file, none that read one.
_FILE_RIGHTS = ((1, 0x1FF3), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_NET_RIGHTS = ((4, 0b11),)  # bind and connect of TCP
_SCOPES = ((6, 0b11),)  # abstract sockets, signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What the kernel enforces from now on."""

    seccomp: bool
    landlock: int  # version of the interface; 0: the kernel has no Landlock, or it is switched off

    @property
    def is_confined(self) -> bool:
        """Whether at least one of both keeps the process from changing files."""
        return self.seccomp or self.landlock > 0


def confine() -> Confinement:
    """Enter the sandbox, which cannot be left; what this kernel does not have is left out."""
    libc = ctypes.CDLL(None, use_errno=True)
    if _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1) != 0:
        return Confinement(seccomp=False, landlock=0)
    return Confinement(landlock=_restrict_files(libc), seccomp=_filter_calls(libc))  # the filter refuses Landlock


def _restrict_files(libc: ctypes.CDLL) -> int:
    version: int = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version <= 0:
        return 0
    attributes = struct.pack("=QQQ", *(_rights(table, version) for table in (_FILE_RIGHTS, _NET_RIGHTS, _SCOPES)))
    size = 8 if version < 4 else 16 if version < 6 else 24
    fd: int = libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    if fd < 0:
        return 0
    try:
        return version if libc.syscall(_LANDLOCK_RESTRICT_SELF, fd, 0) == 0 else 0
    finally:
        os.close(fd)


def _rights(table: tuple[tuple[int, int], ...], version: int) -> int:
    return sum(rights for since, rights in table if since <= version)


def _filter_calls(libc: ctypes.CDLL) -> bool:
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None or sys.maxsize < 1 << 32:
        return False
    program = b"".join(_program(*architecture))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))  # struct sock_fprog
    address = ctypes.cast(ctypes.c_char_p(header), ctypes.c_void_p).value or 0
    return _prctl(libc, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, address) == 0


def _prctl(libc: ctypes.CDLL, *arguments: int) -> int:
    result: int = libc.prctl(*(ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:5]))
    return result


def _program(column: int, architecture: int) -> Iterator[bytes]:
    """Yield the instructions of the filter: `struct sock_filter` each."""
    numbers = sorted(number for row in _CALLS.values() if (number := row[column]) is not None)
    yield _instruction(_LOAD, _ARCH_AT)
    yield _instruction(_EQUAL, architecture, then=1)
    yield _instruction(_RETURN, _KILL)
    yield _instruction(_LOAD, _NUMBER_AT)
    yield _instruction(_AT_LEAST, _X32, otherwise=1)
    yield _instruction(_RETURN, _REFUSE)
    for left, number in zip(range(len(numbers), 0, -1), numbers, strict=True):
        yield _instruction(_EQUAL, number, then=left + 3)  # to the last instruction
    yield _instruction(_EQUAL, _OPENAT[column], otherwise=2)
    yield _instruction(_LOAD, _ARGUMENTS_AT + 2 * 8)  # the flags; the upper half of the argument is not looked at
    yield _instruction(_ANY_BIT, _WRITING, otherwise=1)
    yield _instruction(_RETURN, _REFUSE)
    yield _instruction(_RETURN, _ALLOW)


def _instruction(code: int, operand: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, operand)
