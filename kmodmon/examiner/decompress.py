"""Compressed module files and kernels as streams, in chunks, with bounded memory.

Modules come in gzip, xz and zstd; kernel images in bzip2, lzma and lz4 as well (lzo is not read).

The compression is recognised by the first bytes, as kmod does, not by the name. A file declares how large a window its
decoder needs; that is limited, and so is the memory. Data after the first stream is refused: the kernel, which unpacks
modules itself since 5.17 (CONFIG_MODULE_DECOMPRESS), ignores it and kmod does not, so the two would differ.
"""

import bz2
import lzma
import sys
import zlib
from collections.abc import Iterator
from typing import Protocol

from kmodmon.examiner.tree import FileError
from kmodmon.modfile import lz4
from kmodmon.types.error import ParseError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK = 1 << 20  # bytes yielded at once, at most
MODULE_FORMS = frozenset({"gzip", "xz", "zstd"})
KERNEL_FORMS = MODULE_FORMS | {"bzip2", "lzma", "lz4"}
MODULE_WINDOW_LOG = 25  # 32 MiB; zstd -19 uses 8 MiB, xz -9 64 MiB but for modules 1 MiB
KERNEL_WINDOW_LOG = 27  # the kernel's build uses zstd -22 --ultra and xz with 32 to 128 MiB


class _Decoder(Protocol):
    """The decompressor objects of lzma and zstd; zlib's is adapted to them."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether decompress() returns nothing more without more data."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Input after the end of the stream."""
        ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Return at most `max_length` bytes."""
        ...


class _Gzip:
    """zlib's decompressor with the interface of the other two."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._rest = b""
        self._needs_input = True

    @property
    def needs_input(self) -> bool:
        return self._needs_input

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._inner.decompress(self._rest + data, max_length)
        self._rest = self._inner.unconsumed_tail
        self._needs_input = not self._rest and len(out) < max_length
        return out


def _decoder(form: str, window_log: int) -> _Decoder:
    match form:
        case "gzip":
            return _Gzip()
        case "xz":
            # liblzma's own structures take less than 1 MiB beside the window
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=(1 << window_log) + (1 << 21))
        case "lzma":
            return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=(1 << window_log) + (1 << 21))
        case "bzip2":
            return bz2.BZ2Decompressor()
        case "zstd":
            return zstd.ZstdDecompressor(options={int(zstd.DecompressionParameter.window_log_max): window_log})
        case _:
            raise FileError(f"{form} compression is not supported")


def decompress(
    form: str, compressed: Iterator[bytes], window_log: int = MODULE_WINDOW_LOG, *, alone: bool = True
) -> Iterator[bytes]:
    """Yield the contents of one compressed stream in chunks; `alone`: nothing may follow it.

    Raises FileError when it is broken, cut off, or needs a larger window.
    """
    if form == "lz4":
        yield from _lz4(compressed)
        return
    decoder = _decoder(form, window_log)
    try:
        for data in compressed:
            yield from _drain(decoder, data)
            if decoder.eof:
                if alone and (decoder.unused_data or any(compressed)):
                    raise FileError("more data after the compressed stream")
                return
    except (zlib.error, lzma.LZMAError, zstd.ZstdError, EOFError, OSError) as error:
        raise FileError(f"broken {form} data ({error})") from error
    raise FileError(f"{form} data is cut off")


def _lz4(compressed: Iterator[bytes]) -> Iterator[bytes]:
    """Yield blocks of at most 8 MiB; the compressed kernel (15 MB) is held whole."""
    try:
        for block in lz4.blocks(b"".join(compressed)):
            yield from (block[at : at + CHUNK] for at in range(0, len(block), CHUNK))
    except ParseError as error:
        raise FileError(f"broken lz4 data ({error})") from error


def _drain(decoder: _Decoder, data: bytes) -> Iterator[bytes]:
    while True:
        out = decoder.decompress(data, CHUNK)
        if out:
            yield out
        data = b""
        if decoder.eof or decoder.needs_input:
            return
