"""LZ4 legacy frames, the LZ4 form of compressed kernels (lib/decompress_unlz4.c; CONFIG_KERNEL_LZ4).

A frame is a magic number, then blocks: a 32-bit little-endian size and that many bytes, each block by itself and at
most 8 MiB uncompressed. Python has no LZ4 decoder; a kernel image is read once, so this plain one is fast enough (some
12 MB/s).
"""

from collections.abc import Iterator

from kmodmon.types.error import ParseError

MAGIC = b"\x02\x21\x4c\x18"
BLOCK_BYTES = 8 << 20  # uncompressed, at most
_MIN_MATCH = 4


def blocks(raw: bytes) -> Iterator[bytes]:
    """Decompress the blocks of a legacy frame; bytes behind the last whole block are ignored.

    Raises ParseError when the data is no such frame or a block is broken.
    """
    if not raw.startswith(MAGIC):
        raise ParseError("LZ4", raw[:4], "no legacy frame")
    at = len(MAGIC)
    while at + 4 <= len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        # The kernel's build appends the uncompressed size, which looks like the size of one more block.
        if not 0 < size <= len(raw) - at - 4:
            return
        yield decompress_block(raw[at + 4 : at + 4 + size])
        at += 4 + size


def decompress_block(raw: bytes, limit: int = BLOCK_BYTES) -> bytes:
    """Decompress one block, literals and copies of earlier output; raises ParseError, also beyond `limit` bytes."""
    out = bytearray()
    at = 0
    try:
        while at < len(raw):
            token = raw[at]
            at += 1
            literals, at = _length(raw, at, token >> 4)
            out += raw[at : at + literals]
            at += literals
            if at >= len(raw):
                break
            offset = raw[at] | raw[at + 1] << 8
            match, at = _length(raw, at + 2, token & 15)
            _copy(out, offset, match + _MIN_MATCH, limit)
    except IndexError:
        raise ParseError("LZ4", raw[:16], "block cut off") from None
    if at > len(raw) or len(out) > limit:
        raise ParseError("LZ4", raw[:16], "block of impossible size")
    return bytes(out)


def _length(raw: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:
        while True:
            more = raw[at]
            at += 1
            length += more
            if more != 255:
                break
    return length, at


def _copy(out: bytearray, offset: int, length: int, limit: int) -> None:
    start = len(out) - offset
    if offset == 0 or start < 0 or length > limit - len(out):
        raise ParseError("LZ4", bytes(out[-16:]), "copy from nowhere")
    if offset >= length:
        out += out[start : start + length]
    else:
        out += (out[start:] * (length // offset + 1))[:length]
