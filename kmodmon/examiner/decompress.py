"""Compressed module files and kernels as streams, in chunks, with bounded memory.

Modules come in gzip, xz and zstd; kernel images in bzip2, lzma and lz4 as well (lzo is not read).

The compression is told by the first bytes, as kmod does, not by the name. Decoders may need a window as large as the
file asks for: it is limited, so that no file makes us allocate more. What follows the first stream is refused: the
kernel ignores it and kmod does not, so it cannot be told what would be loaded.
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

CHUNK = 1 << 20  # bytes given out at once, at most
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
        """Whether nothing more comes without more data."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the end."""
        ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """At most `max_length` bytes."""
        ...


class _Gzip:
    """zlib's decompressor with the manners of the other two."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._rest = b""
        self._hungry = True

    @property
    def needs_input(self) -> bool:
        return self._hungry

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._inner.decompress(self._rest + data, max_length)
        self._rest = self._inner.unconsumed_tail
        self._hungry = not self._rest and len(out) < max_length
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
    """The contents of one compressed stream in chunks; `alone`: nothing may follow it.

    Raises FileError when it is broken, cut off or too demanding.
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
    """Blocks of at most 8 MiB; the compressed kernel (15 MB) is held whole."""
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
