"""The cheap test in front of everything: which raw records of a batch can mean something.

Nearly all records of a log repeat a few shapes: lines that differ in their digits alone. So the records are joined, the
digits deleted, and what is left is looked up in a set of lines known to be boring; only a line that is new is taken
apart into words, and only one that shares a word with a signature meets the signatures. That is exact: the words of a
line, and whether it holds a signature's literal (without the literal's own digits), do not depend on its digits: so two
records of one shape can never differ in being boring, and a line that is not boring always meets the
signatures. The set is bounded and cleared when full.

Measured alternatives: trying 60 expressions in turn costs 20 times as much, one alternation of 400 literals 200 times.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from kmodmon.reports.signatures.signature import texts
from kmodmon.reports.signatures.table import BY_MARK, BY_WORD, SIGNATURES, match

MAX_SHAPES = 20_000
MAX_SHAPE_BYTES = 400  # longer lines are judged each time; so the memory is bounded by 8 MB, 2 MB with usual lines
_DIGITS = b"0123456789"


def _without_digits(literal: str) -> bytes:
    return literal.encode("ascii").translate(None, _DIGITS)


_SPACED = bytes(code if code >= 128 or chr(code).isalpha() else 32 for code in range(256))

# Lines that no signature knows, but that say where a report begins, or ended.
_CUT_STARTS = ("------", "======", "8<--", "---[")
_LITERALS: Mapping[bytes, tuple[bytes, ...]] = MappingProxyType(
    {
        word.encode("ascii"): tuple({_without_digits(one) for index in indices for one in SIGNATURES[index].contains})
        for word, indices in BY_WORD.items()
    }
)
_KEYS = frozenset(_LITERALS)
_MARKS = tuple(_without_digits(mark) for mark in (*BY_MARK, *_CUT_STARTS))


# What a record's head is without its digits: `6,1234,98123456,-;` is `,,,-;`.
_HEAD = re.compile(rb",,,[^,;\n](?:,[^,;\n]*)*;")


@dataclass(frozen=True, slots=True)
class Picked:
    """What a look at a batch came to. `regular`: each record begins like `PRIO,SEQ,USEC,FLAG;`, digits not judged."""

    hits: Sequence[int]  # indices of the records that mean something, ascending
    regular: bool


_NOTHING = Picked((), True)


class Prefilter:
    """Remembers the shapes that are known to be boring; one for each reader of a log."""

    def __init__(self) -> None:
        self._boring: set[bytes] = set()

    def first(self, records: Sequence[bytes]) -> int | None:
        """Give the index of the first record that means something; None when none of them does."""
        return next(iter(self.pick(records).hits), None)

    def hits(self, records: Sequence[bytes]) -> Sequence[int]:
        """Give the indices of all records that mean something, ascending."""
        return self.pick(records).hits

    def pick(self, records: Sequence[bytes]) -> Picked:
        """Look at a batch of raw records: which mean something, and whether all of them are of the usual form."""
        # A record may hold line feeds (` KEY=value` lines): NUL parts the records, and the kernel writes none.
        shapes = b"\0".join(records).translate(None, _DIGITS).split(b"\0")
        if len(shapes) != max(len(records), 1):
            return Picked(self.pick([record.replace(b"\0", b" ") for record in records]).hits, False)
        if self._boring.issuperset(shapes):
            return _NOTHING
        new = set(shapes) - self._boring
        odd = {shape for shape in new if _HEAD.match(shape) is None}
        loud = _loud(new)
        self._remember(new - loud - odd)
        found = [index for index, shape in enumerate(shapes) if shape in loud] if loud else []
        return Picked([index for index in found if speaks(records[index])], not odd)

    def _remember(self, quiet: set[bytes]) -> None:
        if len(self._boring) + len(quiet) > MAX_SHAPES:
            self._boring.clear()
        self._boring.update(shape for shape in quiet if len(shape) <= MAX_SHAPE_BYTES)


def _loud(shapes: set[bytes]) -> set[bytes]:
    blob = b"\0".join(shapes)
    if _KEYS.isdisjoint(_words(blob)) and not any(mark in blob for mark in _MARKS):
        return set()
    return {shape for shape in shapes if _is_loud(shape)}


def _is_loud(shape: bytes) -> bool:
    for word in _KEYS.intersection(_words(shape)):
        if any(literal in shape for literal in _LITERALS[word]):
            return True
    return any(mark in shape for mark in _MARKS)


def _words(shape: bytes) -> list[bytes]:
    if b"\\x" in shape:  # an escaped tab or line feed parts words; its digits are deleted already
        shape = shape.replace(b"\\xa", b" ").replace(b"\\x", b" ")
    return shape.translate(_SPACED).split()


def speaks(record: bytes) -> bool:
    """Whether the text of a raw record is one that a signature knows, or one that begins a report."""
    head, mark, rest = record.partition(b";")
    text = (rest.partition(b"\n")[0] if mark else head).decode("utf-8", "replace")
    return any(match(part.lstrip(" ")) is not None or part.startswith(_CUT_STARTS) for part in texts(text))


def first_naive(records: Sequence[bytes]) -> int | None:
    """The definition that :meth:`Prefilter.first` must agree with."""
    return next((index for index, record in enumerate(records) if speaks(record)), None)
