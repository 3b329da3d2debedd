"""LZ4 blocks and legacy frames, against an encoder written from the format's description."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.modfile.lz4 import MAGIC, blocks, decompress_block
from kmodmon.types.error import ParseError

MIN_MATCH, LAST_LITERALS = 4, 5


def pack(raw: bytes) -> bytes:
    """A block: greedy matches found through a table of four-byte words."""
    out = bytearray()
    seen: dict[bytes, int] = {}
    anchor = at = 0
    while at + MIN_MATCH + LAST_LITERALS <= len(raw):
        word = raw[at : at + MIN_MATCH]
        earlier = seen.get(word)
        seen[word] = at
        if earlier is None or at - earlier > 0xFFFF:
            at += 1
            continue
        length = MIN_MATCH
        while at + length + LAST_LITERALS < len(raw) and raw[earlier + length] == raw[at + length]:
            length += 1
        out += sequence(raw[anchor:at], at - earlier, length)
        at += length
        anchor = at
    return bytes(out + sequence(raw[anchor:], 0, 0))


def sequence(literals: bytes, offset: int, match: int) -> bytes:
    copied = match - MIN_MATCH if match else 0
    token = min(len(literals), 15) << 4 | min(copied, 15)
    out = bytes([token]) + more(len(literals)) + literals
    return out + offset.to_bytes(2, "little") + more(copied) if match else out


def more(length: int) -> bytes:
    if length < 15:
        return b""
    full, rest = divmod(length - 15, 255)
    return b"\xff" * full + bytes([rest])


def frame(*parts: bytes) -> bytes:
    return MAGIC + b"".join(len(part).to_bytes(4, "little") + part for part in map(pack, parts))


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=400), st.text("ab", max_size=2000).map(str.encode), st.just(bytes(70000))))
def test_decompress_block_when_packed_then_the_same(raw: bytes) -> None:
    assert decompress_block(pack(raw)) == raw


def test_decompress_block_when_written_by_hand_then_as_the_format_says() -> None:
    # three literals, a copy of six from three back, five literals: overlapping copies repeat
    assert decompress_block(b"\x32abc\x03\x00" + b"\x50vwxyz") == b"abcabcabc" + b"vwxyz"
    assert decompress_block(b"") == b""


@pytest.mark.parametrize(
    "raw",
    [
        b"\x10",  # a literal that is not there
        b"\x10a\x00\x00",  # a copy from nowhere
        b"\x10a\x02\x00",  # a copy from before the start
        b"\x10a\x01",  # an offset cut off
        b"\xf0",  # a length cut off
        b"\x1fa\x01\x00" + b"\xff" * 100000 + b"\x00" + b"\x50vwxyz",  # far too long
    ],
)
def test_decompress_block_when_broken_then_parse_error(raw: bytes) -> None:
    with pytest.raises(ParseError):
        decompress_block(raw)


def test_blocks_when_a_frame_then_each_block_and_no_more() -> None:
    parts = (b"first block " * 20, b"second")
    assert tuple(blocks(frame(*parts) + (12345678).to_bytes(4, "little"))) == parts
    assert tuple(blocks(MAGIC)) == ()
    with pytest.raises(ParseError, match="no legacy frame"):
        tuple(blocks(b"\x04\x22\x4d\x18"))


@given(st.binary(max_size=100))
def test_blocks_when_any_bytes_then_a_value_or_parse_error(raw: bytes) -> None:
    for data in (MAGIC + raw, MAGIC + len(raw).to_bytes(4, "little") + raw):
        try:
            tuple(blocks(data))
        except ParseError:
            continue
