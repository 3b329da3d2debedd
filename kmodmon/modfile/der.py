"""A small, strict DER reader (ITU-T X.690): definite and minimal lengths, one-byte tags, no recursion, bounded counts.

It covers PKCS#7 signatures of modules and certificates. BER that is not DER is refused (`NotDer`). The kernel's decoder
(lib/asn1_decoder.c) accepts more, so a caller must treat NotDer as "not understood", not as "broken".
"""

from collections.abc import Iterator
from typing import NamedTuple

from kmodmon.types.error import ParseError

BOOLEAN, INTEGER, OCTET_STRING, OID = 0x01, 0x02, 0x04, 0x06
SEQUENCE, SET = 0x30, 0x31
MAX_CHILDREN = 1024

_TEXT_TAGS = {0x0C: "utf-8", 0x12: "ascii", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1C: "utf-32-be",
              0x1E: "utf-16-be"}  # fmt: skip


class NotDer(ParseError):
    """Possibly valid BER, but not DER: a length that is indefinite or not in its shortest form."""


class Tlv(NamedTuple):
    """One element: tag, length, value. Offsets are in bytes from the start of the data."""

    tag: int  # the tag byte: class, constructed bit and number
    start: int  # of the tag
    body: int  # of the contents
    end: int  # behind the contents


def context(number: int, *, constructed: bool) -> int:
    """The tag byte of context-specific tag `number`."""
    return 0x80 | (0x20 if constructed else 0) | number


def read_tlv(data: bytes, at: int, end: int | None = None) -> Tlv:
    """Read one element at `at`; it must end at or before `end`. Raises ParseError."""
    end = len(data) if end is None else end
    if at + 2 > end:
        raise ParseError("DER", data[at : at + 16], "element cut off")
    tag, length = data[at], data[at + 1]
    if tag & 0x1F == 0x1F:
        raise ParseError("DER", data[at : at + 16], "multi-byte tag")
    body = at + 2
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or body + count > end:
            raise NotDer("DER", data[at : at + 16], "indefinite or unusable length")
        length = int.from_bytes(data[body : body + count], "big")
        if length < 0x80 or length >> (8 * (count - 1)) == 0:
            raise NotDer("DER", data[at : at + 16], "length not in its shortest form")
        body += count
    if length > end - body:
        raise ParseError("DER", data[at : at + 16], "element runs past its container")
    return Tlv(tag, at, body, body + length)


def expect(data: bytes, at: int, end: int | None, tag: int) -> Tlv:
    """Read one element of this tag; raises ParseError for another tag."""
    element = read_tlv(data, at, end)
    if element.tag != tag:
        raise ParseError("DER", data[at : at + 16], f"tag {element.tag:#04x} where {tag:#04x} belongs")
    return element


def children(data: bytes, parent: Tlv) -> Iterator[Tlv]:
    """The elements inside a constructed one, at most MAX_CHILDREN; raises ParseError."""
    at = parent.body
    for _ in range(MAX_CHILDREN):
        if at == parent.end:
            return
        child = read_tlv(data, at, parent.end)
        yield child
        at = child.end
    raise ParseError("DER", data[parent.start : parent.start + 16], f"more than {MAX_CHILDREN} elements")


def contents(data: bytes, tlv: Tlv) -> bytes:
    """The bytes inside an element."""
    return data[tlv.body : tlv.end]


def whole(data: bytes, tlv: Tlv) -> bytes:
    """The bytes of an element with its tag and length."""
    return data[tlv.start : tlv.end]


def oid(data: bytes, tlv: Tlv) -> str:
    """An object identifier in dotted form; raises ParseError."""
    raw = contents(data, tlv)
    if tlv.tag != OID or not raw or len(raw) > 64 or raw[-1] & 0x80:
        raise ParseError("DER", data[tlv.start : tlv.start + 16], "no object identifier")
    parts: list[int] = []
    value = 0
    for byte in raw:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            parts.append(value)
            value = 0
    first = min(parts[0] // 40, 2)
    return ".".join(map(str, (first, parts[0] - 40 * first, *parts[1:])))


def small_integer(data: bytes, tlv: Tlv) -> int:
    """An INTEGER that must fit a version field; raises ParseError."""
    raw = contents(data, tlv)
    if tlv.tag != INTEGER or len(raw) != 1 or raw[0] & 0x80:
        raise ParseError("DER", data[tlv.start : tlv.start + 16], "no small positive integer")
    return raw[0]


def text(data: bytes, tlv: Tlv) -> str | None:
    """The text of a string type; None when it is none, or not of its own encoding."""
    encoding = _TEXT_TAGS.get(tlv.tag)
    if encoding is None:
        return None
    try:
        return contents(data, tlv).decode(encoding)
    except UnicodeDecodeError:
        return None
