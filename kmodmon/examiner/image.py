"""One file, uncompressed, to read from at any place and to stream through, without ever holding much of it.

Small files are held whole. Of a large compressed one the first and the last part are kept, and whatever else is asked
for is fetched by decompressing again from the start: memory stays bounded, nothing is written to disk.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kmodmon.examiner.decompress import CHUNK, MODULE_FORMS, MODULE_WINDOW_LOG, decompress
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.modfile.boot_image import compression_of
from kmodmon.subjects.module_file import Stamp

WHOLE_BYTES = 8 << 20  # up to here a file is held whole
_HEAD_BYTES = 1 << 20
_TAIL_BYTES = 6 << 20  # section headers, symbols and the signature of a module are at its end
_FETCHED_BYTES = 24 << 20
_MAX_PASSES = 8
# What compresses better than this is no module; small files may, they cannot hurt
_BOMB_RATIO = 100
_BOMB_FREE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What may be read: bytes uncompressed, the decoder's window, whether nothing may follow, which compressions."""

    max_bytes: int = 512 << 20
    window_log: int = MODULE_WINDOW_LOG
    alone: bool = True
    forms: frozenset[str] = MODULE_FORMS


class Image:
    """An open file; use as a context manager. `compression` is None for a plain one."""

    def __init__(
        self,
        fd: int,
        path: str,
        limits: ImageLimits,
        *,
        part: tuple[int, int | None] = (0, None),
        tap: Callable[[bytes], None] | None = None,
    ) -> None:
        """Take over `fd`, or a part of it from an offset on of so many bytes (None: the rest).

        A compressed file has to be gone through once to learn its size: `tap` sees it then. Raises FileError (and
        closes `fd`).
        """
        self._fd = fd
        self._path = path
        self._limits = limits
        self._offset, length = part
        self._passes = 0
        self._windows: list[tuple[int, bytes]] = []
        try:
            status = os.fstat(fd)
            self.stamp = stamp_of(status)
            self._stored = max(0, status.st_size - self._offset) if length is None else length
            form = compression_of(self._pread(0, 16))
            self.compression = None if form in {None, "none"} else form
            if self.compression is not None and self.compression not in limits.forms:
                raise FileError(f"{form} compression is not supported")
            self.size = self._measure(tap)
        except (OSError, FileError) as error:
            os.close(fd)
            raise FileError(f"{path}: {_reason(error)}") from error

    def __enter__(self) -> Self:
        """Nothing is opened here: that was done already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        os.close(self._fd)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes at `offset`; fewer at the end. Raises FileError."""
        if length <= 0 or offset >= self.size:
            return b""
        length = min(length, self.size - offset)
        if self.compression is None and not self._windows:
            return self._pread(offset, length)
        for start, window in self._windows:
            if start <= offset and offset + length <= start + len(window):
                return window[offset - start : offset - start + length]
        self.prefetch([(offset, length)])
        start, window = self._windows[-1]
        return window[offset - start : offset - start + length]

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetch all these (offset, length) in one pass, where reading each would take one. Raises FileError."""
        if self.compression is None:
            return
        wanted = [(at, min(length, self.size - at)) for at, length in ranges if 0 <= at < self.size and length > 0]
        missing = sorted(one for one in wanted if not self._has(*one))
        if not missing:
            return
        if sum(length for _, length in missing) > _FETCHED_BYTES:
            raise FileError(f"{self._path}: too much of it would have to be held in memory")
        self._windows += _cut(self.chunks(), missing)

    def chunks(self) -> Iterator[bytes]:
        """The whole file from the start, in pieces of at most CHUNK bytes. Raises FileError."""
        if self._windows and self._windows[0][0] == 0 and len(self._windows[0][1]) == self.size:
            yield self._windows[0][1]
            return
        self._passes += 1
        if self._passes > _MAX_PASSES:
            raise FileError(f"{self._path}: would have to be decompressed more than {_MAX_PASSES} times")
        total = 0
        for chunk in self._contents():
            total += len(chunk)
            if total > self._ceiling():
                raise FileError(f"{self._path}: larger than {self._ceiling()} bytes when decompressed")
            yield chunk

    def _contents(self) -> Iterator[bytes]:
        stored = self._stored_chunks()
        if self.compression is None:
            return stored
        return decompress(self.compression, stored, self._limits.window_log, alone=self._limits.alone)

    def _stored_chunks(self) -> Iterator[bytes]:
        at = 0
        while at < self._stored and (chunk := self._pread(at, min(CHUNK, self._stored - at))):
            yield chunk
            at += len(chunk)

    def _ceiling(self) -> int:
        if self.compression is None:
            return self._limits.max_bytes
        return min(self._limits.max_bytes, max(_BOMB_FREE_BYTES, self._stored * _BOMB_RATIO))

    def _measure(self, tap: Callable[[bytes], None] | None) -> int:
        """The uncompressed size; keeps what will be needed of a compressed file on the way."""
        if self.compression is None:
            if self._stored > self._limits.max_bytes:
                raise FileError(f"{self._stored} bytes, more than {self._limits.max_bytes}")
            if self._stored <= _HEAD_BYTES:
                self._windows = [(0, self._pread(0, self._stored))]
                return len(self._windows[0][1])
            return self._stored
        self.size = 0
        head = bytearray()
        tail = bytearray()
        for chunk in self.chunks():
            self.size += len(chunk)
            if tap is not None:
                tap(chunk)
            if len(head) < WHOLE_BYTES:
                head += chunk[: WHOLE_BYTES - len(head)]
            tail += chunk
            if len(tail) > 2 * _TAIL_BYTES:
                del tail[:-_TAIL_BYTES]
        if self.size <= len(head):
            self._windows = [(0, bytes(head))]
        else:
            kept = bytes(tail[-_TAIL_BYTES:])
            self._windows = [(0, bytes(head[:_HEAD_BYTES])), (self.size - len(kept), kept)]
        return self.size

    def _has(self, offset: int, length: int) -> bool:
        return any(start <= offset and offset + length <= start + len(window) for start, window in self._windows)

    def _pread(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._fd, length, self._offset + offset)
        except (OSError, OverflowError) as error:
            raise FileError(f"{self._path}: {_reason(error)}") from error


def open_image(tree: HostTree, path: str, limits: ImageLimits) -> Image:
    """Open a module file of the host; raises FileError when it is no regular file, broken, or larger than allowed."""
    return Image(tree.open(path), path, limits)


def stamp_of(status: os.stat_result) -> Stamp:
    """What tells this file from its replacement."""
    return Stamp(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_nsec=status.st_mtime_ns,
        ctime_nsec=status.st_ctime_ns,
    )


def _cut(chunks: Iterator[bytes], ranges: list[tuple[int, int]]) -> list[tuple[int, bytes]]:
    """Pieces of a stream; `ranges` (offset, length) are sorted and may overlap."""
    found = [(offset, bytearray()) for offset, _ in ranges]
    last = max(offset + length for offset, length in ranges)
    at = 0
    for chunk in chunks:
        for (offset, length), (_, piece) in zip(ranges, found, strict=True):
            start, end = max(offset, at), min(offset + length, at + len(chunk))
            if start < end:
                piece += chunk[start - at : end - at]
        at += len(chunk)
        if at >= last:
            break
    return [(offset, bytes(piece)) for offset, piece in found]


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
