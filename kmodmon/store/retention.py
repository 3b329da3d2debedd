"""Which events retention removes, and removing them, in short steps.

By age the oldest events go. By size, events go by class. Events that a user without privilege can cause any number of
(*provokable* ones: refused loads, requests for modules, reports that may be forged) have a share of
`history.max_bytes`; when the file is too large and they take more than that, the oldest of them go, and older events of
other kinds stay. Otherwise the oldest events go, of whatever kind. So a flood of refused loads costs no load, taint or
policy event.
"""

import sqlite3
from collections.abc import Sequence

from kmodmon.store.chain import Link
from kmodmon.store.interface import RetentionLimits
from kmodmon.store.links import Ends, write_links
from kmodmon.types.units import Usec

STEP_ROWS = 1000  # the most rows that one step removes; batches are written between steps
SLACK_USEC = 86_400_000_000  # an event dated more than a day in the future was dated by a wrong clock
PROVOKABLE_SHARE = 4  # a part of this many is for provokable events
ROW_BYTES = 200  # of an event without its body: times, hashes, and its entries in indexes and tables of names


class Retention:
    """Removes rows through one connection, with the ends as they are before each step."""

    def __init__(self, connection: sqlite3.Connection, limits: RetentionLimits, now: Usec | None) -> None:
        self._connection = connection
        self._limits = limits
        self._now = now

    def next_to_thin(self, ends: Ends, head: Link) -> tuple[Link, int] | None:
        """The last provokable row to remove before older rows, and how many up to it; None: none is to be removed."""
        excess = self._excess_bytes()
        if excess <= 0 or self._limits.size_bytes is None:
            return None
        (taken,) = self._connection.execute(
            "SELECT total(provokable) FROM event INDEXED BY event_provokable WHERE provokable IS NOT NULL"
        ).fetchone()
        excess = min(excess, int(taken) - self._limits.size_bytes // PROVOKABLE_SHARE)
        last: Link | None = None
        count = 0
        for row_id, row_hash, size in self._connection.execute(
            "SELECT id, hash, provokable FROM event WHERE id > ? AND id < ? AND provokable IS NOT NULL "
            "ORDER BY id LIMIT ?", (ends.thinned.id, head.id, STEP_ROWS)
        ):  # fmt: skip
            if excess <= 0:
                break
            last, count, excess = Link(row_id, row_hash), count + 1, excess - size
        return None if last is None else (last, count)

    def thin(self, last: Link, count: int) -> list[str]:
        """Remove the provokable rows up to `last`; gives the names of modules that no row has any more."""
        unused = self._delete("id <= ? AND provokable IS NOT NULL", last.id)
        write_links(self._connection, {"thinned": last})
        self._connection.execute("UPDATE chain SET events = events + ? WHERE name = 'thinned'", (count,))
        return unused

    def next_to_remove(self, ends: Ends, anchor: Link, head: Link) -> Link | None:
        """The last of the oldest rows that a step removes; None: none is too old, and the file is not too large."""
        count = min(ends.events - 1, STEP_ROWS)
        oldest: list[tuple[int, int, bytes]] = self._connection.execute(
            "SELECT id, realtime_usec, hash FROM event WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (anchor.id, head.id, max(count, 0)),
        ).fetchall()
        excess = min(max(self._count_too_old(oldest), self._count_excess(ends.events)), len(oldest))
        return Link(oldest[excess - 1][0], oldest[excess - 1][2]) if excess else None

    def remove_until(self, last: Link, anchor: Link) -> list[str]:
        """Remove the rows up to `last`; gives the names of modules that no row has any more."""
        (count,) = self._connection.execute("SELECT count(*) FROM event WHERE id <= ?", (last.id,)).fetchone()
        kept = self._connection.execute(
            "SELECT id, hash FROM event WHERE id <= ? AND provokable IS NULL ORDER BY id DESC LIMIT 1", (last.id,)
        ).fetchone()
        unused = self._delete("id <= ?", last.id)
        links = {"anchor": last} if kept is None else {"anchor": last, "anchor_kept": Link(*kept)}
        write_links(self._connection, links)
        missing = last.id - anchor.id - count
        self._connection.execute("UPDATE chain SET events = max(events - ?, 0) WHERE name = 'thinned'", (missing,))
        return unused

    def _delete(self, condition: str, value: int) -> list[str]:
        modules: list[tuple[int, str]] = self._connection.execute(
            f"SELECT id, text FROM module WHERE id IN (SELECT module FROM event WHERE {condition})", (value,)
        ).fetchall()
        self._connection.execute(f"DELETE FROM event WHERE {condition}", (value,))
        unused: list[str] = []
        for row_id, text in modules:
            deleted = self._connection.execute(
                "DELETE FROM module WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE module = ?1)", (row_id,)
            )
            if deleted.rowcount:
                unused.append(text)
        return unused

    def _count_too_old(self, oldest: Sequence[tuple[int, int, bytes]]) -> int:
        """How many of the oldest rows are too old, up to the first that is not.

        A row dated in the future was dated by a wrong clock. It happened before the next row whose date is possible,
        and is as old as that one. If the newest row is dated in the future, the present clock may be wrong, and no row
        is too old.
        """
        if self._limits.age_usec is None or self._now is None or not oldest:
            return 0
        latest, too_old = self._now + SLACK_USEC, self._now - self._limits.age_usec
        newest = self._connection.execute("SELECT realtime_usec FROM event ORDER BY id DESC LIMIT 1").fetchone()
        if newest is None or newest[0] > latest:
            return 0
        possible = self._connection.execute(
            "SELECT realtime_usec FROM event WHERE id > ? AND realtime_usec <= ? ORDER BY id LIMIT 1",
            (oldest[-1][0], latest),
        ).fetchone()
        dates = [0] * len(oldest)
        following = self._now if possible is None else possible[0]
        for index in range(len(oldest) - 1, -1, -1):
            if oldest[index][1] <= latest:
                following = oldest[index][1]
            dates[index] = following
        return next((index for index, date in enumerate(dates) if date >= too_old), len(oldest))

    def _count_excess(self, events: int) -> int:
        # How many events to remove so that the file fits the limit, if all have the same size.
        excess, used = self._excess_bytes(), self._used_bytes()
        return 0 if excess <= 0 or not events else 1 + excess * events // used

    def _excess_bytes(self) -> int:
        return 0 if self._limits.size_bytes is None else self._used_bytes() - self._limits.size_bytes

    def _used_bytes(self) -> int:
        return (self._pragma("page_count") - self._pragma("freelist_count")) * self._pragma("page_size")

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
