"""Header blobs of the rpm database (rpm's doc/manual/format.md): 32-bit big-endian counts, an index, a data area.

Only string tags and 32-bit integer tags are read, and only those asked for.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from kmodmon.types.error import ParseError

NAME, VERSION, RELEASE, EPOCH = 1000, 1001, 1002, 1003
DIR_INDEXES, BASE_NAMES, DIR_NAMES = 1116, 1117, 1118
_INT32, _STRING, _STRING_ARRAY, _I18N = 4, 6, 8, 9
_COUNTS = struct.Struct(">II")
_ENTRY = struct.Struct(">IIII")
_MAX_ENTRIES = 4096
_MAX_ITEMS = 1_000_000  # values of one tag


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmHeader:
    """Texts and numbers of one package, by tag."""

    texts: Mapping[int, tuple[bytes, ...]]
    numbers: Mapping[int, tuple[int, ...]]

    def text(self, tag: int) -> bytes | None:
        """Give the first text of a tag; None: the header does not have the tag."""
        return next(iter(self.texts.get(tag, ())), None)

    def paths(self, base: bytes) -> tuple[bytes, ...]:
        """Give the full paths of the package's files that are called `base`."""
        directories = self.texts.get(DIR_NAMES, ())
        indexes = self.numbers.get(DIR_INDEXES, ())
        paths = []
        for name, index in zip(self.texts.get(BASE_NAMES, ()), indexes, strict=False):
            if name == base and index < len(directories):
                paths.append(directories[index] + name)
        return tuple(paths)


def parse_rpm_header(raw: bytes) -> RpmHeader:
    """Read one header blob; raises ParseError."""
    if len(raw) < _COUNTS.size:
        raise ParseError("rpm header", raw, "no counts")
    entries, size = _COUNTS.unpack_from(raw)
    start = _COUNTS.size + entries * _ENTRY.size
    if entries > _MAX_ENTRIES or start + size > len(raw):
        raise ParseError("rpm header", raw[:16], "counts do not fit")
    data = raw[start : start + size]
    texts: dict[int, tuple[bytes, ...]] = {}
    numbers: dict[int, tuple[int, ...]] = {}
    for tag, kind, offset, count in _ENTRY.iter_unpack(raw[_COUNTS.size : start]):
        if offset > len(data) or count > _MAX_ITEMS:
            raise ParseError("rpm header", raw[:16], f"tag {tag} points outside")
        if kind == _INT32:
            room = data[offset : offset + 4 * count]
            numbers[tag] = struct.unpack(f">{len(room) // 4}I", room[: len(room) // 4 * 4])
        elif kind in {_STRING, _STRING_ARRAY, _I18N} and tag in {NAME, VERSION, RELEASE, BASE_NAMES, DIR_NAMES}:
            texts[tag] = _strings(data, offset, count)
    return RpmHeader(texts=texts, numbers=numbers)


def _strings(data: bytes, offset: int, count: int) -> tuple[bytes, ...]:
    # the data area continues with other tags: split off `count` texts only
    return tuple(data[offset:].split(b"\0", count)[:count])
