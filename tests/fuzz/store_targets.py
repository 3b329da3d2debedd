"""Targets of kmodmon/store: the history, its seals, and what was recorded of it elsewhere."""

import json
import shutil
from unittest.mock import patch

from kmodmon.events.codec import parse_json
from kmodmon.store import body, seal
from kmodmon.store.chain import Link
from kmodmon.store.database import FILE, KEY_FILE
from kmodmon.store.error import StoreError
from kmodmon.store.links import Ends
from kmodmon.store.outside import Claim, Compared
from kmodmon.store.reader import SqliteReader
from kmodmon.store.row import NO_HASH, HistoryRow, digest, read_back
from kmodmon.system.journal_reader import UNIT, events_of
from kmodmon.view.public import public_event_json
from tests.fuzz.examiner_targets import put, scratch
from tests.fuzz.inputs import pieces, tried

SECRET = bytes(seal.KEY_BYTES)
_FEW_EPOCHS = 200  # the number of an epoch is the number of hashes that it costs
_HASH = bytes(range(32))
_HEAD = Link(7, _HASH)
_ENDS = Ends(
    anchor=Link(2, _HASH), anchor_kept=Link(2, _HASH), head=_HEAD, head_kept=_HEAD, thinned=Link(4, _HASH),
    thinned_events=1,
)  # fmt: skip


def packed_body(data: bytes) -> object:
    """A body that can be unpacked is bounded, and the same after it is packed again."""
    whole = body.unpack(data)
    assert len(whole) <= body.MAX_BODY_BYTES
    assert body.unpack(body.pack(whole)) == whole
    return None


def history_row(data: bytes) -> object:
    """A row: type, severity, module and the three lines of the body; what can be read can be written and shown."""
    kind, severity, module, text = pieces(data, 4)
    row = HistoryRow(
        id=1, boot_id="b", realtime_usec=1, monotonic_usec=1, type=kind.decode("utf-8", "replace"),
        severity=severity.decode("utf-8", "replace"), module=module.decode("utf-8", "replace") or None, body=text,
        prev_hash=NO_HASH, hash=NO_HASH,
    )  # fmt: skip
    tried(ValueError, digest, row)
    stored = read_back(row)
    json.dumps(stored.to_json())
    json.dumps(public_event_json(stored, {}))
    return None


def history_file(data: bytes) -> object:
    """The file of a history; whatever is wrong with it is a StoreError or a problem that is told."""
    directory = scratch() / "history"
    shutil.rmtree(directory, ignore_errors=True)
    put(f"history/{FILE}", data)
    reader = SqliteReader.open(directory)
    try:
        problems = [problem.kind for problem in reader.verify()]
        events = sum(1 for _ in reader.events())
        reader.load_checkpoints(None)
        ends, seals = reader.sealed(seal.series_of(SECRET))
        with patch.object(seal, "_MOST_EPOCHS", _FEW_EPOCHS):
            problems += [problem.kind for problem in seal.SealCheck(SECRET).problems(seals, None, ends)]
        compared = Compared("x", ends, reader.hash_of)
        problems += [problem.kind for problem in compared.problems([Claim(number, "00") for number in range(5)])]
        assert reader.summary().bytes >= 0
        return problems[:10], events
    finally:
        reader.close()


def seals(data: bytes) -> object:
    """The file of the key, and rows of the table as JSON, bytes in hex behind `x`: no seal that is not genuine counts.

    That of epoch 1 in the seeds is, and nobody makes another one without the key.
    """
    key_file, text = pieces(data, 2)
    path = put(KEY_FILE, key_file)
    current = tried(StoreError, seal.read_key, path)
    document = parse_json(text, "rows")
    table = document if isinstance(document, list) else []
    rows = [tuple(map(_of_sqlite, row)) for row in table if isinstance(row, list)]
    check = seal.SealCheck(SECRET)
    with patch.object(seal, "_MOST_EPOCHS", _FEW_EPOCHS):
        found = list(check.problems(seal.seals_of(check.series, rows), current, _ENDS))
    assert check.seals <= 1
    return [problem.text for problem in found[:20]]


def _of_sqlite(value: object) -> object:
    if isinstance(value, str) and value.startswith("x"):
        return tried(ValueError, bytes.fromhex, value[1:])
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def journal(data: bytes) -> object:
    """Entries of other units count for nothing, and each claim that the history does not bear out is told."""
    lines = data.splitlines(keepends=True)
    claims = [Claim(entry.id, entry.hash) for entry in events_of(lines)]
    assert len(claims) <= data.count(UNIT.encode()) + data.count(b"\\u")
    compared = Compared("the journal has it", _ENDS, lambda number: _HASH if 2 < number <= _HEAD.id else None)
    problems = list(compared.problems(claims))
    assert compared.agreed <= len(claims)
    assert problems or compared.agreed == len(claims) or any(claim.id <= 2 for claim in claims)
    return [problem.text for problem in problems[:20]]
