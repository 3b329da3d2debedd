"""Compares the history with what was recorded elsewhere: in the journal, in Prometheus, in seals, on paper.

Whoever can write the history can make its chain anew. What left the file before cannot be changed with it: a *claim*
says which hash an event had. Only events that the history can still hold are compared; those up to the anchor were
removed by retention, and provokable ones may have been (`chain.py`).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from kmodmon.store.chain import Link, Problem, ProblemKind
from kmodmon.store.links import Ends

SHORT_DIGITS = 12  # hex digits of a hash that a claim has at least: 48 bits, which a sample of Prometheus holds exactly


class Claim(NamedTuple):
    """What something outside the history says of one event."""

    id: int
    hash: str  # in hex, or the first SHORT_DIGITS of it or more
    removable: bool = False  # retention may have removed it before older events
    aged: bool = True  # retention may have removed it as one of the oldest


class Compared:
    """Compares claims of one source, which the sentences name, with the hashes of a history."""

    def __init__(self, source: str, ends: Ends, hash_of: Callable[[int], bytes | None]) -> None:
        self.agreed = 0  # claims that the history bears out
        self._source = source
        self._ends = ends
        self._hash_of = hash_of

    def problems(self, claims: Iterable[Claim]) -> Iterator[Problem]:
        """Give where the history differs, one problem for each range of ids; claims come in any order."""
        run: tuple[ProblemKind, str, int, int] | None = None
        for claim in sorted(claims):
            judged = self._judged(claim)
            if judged is None:
                continue
            kind, why = judged
            if run is not None and run[:2] == (kind, why) and claim.id <= run[3] + 1:
                run = (kind, why, run[2], claim.id)
                continue
            if run is not None:
                yield self._problem(*run)
            run = (kind, why, claim.id, claim.id)
        if run is not None:
            yield self._problem(*run)

    def _judged(self, claim: Claim) -> tuple[ProblemKind, str] | None:
        head, anchor = self._ends.head, self._ends.anchor
        if head is None or claim.id > head.id:
            return ProblemKind.TAIL_CUT, "newer than the newest of the history"
        row_hash = self._hash_of(claim.id)
        if row_hash is not None:
            if row_hash.hex().startswith(claim.hash):
                self.agreed += 1
                return None
            return ProblemKind.EDITED, "had another hash than in the history"
        if anchor is not None and claim.id <= anchor.id:
            removed = claim.aged
        else:
            removed = claim.removable and claim.id <= self._ends.thinned.id
        return None if removed else (ProblemKind.REMOVED, "not in the history any more")

    def _problem(self, kind: ProblemKind, why: str, first: int, last: int) -> Problem:
        rows = f"event {first}" if first == last else f"events {first} to {last}"
        return Problem(kind=kind, first=first, last=last, text=f"{rows}: {self._source}: {why}")


def short_number(link: Link) -> int:
    """The first SHORT_DIGITS digits of a hash as a number; `printf '%012x'` gives the digits back."""
    return int.from_bytes(link.hash[: SHORT_DIGITS // 2], "big")
