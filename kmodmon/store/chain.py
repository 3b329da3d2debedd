"""The hash chain: what it proves, and the names of what can be wrong with it.

Ids are consecutive and rise with every event. A row holds the hash of the row before it and its own hash, which covers
both. Retention removes the oldest rows only and leaves an *anchor*, id and hash of the last one it removed; the *head*
is id and hash of the last row written, so that a tail that was cut off is noticed. Any single row that was edited,
removed, moved or added breaks at least one of these, and as rows verify each by itself the damage is named exactly.

What it does not prove: whoever may write the file can also compute every hash anew. The journal holds id and hash of
each event (KMODMON_EVENT_ID, KMODMON_EVENT_HASH), `kmodmon events --verify` prints the head: kept elsewhere, either of
them uncovers that too.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from kmodmon.store.row import NO_HASH, HistoryRow, digest

_NEAR = 64  # how far away the old place of a moved row is looked for


class Link(NamedTuple):
    """A place in the chain."""

    id: int
    hash: bytes


GENESIS = Link(0, NO_HASH)  # what the first event ever follows


class ProblemKind(enum.StrEnum):
    """What is wrong with rows `first` to `last`."""

    EDITED = "edited"
    REMOVED = "removed"
    MOVED = "moved"
    ADDED = "added"
    TAIL_CUT = "tail cut"
    ANCHOR = "anchor"
    HEAD = "head"
    INDEX = "index"  # the rows are right, what finds them is not
    DAMAGED = "damaged"  # SQLite itself cannot read on


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, named by the ids it concerns; `text` is a sentence."""

    kind: ProblemKind
    first: int
    last: int
    text: str


def _problem(kind: ProblemKind, first: int, last: int, why: str) -> Problem:
    rows = f"event {first}" if first == last else f"events {first} to {last}"
    return Problem(kind=kind, first=first, last=last, text=f"{rows}: {why}")


@dataclass(slots=True)
class Verifier:
    """Feed it the anchor, then every row in the order of ids, then the head."""

    anchor: Link
    last: Link = GENESIS  # the row before, with the hash it holds
    checked: int = 0
    _suspect: bool = False  # the row before is known to be wrong: its successor needs no second report

    def __post_init__(self) -> None:
        self.last = self.anchor

    def skip_to(self, anchor: Link) -> None:
        """Retention has meanwhile removed rows up to `anchor`; those not yet read cannot be verified any more."""
        if anchor.id > self.last.id:
            self.anchor, self.last, self._suspect = anchor, anchor, False

    def row(self, row: HistoryRow) -> Iterator[Problem]:
        """Say what is wrong with the next row."""
        self.checked += 1
        if row.id <= self.anchor.id:
            yield _problem(ProblemKind.ADDED, row.id, row.id, "older than the oldest event that retention left")
            return
        gap = row.id > self.last.id + 1
        if gap:
            yield _problem(ProblemKind.REMOVED, self.last.id + 1, row.id - 1, "not there any more")
        found = self._own(row)
        if found is not None:
            yield found
        elif not gap and row.prev_hash != self.last.hash and not self._suspect:
            yield self._before(row)
        self._suspect = found is not None
        self.last = Link(row.id, row.hash)

    def end(self, head: Link | None) -> Iterator[Problem]:
        """Say what is wrong with the end of the chain; None: there is no head."""
        last = self.last
        if head is None:
            yield Problem(kind=ProblemKind.HEAD, first=last.id, last=last.id, text="the head of the chain is missing")
        elif last.id < head.id:
            yield _problem(ProblemKind.TAIL_CUT, last.id + 1, head.id, "the newest events are not there any more")
        elif last.id > head.id:
            yield _problem(
                ProblemKind.ADDED, head.id + 1, last.id, "not written by kmodmon: the head does not know them"
            )
        elif last.hash != head.hash and not self._suspect:
            yield _problem(ProblemKind.EDITED, last.id, last.id, "its hash is not the one that the head holds")

    def _own(self, row: HistoryRow) -> Problem | None:
        """What the row says about itself."""
        try:
            if digest(row) == row.hash:
                return None
            origin = next((place for place in _around(row.id) if digest(row, place) == row.hash), None)
        except (ValueError, TypeError):
            return _problem(ProblemKind.EDITED, row.id, row.id, "cannot even be read")
        if origin is not None:
            return _problem(ProblemKind.MOVED, row.id, row.id, f"was recorded as event {origin}")
        return _problem(ProblemKind.EDITED, row.id, row.id, "its content or hash was changed")

    def _before(self, row: HistoryRow) -> Problem:
        """The row is right and follows another row than the one that stands before it."""
        before = self.last.id
        if before == self.anchor.id:
            why = f"does not follow the anchor ({before}), which was changed" if before else "is not the first event"
            return Problem(kind=ProblemKind.ANCHOR, first=before, last=row.id, text=f"event {row.id}: {why}")
        why = f"was replaced: event {row.id} recorded another hash of it"
        return _problem(ProblemKind.EDITED, before, before, why)


def _around(place: int) -> Iterator[int]:
    for distance in range(1, _NEAR + 1):
        yield place + distance
        if place > distance:
            yield place - distance
