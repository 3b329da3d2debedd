"""The table `chain`: the ends of the hash chain, and what retention removed from it."""

import sqlite3
from typing import NamedTuple

from kmodmon.store.chain import GENESIS, Link, Removed

LINKED = 2  # the format of a file from which on rows hold a link to the newest row before them that is not provokable
_NO_LINKS: dict[str, Link] = {}


class Ends(NamedTuple):
    """The rows of the table; None: a row is missing, because the file was tampered with."""

    anchor: Link | None
    anchor_kept: Link | None  # the newest row up to the anchor that is not provokable
    head: Link | None
    head_kept: Link | None  # the newest row that is not provokable
    thinned: Link  # the last of the provokable rows that were removed before older rows
    thinned_events: int  # how many of these lie between anchor and `thinned`

    def removed(self, anchor: Link) -> Removed:
        """What retention removed, for the verification; `anchor` is used if the file has none."""
        start = self.anchor or anchor
        return Removed(anchor=start, kept_hash=(self.anchor_kept or start).hash, thinned=self.thinned)

    @property
    def events(self) -> int:
        """How many events there are."""
        return self.head.id - self.anchor.id - self.thinned_events if self.head and self.anchor else 0


def read_ends(connection: sqlite3.Connection, version: int) -> Ends:
    """Read the table; in a file of an older format no row is provokable."""
    links: dict[str, Link] = {}
    events = 0
    column = "events" if version >= LINKED else "0"
    for name, *values in connection.execute(f"SELECT name, id, hash, {column} FROM chain"):
        match values:
            case (int(row_id), bytes(value), int(count)):
                links[name] = Link(row_id, value)
                events = count if name == "thinned" else events
            case _:
                continue
    old = links if version < LINKED else _NO_LINKS
    return Ends(
        anchor=links.get("anchor"),
        anchor_kept=links.get("anchor_kept", old.get("anchor")),
        head=links.get("head"),
        head_kept=links.get("head_kept", old.get("head")),
        thinned=links.get("thinned", GENESIS),
        thinned_events=events,
    )


def write_links(connection: sqlite3.Connection, links: dict[str, Link]) -> None:
    """Change rows of the table."""
    values = [(link.id, link.hash, name) for name, link in links.items()]
    connection.executemany("UPDATE chain SET id = ?, hash = ? WHERE name = ?", values)
