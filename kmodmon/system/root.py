"""Where the kernel's interfaces are mounted, and the only code that opens them.

Every path is bytes, because a module name is arbitrary bytes and becomes a directory name. Pseudo-files are read to the
end whatever their st_size says (0 in procfs, a page in sysfs); one read() of a seq_file may give a part of it.

A recorded tree (`kmodmon record`, `--root DIR`) holds the same interfaces as plain files. What could not be read on the
recorded machine is in its `manifest.json` ({"failures": {"sys/module/x/parameters/y": "EPERM"}}), and fails here with
the same errno.

A process that has no file descriptor left learns nothing of an interface. So EMFILE and ENFILE are no outcome: they are
raised as the OSError that they are, and the whole reading fails.
"""

import ctypes
import errno
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from kmodmon.system.descriptors import raise_if_none_left
from kmodmon.system.progress import note_progress
from kmodmon.types.error import KmodmonError
from kmodmon.types.outcome import Absent, Failed, Outcome, Read
from kmodmon.types.text import safe_text

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.EOPNOTSUPP})
_CHUNK = 1 << 16

# How large a file may be, in bytes.
NUMBER = 64  # one number and a newline
PAGE = 4096  # an attribute of sysfs, a sysctl
SMALL = 1 << 16  # some lines
TABLE = 1 << 26  # a table of the kernel
MANIFEST = "manifest.json"


_libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL keeps the GIL during calls, which CDLL and `os` release


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Mount points of one host's kernel interfaces, absolute, as bytes."""

    procfs: bytes = b"/proc"
    sysfs: bytes = b"/sys"
    rootfs: bytes = b"/"
    tracefs: bytes = b"/sys/kernel/tracing"
    securityfs: bytes = b"/sys/kernel/security"
    debugfs: bytes = b"/sys/kernel/debug"
    dev: bytes = b"/dev"
    modules: bytes = b"/lib/modules"
    efivars: bytes = b"/sys/firmware/efi/efivars"
    pstore: bytes = b"/sys/fs/pstore"
    kallsyms: bytes = b"/proc/kallsyms"
    failures: Mapping[bytes, int] = field(default_factory=lambda: MappingProxyType({}))
    live: bool = True  # False: a recorded tree, which does not change and is not written to
    handed: Mapping[bytes, int] = field(default_factory=lambda: MappingProxyType({}))  # open files by path: `passed`

    def failing(self, failures: Mapping[bytes, int]) -> "Root":
        """Give this root as a recorded tree, in which reading these paths fails with these errno numbers."""
        return replace(self, failures=failures, live=False)

    def proc(self, *parts: bytes) -> bytes:
        """A path below procfs."""
        return b"/".join((self.procfs, *parts))

    def sys(self, *parts: bytes) -> bytes:
        """A path below sysfs."""
        return b"/".join((self.sysfs, *parts))

    def host(self, *parts: bytes) -> bytes:
        """A path below the host's root file system."""
        return b"/".join((self.rootfs.rstrip(b"/"), *parts))

    def read(self, path: bytes, limit: int = SMALL) -> Outcome[bytes]:
        """Read a pseudo-file to its end; more than `limit` bytes is a failure, and no more than that is read."""
        try:
            return self._read_fd(self._opened(path), path, limit)
        except OSError as error:
            return outcome_of(error, path)

    def chunks(self, path: bytes) -> Iterator[bytes]:
        """Read a pseudo-file that may be long, piece by piece; raises OSError."""
        fd = self._opened(path)
        try:
            while chunk := os.read(fd, _CHUNK):
                note_progress(path)
                yield chunk
        finally:
            os.close(fd)

    def head(self, path: bytes, limit: int) -> Outcome[bytes]:
        """Give what a single read() of a pseudo-file gives, at most `limit` bytes."""
        try:
            fd = self._opened(path)
            try:
                return Read(os.read(fd, limit))
            finally:
                os.close(fd)
        except OSError as error:
            return outcome_of(error, path)

    def read_without_gil_release(self, path: bytes, limit: int) -> Outcome[bytes]:
        """Like :meth:`head`, but without releasing the GIL, for a file that may disappear while other threads run.

        Only for files that can be read without waiting: a FIFO in the place of one is not waited for.
        """
        try:
            self._raise_recorded_failure(path)
            return Read(_read_without_gil_release(path, limit))
        except OSError as error:
            return outcome_of(error, path)

    def text(self, path: bytes, limit: int = PAGE) -> str | None:
        """The stripped text of a small file; None when it is absent, unreadable, or larger than `limit` bytes."""
        match self.read(path, limit):
            case Read(value):
                return value.decode("utf-8", "replace").strip()
            case _:
                return None

    def names(self, path: bytes) -> Outcome[tuple[bytes, ...]]:
        """Names in a directory, sorted."""
        try:
            self._begin(path)
            return Read(tuple(sorted(os.listdir(path))))
        except OSError as error:
            return outcome_of(error, path)

    def directories(self, path: bytes) -> Outcome[tuple[bytes, ...]]:
        """Names of the sub-directories of a directory, sorted; symbolic links to directories are left out."""
        try:
            self._begin(path)
            with os.scandir(path) as entries:
                return Read(tuple(sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))))
        except OSError as error:
            return outcome_of(error, path)

    def inodes(self, path: bytes) -> Outcome[Mapping[bytes, int]]:
        """Names in a directory with their inode numbers, both from getdents64(2)."""
        try:
            self._begin(path)
            with os.scandir(path) as entries:
                return Read({entry.name: entry.inode() for entry in entries})
        except OSError as error:
            return outcome_of(error, path)

    def mode(self, path: bytes) -> int | None:
        """Permission bits of a file; None when lstat(2) fails."""
        note_progress(path)
        try:
            return stat.S_IMODE(os.lstat(path).st_mode)
        except OSError:
            return None

    def mtime_usec(self, path: bytes) -> int | None:
        """When a file was last written, by CLOCK_REALTIME; None when lstat(2) fails."""
        note_progress(path)
        try:
            return os.lstat(path).st_mtime_ns // 1000
        except OSError:
            return None

    def exists(self, path: bytes) -> bool:
        """Whether there is a file or symbolic link of this name."""
        note_progress(path)
        return os.path.lexists(path)

    def open(self, path: bytes, flags: int) -> int:
        """Open an interface that the caller keeps open (kmsg, trace_pipe_raw); raises OSError.

        One that was handed over is given at its beginning, whatever `flags` says.
        """
        self._begin(path)
        if path not in self.handed:
            return os.open(path, flags | os.O_CLOEXEC)
        fd = os.dup(self.handed[path])
        try:
            os.lseek(fd, 0, os.SEEK_SET)
        except OSError:
            os.close(fd)
            raise
        return fd

    def write(self, path: bytes, text: bytes) -> None:
        """Write a control file of kmodmon's tracefs instance, the only thing it writes to; raises OSError."""
        self._begin_writing(path)
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(fd, text)
        finally:
            os.close(fd)

    def make_directory(self, path: bytes) -> bool:
        """Make a directory, which in tracefs makes an instance; False when it existed. Raises OSError."""
        self._begin_writing(path)
        try:
            os.mkdir(path, 0o750)
        except FileExistsError:
            return False
        return True

    def remove_directory(self, path: bytes) -> None:
        """Remove a directory, which in tracefs removes an instance; raises OSError."""
        self._begin_writing(path)
        os.rmdir(path)

    def _opened(self, path: bytes) -> int:
        self._begin(path)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)

    def _begin(self, path: bytes) -> None:
        note_progress(path)
        self._raise_recorded_failure(path)

    def _begin_writing(self, path: bytes) -> None:
        note_progress(path)
        if not self.live:
            raise OSError(errno.EROFS, "a recorded machine is not written to", os.fsdecode(path))

    def _raise_recorded_failure(self, path: bytes) -> None:
        if self.failures and (number := self.failures.get(path)):
            raise OSError(number, os.strerror(number), os.fsdecode(path))

    @staticmethod
    def _read_fd(fd: int, path: bytes, limit: int) -> Outcome[bytes]:
        try:
            parts = []
            size = 0
            while chunk := os.read(fd, min(_CHUNK, limit + 1 - size)):
                parts.append(chunk)
                size += len(chunk)
                if size > limit:
                    return Failed(f"{safe_text(path)}: more than {limit} bytes")
                note_progress(path)
            return Read(parts[0] if len(parts) == 1 else b"".join(parts))
        finally:
            os.close(fd)


