"""The hash chain of the history, and its verification.

Ids are consecutive and rise with every event. A row holds the hash of the previous row and its own hash, which covers
that one too. Retention removes only the oldest rows and leaves an *anchor*: id and hash of the last row it removed. The
*head* is id and hash of the last row written, so that a truncated end is noticed. Any single row that was edited,
removed, moved or added breaks at least one of these, and because each row can be checked by itself, the report names
exactly which.

What it does not prove: a process that may write the file can also compute every hash again. The journal holds id and
hash of each event (KMODMON_EVENT_ID, KMODMON_EVENT_HASH), and `kmodmon events --verify` prints the head; a copy of
either on another host shows that too.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from kmodmon.store.row import NO_HASH, HistoryRow, digest

_NEAR = 64  # ids on each side of a row that are tried as its original id


class Link(NamedTuple):
    """Id and hash of one row of the chain."""

    id: int
    hash: bytes


GENESIS = Link(0, NO_HASH)  # the link before the first event


class ProblemKind(enum.StrEnum):
    """What is wrong with rows `first` to `last`."""

    EDITED = "edited"
    REMOVED = "removed"
    MOVED = "moved"
    ADDED = "added"
    TAIL_CUT = "tail cut"
    ANCHOR = "anchor"
    HEAD = "head"
    INDEX = "index"  # the rows are intact, an index over them is not
    DAMAGED = "damaged"  # SQLite cannot read the rest of the file


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One defect of the chain and the ids it concerns; `text` is a sentence."""

    kind: ProblemKind
    first: int
    last: int
    text: str


def _problem(kind: ProblemKind, first: int, last: int, why: str) -> Problem:
    rows = f"event {first}" if first == last else f"events {first} to {last}"
    return Problem(kind=kind, first=first, last=last, text=f"{rows}: {why}")


@dataclass(slots=True)
class Verifier:
    """Checks a chain: construct it with the anchor, call `row` for each row by id, then `end` with the head."""

    anchor: Link
    last: Link = GENESIS  # id and stored hash of the previous row
    _last_was_wrong: bool = False  # the previous row has a report, so a mismatch with it is not reported again

    def __post_init__(self) -> None:
        self.last = self.anchor

    def skip_to(self, anchor: Link) -> None:
        """Continue after `anchor`: retention has removed the rows up to it since the previous page was read."""
        if anchor.id > self.last.id:
            self.anchor, self.last, self._last_was_wrong = anchor, anchor, False

    def row(self, row: HistoryRow) -> Iterator[Problem]:
        """Give what is wrong with the next row."""
        if row.id <= self.anchor.id:
            yield _problem(ProblemKind.ADDED, row.id, row.id, "older than the oldest event that retention left")
            return
        gap = row.id > self.last.id + 1
        if gap:
            yield _problem(ProblemKind.REMOVED, self.last.id + 1, row.id - 1, "not there any more")
        problem = self._check_row(row)
        if problem is not None:
            yield problem
        elif not gap and row.prev_hash != self.last.hash and not self._last_was_wrong:
            yield self._broken_link(row)
        self._last_was_wrong = problem is not None
        self.last = Link(row.id, row.hash)

    def end(self, head: Link | None) -> Iterator[Problem]:
        """Give what is wrong with the end of the chain; `head` None: the file has no head."""
        last = self.last
        if head is None:
            yield Problem(kind=ProblemKind.HEAD, first=last.id, last=last.id, text="the head of the chain is missing")
        elif last.id < head.id:
            yield _problem(ProblemKind.TAIL_CUT, last.id + 1, head.id, "the newest events are not there any more")
        elif last.id > head.id:
            yield _problem(
                ProblemKind.ADDED, head.id + 1, last.id, "not written by kmodmon: the head does not know them"
            )
        elif last.hash != head.hash and not self._last_was_wrong:
            yield _problem(ProblemKind.EDITED, last.id, last.id, "its hash is not the one that the head holds")

    def _check_row(self, row: HistoryRow) -> Problem | None:
        try:
            if digest(row) == row.hash:
                return None
            origin = next((row_id for row_id in _nearby_ids(row.id) if digest(row, row_id) == row.hash), None)
        except (ValueError, TypeError):
            return _problem(ProblemKind.EDITED, row.id, row.id, "cannot even be read")
        if origin is not None:
            return _problem(ProblemKind.MOVED, row.id, row.id, f"was recorded as event {origin}")
        return _problem(ProblemKind.EDITED, row.id, row.id, "its content or hash was changed")

    def _broken_link(self, row: HistoryRow) -> Problem:
        # The row itself is intact, but its prev_hash is not the hash of the previous row.
        before = self.last.id
        if before == self.anchor.id:
            why = f"does not follow the anchor ({before}), which was changed" if before else "is not the first event"
            return Problem(kind=ProblemKind.ANCHOR, first=before, last=row.id, text=f"event {row.id}: {why}")
        why = f"was replaced: event {row.id} recorded another hash of it"
        return _problem(ProblemKind.EDITED, before, before, why)


def _nearby_ids(row_id: int) -> Iterator[int]:
    for distance in range(1, _NEAR + 1):
        yield row_id + distance
        if row_id > distance:
            yield row_id - distance
