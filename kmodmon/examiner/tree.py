"""Files of a host whose root file system is mounted at some directory.

Symbolic links are followed inside `rootfs`, as openat2(2) RESOLVE_IN_ROOT does, so that none leads to a file of the
container. Only regular files are opened: opening a FIFO blocks, and opening a device may have effects.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from kmodmon.subjects.module_file import Stamp
from kmodmon.system.descriptors import raise_if_none_left
from kmodmon.system.progress import note_progress
from kmodmon.types.error import KmodmonError

_MAX_LINKS = 40  # as the kernel's MAXSYMLINKS
_MODULES = "/lib/modules"
_CHUNK = 1 << 20
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW


class FileError(KmodmonError):
    """A file that cannot be examined; the text says which and why."""


@dataclass(frozen=True, slots=True)
class HostTree:
    """A host's root file system, mounted at `rootfs`. Paths of the host are those that its own processes use."""

    rootfs: Path
    modules: Path | None = None  # where the host's /lib/modules is mounted; None: below `rootfs`
    opened: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # descriptors handed over, by path

    def real(self, path: str) -> str:
        """Give the host's path without symbolic links; parts that do not exist stay unchanged. Raises FileError."""
        done, pending = self._start(path, [])
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                done = done[:-1]
                continue
            try:
                target = os.readlink(self.outside("/".join([*done, part])))
            except OSError:
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise FileError(f"{path}: too many symbolic links")
            done, steps = self._start(target, done)
            pending += steps
        return "/" + "/".join(done)

    def _start(self, path: str, done: list[str]) -> tuple[list[str], list[str]]:
        """Give the resolved beginning of a path, and the parts that remain to be resolved, the last one first."""
        if path.startswith("/"):
            done = []
            inside = self._in_modules(path)
            if inside is not None:
                # relative links in the tree count from its real directory: ../../../src is /usr/src on a merged /usr
                merged = os.path.islink(os.path.join(self.rootfs, "lib"))
                path, done = inside, ["usr", "lib", "modules"] if merged else ["lib", "modules"]
        return done, [part for part in path.split("/") if part not in {"", "."}][::-1]

    def _in_modules(self, path: str) -> str | None:
        """Give the part of a path below /lib/modules if that is mounted separately; None for any other path."""
        plain = path.removeprefix("/usr")
        if self.modules is not None and (plain == _MODULES or plain.startswith(_MODULES + "/")):
            return plain[len(_MODULES) + 1 :]
        return None

    def outside(self, path: str) -> str:
        """Give the path by which this process reaches the host's `path`; links are not resolved."""
        path = "/" + path.lstrip("/")
        inside = self._in_modules(path)
        if self.modules is not None and inside is not None:
            return os.path.join(self.modules, inside)
        return os.path.join(self.rootfs, path[1:])

    def resolved(self, path: str) -> str:
        """Give the path by which this process reaches the host's `path`, with links resolved. Raises FileError."""
        return self.outside(self.real(path))

    def open(self, path: str) -> int:
        """Open a regular file for reading; raises FileError."""
        note_progress(path)
        try:
            fd = os.dup(self.opened[path]) if path in self.opened else os.open(self.resolved(path), _READING)
        except (OSError, ValueError) as error:
            raise FileError(f"{path}: {_words(error)}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise FileError(f"{path}: not a regular file")
        return fd

    def read(self, path: str, limit: int) -> bytes:
        """Read a whole file; raises FileError, also when it is larger than `limit` bytes."""
        fd = self.open(path)
        try:
            parts = []
            left = limit + 1
            while left > 0 and (chunk := os.read(fd, min(left, _CHUNK))):
                parts.append(chunk)
                left -= len(chunk)
        except OSError as error:
            raise FileError(f"{path}: {_words(error)}") from error
        finally:
            os.close(fd)
        if left <= 0:
            raise FileError(f"{path}: more than {limit} bytes")
        return b"".join(parts)

    def read_if_there(self, path: str, limit: int) -> bytes | None:
        """Read a whole file; None when it cannot be read or is larger than `limit` bytes.

        Raises OSError when no file descriptor is left, which says nothing of the file.
        """
        try:
            return self.read(path, limit)
        except FileError as error:
            raise_if_none_left(error.__cause__)
            return None

    def names(self, path: str) -> tuple[str, ...]:
        """Give the names in a directory, sorted; () when it does not exist or cannot be read.

        Raises OSError when no file descriptor is left, which says nothing of the directory.
        """
        note_progress(path)
        try:
            return tuple(sorted(os.listdir(self.resolved(path))))
        except (OSError, ValueError, FileError) as error:
            raise_if_none_left(error)
            return ()

    def is_file(self, path: str) -> bool:
        """Whether `path` leads to a regular file."""
        note_progress(path)
        try:
            return stat.S_ISREG(os.lstat(self.resolved(path)).st_mode)
        except (OSError, ValueError, FileError):
            return False

    def holds_data(self, path: str) -> bool:
        """Whether `path` leads to a regular file, or to a FIFO, which others would read; nothing masks with that."""
        note_progress(path)
        try:
            mode = os.lstat(self.resolved(path)).st_mode
        except (OSError, ValueError, FileError):
            return False
        return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)

    def walk(self, path: str, limit: int = 200_000) -> Iterator[str]:
        """Yield the paths of files and links below a directory, sorted in each directory; links are not followed."""
        try:
            real = self.real(path)
        except FileError:
            return
        pending = [""]
        count = 0
        while pending:
            directory = pending.pop()
            deeper = []
            for name in self.names(real + directory):
                count += 1
                if count > limit:
                    return
                inside = f"{directory}/{name}"
                try:
                    mode = os.lstat(self.outside(real + inside)).st_mode
                except (OSError, ValueError):
                    continue
                if stat.S_ISDIR(mode):
                    deeper.append(inside)
                else:
                    yield path.rstrip("/") + inside
            pending += deeper[::-1]


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def stamp_of(status: os.stat_result) -> Stamp:
    """Give the stamp that distinguishes this file from its replacement without reading it."""
    return Stamp(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_nsec=status.st_mtime_ns,
        ctime_nsec=status.st_ctime_ns,
    )
