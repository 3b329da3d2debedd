"""One file, uncompressed, with random access and as a stream, in bounded memory.

Small files are held whole. Of a large compressed file the first and the last part are kept; any other range is read by
decompressing again from the start. Nothing is written to disk.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kmodmon.examiner.decompress import CHUNK, MODULE_FORMS, MODULE_WINDOW_LOG, decompress
from kmodmon.examiner.tree import FileError, HostTree, stamp_of
from kmodmon.modfile.boot_image import compression_of

WHOLE_BYTES = 8 << 20  # up to here a file is held whole
_HEAD_BYTES = 1 << 20  # kept from the start of a larger file
_TAIL_BYTES = 6 << 20  # section headers, symbols and the signature of a module are at its end
_FETCHED_BYTES = 24 << 20  # held at most because of one prefetch()
_MAX_PASSES = 8  # of decompression from the start
# A file that expands by more than this ratio is a decompression bomb and no module, unless it stays small
_BOMB_RATIO = 100
_BOMB_FREE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """Limits within which a file is read."""

    max_bytes: int = 512 << 20  # uncompressed
    window_log: int = MODULE_WINDOW_LOG  # the decoder's window is at most 2 to the power of this, in bytes
    alone: bool = True  # nothing may follow the compressed stream
    forms: frozenset[str] = MODULE_FORMS  # compressions that are accepted


class Image:
    """An open file; use as a context manager. `compression` is None for an uncompressed file."""

    def __init__(
        self,
        fd: int,
        path: str,
        limits: ImageLimits,
        *,
        part: tuple[int, int | None] = (0, None),
        tap: Callable[[bytes], None] | None = None,
    ) -> None:
        """Take ownership of `fd`; `part` is (offset, length) of the range to use, length None: up to the end.

        A compressed file is decompressed once to learn its size; `tap` is called with each chunk of that pass. Raises
        FileError, and then closes `fd`.
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
        """Return the image, which is open since its construction."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        os.close(self._fd)

    def read(self, offset: int, length: int) -> bytes:
        """Read at most `length` bytes at `offset`; fewer at the end. Raises FileError."""
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
        """Load all these ranges (offset, length) in one pass; read() would take one pass each. Raises FileError."""
        if self.compression is None:
            return
        wanted = [(at, min(length, self.size - at)) for at, length in ranges if 0 <= at < self.size and length > 0]
        missing = sorted(piece for piece in wanted if not self._has(*piece))
        if not missing:
            return
        if sum(length for _, length in missing) > _FETCHED_BYTES:
            raise FileError(f"{self._path}: too much of it would have to be held in memory")
        self._windows += _cut(self.chunks(), missing)

    def chunks(self) -> Iterator[bytes]:
        """Yield the whole file from the start, in chunks. Raises FileError."""
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
        """Return the uncompressed size, and keep the head and the tail of a compressed file."""
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


def _cut(chunks: Iterator[bytes], ranges: list[tuple[int, int]]) -> list[tuple[int, bytes]]:
    """Cut ranges out of a stream; `ranges` (offset, length) are sorted and may overlap."""
    pieces = [(offset, bytearray()) for offset, _ in ranges]
    last = max(offset + length for offset, length in ranges)
    at = 0
    for chunk in chunks:
        for (offset, length), (_, piece) in zip(ranges, pieces, strict=True):
            start, end = max(offset, at), min(offset + length, at + len(chunk))
            if start < end:
                piece += chunk[start - at : end - at]
        at += len(chunk)
        if at >= last:
            break
    return [(offset, bytes(piece)) for offset, piece in pieces]


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
