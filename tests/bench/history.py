"""The history against plain sqlite3: what numbering, hashing and an index for each question cost.

The peer keeps the same events as JSON texts in a table with their times, indexed, with the same pragmas, in batches of
the same size, and prints those of an hour. `python -m tests.store.bench` has the seconds of a million events.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from kmodmon.events.event import Event
from kmodmon.store.sqlite import SqliteHistory
from tests.bench.ratio import Ratio, paired
from tests.store.bench import BATCH, HOUR, REPOSITORY, spread
from tests.store.making import BOOT

EVENTS = 50_000
ROUNDS = 3
_PRINT = """
import sqlite3, sys
asked = "SELECT body FROM event WHERE realtime >= ? ORDER BY id"
for (body,) in sqlite3.connect(sys.argv[1]).execute(asked, (int(sys.argv[2]),)):
    print(body)
"""


def run() -> Iterator[Ratio]:
    """Measure appending, and the command that shows an hour of a month."""
    events = [spread(number, EVENTS) for number in range(1, EVENTS + 1)]
    with tempfile.TemporaryDirectory() as base:
        place = Path(base)
        ours, peer = paired(partial(_appended, place, events), partial(_inserted, place, events), ROUNDS)
        yield Ratio(name="an event appended / plain sqlite3 insert", ours=ours, peer=peer, goal=4)
        since = f"{HOUR.removeprefix('@')}000000"
        shown = [sys.executable, "-m", "kmodmon", "events", "--state-dir", base, "--json", "--since", HOUR]
        plain = [sys.executable, "-c", _PRINT, str(place / "plain.sqlite3"), since]
        ours, peer = paired(partial(_command, shown), partial(_command, plain), ROUNDS)
        yield Ratio(name=f"events --since 1h, of {EVENTS} / python -c SELECT", ours=ours, peer=peer, goal=6)


def _appended(place: Path, events: Sequence[Event]) -> float:
    """CPU microseconds of an event in the history."""
    for path in place.glob("history*"):
        path.unlink()
    history = SqliteHistory(place, BOOT)
    begun = time.thread_time_ns()
    for start in range(0, len(events), BATCH):
        history.append(events[start : start + BATCH])
    used = time.thread_time_ns() - begun
    history.close()
    return used / 1e3 / len(events)


def _inserted(place: Path, events: Sequence[Event]) -> float:
    """CPU microseconds of an event in a plain table."""
    for path in place.glob("plain*"):
        path.unlink()
    connection = sqlite3.connect(place / "plain.sqlite3", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE event (id INTEGER PRIMARY KEY, realtime INTEGER, body TEXT);"
        "CREATE INDEX event_realtime ON event (realtime);"
    )
    begun = time.thread_time_ns()
    for start in range(0, len(events), BATCH):
        batch = events[start : start + BATCH]
        rows = [(one.at.realtime_usec, json.dumps(one.to_json(), default=dict)) for one in batch]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO event (realtime, body) VALUES (?, ?)", rows)
        connection.execute("COMMIT")
    used = time.thread_time_ns() - begun
    connection.close()
    return used / 1e3 / len(events)


def _command(words: Sequence[str]) -> float:
    """CPU microseconds of a whole command; its output is thrown away."""
    before = os.times()
    subprocess.run(words, cwd=REPOSITORY, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return (after.children_user + after.children_system - before.children_user - before.children_system) * 1e6
