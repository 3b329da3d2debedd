"""Selects the raw records of a batch that can match a signature, before any of them is parsed.

Nearly all records of a log repeat a few shapes: a shape is a record without its digits. So the records of a batch are
joined, the digits deleted, and each shape is looked up in a set of irrelevant shapes. Only a shape that is not in it is
split into words, and only when it shares a word with a signature the record is tried against the signatures. The result
is exact: the words of a line, and whether it holds a literal of a signature (the literal's own digits left out), do not
depend on its digits. So all records of one shape are irrelevant, or none is, and every record of a relevant shape is
tried against the signatures. The set is bounded, and cleared when it is full.

Measured alternatives: trying 60 expressions in turn costs 20 times as much, one alternation of 400 literals 200 times.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from kmodmon.reports.signatures.signature import texts
from kmodmon.reports.signatures.table import BY_MARK, BY_WORD, SIGNATURES, search

MAX_SHAPES = 20_000
MAX_SHAPE_BYTES = 400  # longer shapes are not remembered: so the set takes at most 8 MB, 2 MB with usual lines
_DIGITS = b"0123456789"


def _without_digits(literal: str) -> bytes:
    return literal.encode("ascii").translate(None, _DIGITS)


_SPACED = bytes(code if code >= 128 or chr(code).isalpha() else 32 for code in range(256))

# Lines that match no signature, but mark where a report begins or ended.
_CUT_STARTS = ("------", "======", "8<--", "---[")
_LITERALS: Mapping[bytes, tuple[bytes, ...]] = MappingProxyType(
    {
        word.encode("ascii"): tuple(
            {_without_digits(literal) for index in indices for literal in SIGNATURES[index].contains}
        )
        for word, indices in BY_WORD.items()
    }
)
_KEYS = frozenset(_LITERALS)
_MARKS = tuple(_without_digits(mark) for mark in (*BY_MARK, *_CUT_STARTS))

# The head of a record without its digits: `6,1234,98123456,-;` is `,,,-;`.
_HEAD = re.compile(rb",,,[^,;\n](?:,[^,;\n]*)*;")


@dataclass(frozen=True, slots=True)
class Selection:
    """What the prefilter selected from a batch."""

    hits: Sequence[int]  # indices of the relevant records, ascending
    regular: bool  # each record of the batch begins with `PRIO,SEQ,USEC,FLAG;`, whatever its digits are


_NOTHING = Selection((), True)


class Prefilter:
    """Remembers irrelevant shapes; one for each reader of a log, which keeps it from batch to batch.

    What it selects depends on the records alone, not on what it remembers.
    """

    def __init__(self) -> None:
        self._irrelevant: set[bytes] = set()

    def select(self, records: Sequence[bytes]) -> Selection:
        """Select the relevant records of a batch."""
        # A record may hold line feeds (` KEY=value` lines). NUL separates the records: the kernel escapes it.
        shapes = b"\0".join(records).translate(None, _DIGITS).split(b"\0")
        if len(shapes) != max(len(records), 1):
            return Selection(self.select([record.replace(b"\0", b" ") for record in records]).hits, False)
        if self._irrelevant.issuperset(shapes):
            return _NOTHING
        new = set(shapes) - self._irrelevant
        irregular = {shape for shape in new if _HEAD.match(shape) is None}
        relevant = _relevant_shapes(new)
        self._remember(new - relevant - irregular)
        candidates = [index for index, shape in enumerate(shapes) if shape in relevant] if relevant else []
        return Selection([index for index in candidates if is_relevant(records[index])], not irregular)

    def _remember(self, irrelevant: set[bytes]) -> None:
        if len(self._irrelevant) + len(irrelevant) > MAX_SHAPES:
            self._irrelevant.clear()
        self._irrelevant.update(shape for shape in irrelevant if len(shape) <= MAX_SHAPE_BYTES)


def _relevant_shapes(shapes: set[bytes]) -> set[bytes]:
    blob = b"\0".join(shapes)
    if _KEYS.isdisjoint(_words(blob)) and not any(mark in blob for mark in _MARKS):
        return set()
    return {shape for shape in shapes if _shape_is_relevant(shape)}


def _shape_is_relevant(shape: bytes) -> bool:
    shape = _unescaped(shape)
    for word in _KEYS.intersection(_words(shape)):
        if any(literal in shape for literal in _LITERALS[word]):
            return True
    return any(mark in shape for mark in _MARKS)


def _words(shape: bytes) -> list[bytes]:
    return _unescaped(shape).translate(_SPACED).split()


def _unescaped(shape: bytes) -> bytes:
    # A line feed or tab counts as a blank, a carriage return as nothing. The digits of escapes are deleted already.
    if b"\\x" not in shape:
        return shape
    return shape.replace(b"\\xd", b"").replace(b"\\xa", b" ").replace(b"\\x", b" ")


def is_relevant(record: bytes) -> bool:
    """Whether the text of a raw record matches a signature, or marks where a report begins or ended."""
    head, mark, rest = record.partition(b";")
    text = (rest.partition(b"\n")[0] if mark else head).decode("utf-8", "replace")
    lines = texts(text)
    if len(lines) > 1:
        lines.append(" ".join(lines))
    return any(search(line.lstrip(" ")) is not None or line.startswith(_CUT_STARTS) for line in lines)
