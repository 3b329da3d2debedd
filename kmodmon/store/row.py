"""One event as a row of the history, and its hash.

The hash is SHA-256 over the canonical JSON of the event as `kmodmon events --json` prints it, without `hash` itself. So
it covers id, boot, times, type, severity, module, actor, evidence, fields and `prev_hash`, and can be checked without
kmodmon:
`kmodmon events --json | head -n 1 | jq -cjS 'del(.hash)' | sha256sum`.

`prev_kept_hash` is a member only of an event that follows a *provokable* one, which retention may remove before older
events of other kinds (`chain.py`). Rows from before it existed have no such member, and are hashed by the same rule.
"""

import hashlib
from typing import NamedTuple

from kmodmon.events.codec import ShapeError, actor_from_json, canonical_json, fields_from_json, parse_json
from kmodmon.events.codec import texts_from_json as texts
from kmodmon.events.event import Event, Severity, StoredEvent, recorded_event
from kmodmon.events.kinds import event_type
from kmodmon.store.body import body_of, split
from kmodmon.types.units import Instant, Usec

NO_HASH = bytes(32)  # the prev_hash of the first event
_LARGEST = 2**63 - 1  # of an INTEGER of SQLite


class HistoryRow(NamedTuple):
    """One row; `body` is uncompressed. A NamedTuple, because verification creates a million of them."""

    id: int
    boot_id: str
    realtime_usec: int
    monotonic_usec: int
    type: str
    severity: str
    module: str | None
    body: bytes
    prev_hash: bytes
    hash: bytes
    prev_kept_hash: bytes | None = None  # None: it is `prev_hash`, because the row before is not provokable
    provokable: bool = False  # a user without privilege can cause any number of such events

    @property
    def kept_link(self) -> bytes:
        """The hash of the newest row before this one that is not provokable."""
        return self.prev_hash if self.prev_kept_hash is None else self.prev_kept_hash


def digest(row: HistoryRow, as_id: int | None = None) -> bytes:
    """Compute the hash of a row, with the id `as_id` if that is given; raises ValueError when the body is not one."""
    actor, evidence, fields = split(row.body)
    text = (
        b'{"actor":%b,"boot_id":%b,"evidence":%b,"fields":%b,"id":%d,"module":%b,"monotonic":%d,"prev_hash":"%b",%b'
        b'"realtime":%d,"severity":%b,"type":%b}'
    ) % (
        actor,
        canonical_json(row.boot_id),
        evidence,
        fields,
        row.id if as_id is None else as_id,
        canonical_json(row.module),
        row.monotonic_usec,
        row.prev_hash.hex().encode(),
        b"" if row.prev_kept_hash is None else b'"prev_kept_hash":"%b",' % row.prev_kept_hash.hex().encode(),
        row.realtime_usec,
        canonical_json(row.severity),
        canonical_json(row.type),
    )
    return hashlib.sha256(text).digest()


def chained(
    event: Event, row_id: int, boot_id: str, prev_hash: bytes, prev_kept_hash: bytes | None = None
) -> HistoryRow:
    """Make the row of an event; raises ShapeError for one that cannot be stored."""
    at = event.at
    if not (0 <= at.realtime_usec <= _LARGEST and 0 <= at.monotonic_usec <= _LARGEST):
        raise ShapeError("at", "a time after 1970 that fits 63 bits")
    if event.module is not None and not event.module.isprintable():
        raise ShapeError("module", "a safe text")  # sqlite3 cannot bind a lone surrogate
    row = HistoryRow(
        id=row_id,
        boot_id=boot_id,
        realtime_usec=at.realtime_usec,
        monotonic_usec=at.monotonic_usec,
        type=event.type,
        severity=event.severity.value,
        module=event.module,
        body=body_of(event),
        prev_hash=prev_hash,
        hash=NO_HASH,
        prev_kept_hash=prev_kept_hash,
        provokable=event.details.provokable,
    )
    return row._replace(hash=digest(row))


def stored(row: HistoryRow, event: Event) -> StoredEvent:
    """Give an event together with what its row adds."""
    return StoredEvent(
        id=row.id,
        boot_id=row.boot_id,
        event=event,
        prev_hash=row.prev_hash.hex(),
        hash=row.hash.hex(),
        prev_kept_hash=None if row.prev_kept_hash is None else row.prev_kept_hash.hex(),
    )


def read_back(row: HistoryRow) -> StoredEvent:
    """Parse a row; raises ShapeError for a type, severity or shape that this version does not have."""
    return stored(row, _event(row))


def _event(row: HistoryRow) -> Event:
    where = f"event {row.id}"
    try:
        actor, evidence, fields = split(row.body)
        kind, severity = event_type(row.type), Severity(row.severity)
    except ValueError as error:
        raise ShapeError(where, f"what this version knows ({error})") from None
    return recorded_event(
        type=kind,
        at=Instant(realtime_usec=Usec(row.realtime_usec), monotonic_usec=Usec(row.monotonic_usec)),
        severity=severity,
        module=row.module,
        actor=actor_from_json(parse_json(actor, where), f"{where}.actor"),
        evidence=texts(parse_json(evidence, where), f"{where}.evidence"),
        fields=fields_from_json(parse_json(fields, where), f"{where}.fields"),
    )