def outcome_of(error: OSError, path: bytes) -> Absent | Failed:
    """Give Absent for an errno that means there is no such interface, else Failed with the errno.

    The sentence names the path as safe text, because it may hold a module's name, which is arbitrary bytes. Raises the
    error again when it says that no file descriptor is left.
    """
    raise_if_none_left(error)
    why = f"{safe_text(path)}: {error.strerror or error.errno}"
    return Absent(why) if error.errno in _NOT_THERE else Failed(why, error.errno)


def recorded_failures(tree: Path) -> Mapping[bytes, int]:
    """The errno by absolute path of what could not be read on a recorded machine; raises KmodmonError if broken."""
    try:
        manifest: object = json.loads((tree / MANIFEST).read_text())
    except FileNotFoundError:
        return MappingProxyType({})
    except (OSError, ValueError) as error:
        raise KmodmonError(f"{tree / MANIFEST}: not a manifest of a recorded tree: {error}") from error
    base = os.fsencode(tree.absolute())
    listed = manifest.get("failures") if isinstance(manifest, dict) else None
    if not isinstance(listed, dict):
        return MappingProxyType({})
    by_name = {name: number for number, name in errno.errorcode.items()}
    return MappingProxyType(
        {base + b"/" + os.fsencode(str(path)): by_name.get(str(code), errno.EIO) for path, code in listed.items()}
    )


def _read_without_gil_release(path: bytes, limit: int) -> bytes:
    # After each call of `os` a thread waits for the GIL again, possibly until the thread that holds it gets a CPU.
    if b"\0" in path:
        raise ValueError("embedded null byte")
    fd: int = _libc.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    if fd < 0:
        raise _last_error(path)
    try:
        buffer = ctypes.create_string_buffer(limit)
        got: int = _libc.read(fd, buffer, ctypes.c_size_t(limit))
        if got < 0:
            raise _last_error(path)
        return buffer.raw[:got]
    finally:
        _libc.close(fd)


def _last_error(path: bytes) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)
