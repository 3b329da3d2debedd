"""The hash chain of the history, and its verification.

Ids are consecutive and rise with every event. A row holds the hash of the previous row and its own hash, which covers
that one too. Retention removes the oldest rows and leaves an *anchor*: id and hash of the last row it removed. The
*head* is id and hash of the last row written, so that a truncated end is noticed. Any single row that was edited,
removed, moved or added breaks at least one of these, and because each row can be checked by itself, the report names
exactly which.

*Provokable* rows, of which a user without privilege can cause any number, may be removed before older rows of other
kinds (retention.py): all of them up to a row, whose id and hash are the link *thinned*. So up to that id, ids may be
missing. That none of these was of a row that is not provokable (a *kept* row) is proven by a second link: each row
holds the hash of the newest kept row before it too. It is the same as the hash of the previous row unless that one is
provokable, so a row also proves whether the row before it may be removed early.

What it does not prove: a process that may write the file can also compute every hash again. Four things outside it show
that: the hashes in the journal, the head in Prometheus, both compared by `outside.py`, an id and hash that somebody
wrote down, and seals, whose keys are forgotten (`seal.py`).
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from kmodmon.store.row import NO_HASH, HistoryRow, digest

_OTHER_CLASS = "whether retention may remove it early was changed"
_NEAR = 64  # ids on each side of a row that are tried as its original id


class Link(NamedTuple):
    """Id and hash of one row of the chain."""

    id: int
    hash: bytes


GENESIS = Link(0, NO_HASH)  # the link before the first event


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What retention removed."""

    anchor: Link = GENESIS  # the last row of those that were removed as the oldest
    kept_hash: bytes = NO_HASH  # hash of the newest row up to the anchor that is not provokable
    thinned: Link = GENESIS  # the last row of the provokable ones that were removed before older rows


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
    SEAL = "seal"  # `first` and `last` are epochs (seal.py)
    OUTSIDE = "outside"  # what the history is to be compared with has nothing to compare (outside.py)
    DAMAGED = "damaged"  # SQLite cannot read the rest of the file


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One defect and the ids it concerns; `text` is a sentence."""

    kind: ProblemKind
    first: int
    last: int
    text: str


def _problem(kind: ProblemKind, first: int, last: int, why: str) -> Problem:
    rows = f"event {first}" if first == last else f"events {first} to {last}"
    return Problem(kind=kind, first=first, last=last, text=f"{rows}: {why}")


@dataclass(slots=True)
class Verifier:
    """Checks a chain: construct it with what was removed, call `row` for each row by id, then `end` with the head."""

    removed: Removed
    last: Link = GENESIS  # id and stored hash of the previous row
    thinned: int = 0  # provokable rows that are missing because retention removed them before older ones
    _kept: bytes = NO_HASH  # the hash that the kept link of the next row must have, if the previous row is provokable
    _last_is_provokable: bool | None = None  # None: there is no previous row, only an anchor
    _last_was_wrong: bool = False  # the previous row has a report, so a mismatch with it is not reported again

    def __post_init__(self) -> None:
        self._start()

    def skip_to(self, removed: Removed) -> None:
        """Continue although retention has removed rows since the previous page was read."""
        behind = removed.anchor.id > self.last.id
        self.removed = removed if behind else replace(self.removed, thinned=removed.thinned)
        if behind:
            self._start()

    def _start(self) -> None:
        self.last, self._kept = self.removed.anchor, self.removed.kept_hash
        self._last_is_provokable, self._last_was_wrong = None, False

    def row(self, row: HistoryRow) -> Iterator[Problem]:
        """Give what is wrong with the next row."""
        if row.id <= self.removed.anchor.id:
            yield _problem(ProblemKind.ADDED, row.id, row.id, "older than the oldest event that retention left")
            return
        problem = self._check_row(row)
        if row.id > self.last.id + 1:
            yield from self._check_gap(row, intact=problem is None)
        elif problem is None and not self._last_was_wrong:
            yield from self._check_links(row)
        if problem is not None:
            yield problem
        elif row.provokable and row.id <= self.removed.thinned.id:
            problem = _problem(ProblemKind.EDITED, row.id, row.id, _OTHER_CLASS)
            yield problem
        self._last_was_wrong = problem is not None
        self._last_is_provokable, self._kept = row.provokable, row.kept_link
        self.last = Link(row.id, row.hash)

    def end(self, head: Link | None, kept: Link | None = None) -> Iterator[Problem]:
        """Give what is wrong with the end of the chain.

        `head` None: the file has no head; `kept`: the newest row that is not provokable, None if that is not known.
        """
        last = self.last
        if kept is not None and last == head and self._last_is_provokable is not None and not self._last_was_wrong:
            expected = self._kept if self._last_is_provokable else last.hash
            if kept.hash != expected:
                yield _problem(ProblemKind.EDITED, last.id, last.id, _OTHER_CLASS)
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

    def _check_gap(self, row: HistoryRow, *, intact: bool) -> Iterator[Problem]:
        # Rows are missing between the previous one and `row`.
        thinned, first = self.removed.thinned, self.last.id + 1
        if row.id - 1 > thinned.id:
            yield _problem(ProblemKind.REMOVED, max(first, thinned.id + 1), row.id - 1, "not there any more")
            self.thinned += max(0, thinned.id + 1 - first)
            return
        self.thinned += row.id - first
        if not intact or self._last_was_wrong:
            return
        expected = self.last.hash if self._last_is_provokable is False else self._kept
        if row.kept_link != expected:
            why = "not there any more, and not all of them were of kinds that retention removes first"
            yield _problem(ProblemKind.REMOVED, first, row.id - 1, why)
        elif row.id - 1 == thinned.id and row.prev_hash != thinned.hash:
            text = f"event {row.id}: does not follow event {thinned.id}, the last that retention removed early"
            yield Problem(kind=ProblemKind.ANCHOR, first=thinned.id, last=row.id, text=text)

    def _check_links(self, row: HistoryRow) -> Iterator[Problem]:
        # `row` is intact and follows the previous one without a gap.
        if row.prev_hash != self.last.hash:
            yield self._broken_link(row)
        elif row.prev_kept_hash not in (None, self._kept):
            why = "was replaced: it names another event as the newest before it that retention keeps"
            yield _problem(ProblemKind.EDITED, row.id, row.id, why)
        elif self._last_is_provokable not in (None, row.prev_kept_hash is not None):
            yield _problem(ProblemKind.EDITED, self.last.id, self.last.id, _OTHER_CLASS)

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
        if before == self.removed.anchor.id:
            why = f"does not follow the anchor ({before}), which was changed" if before else "is not the first event"
            return Problem(kind=ProblemKind.ANCHOR, first=before, last=row.id, text=f"event {row.id}: {why}")
        why = f"was replaced: event {row.id} recorded another hash of it"
        return _problem(ProblemKind.EDITED, before, before, why)


def _nearby_ids(row_id: int) -> Iterator[int]:
    for distance in range(1, _NEAR + 1):
        yield row_id + distance
        if row_id > distance:
            yield row_id - distance
