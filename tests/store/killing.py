"""Writes bursts to a history and is killed for it: `python -m tests.store.killing DIRECTORY ROUNDS SEED`.

Each round forks a child that opens the history, submits bursts of events with a checkpoint each, and writes the ids
that were acknowledged to a pipe. After a random time it gets SIGKILL. Then the history must hold every acknowledged id
with the very hash, its chain must be whole, and the checkpoint must speak of exactly the newest event. Prints one line
of JSON: {"rounds", "acknowledged", "stored", "problems"}.
"""

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from kmodmon.events.event import StoredEvent
from kmodmon.store import open_reader
from kmodmon.store.backend import DiskBackend
from kmodmon.store.options import WriterOptions
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.store.writer import HistoryWriter
from kmodmon.system.clock import SystemClock
from tests.store.making import BOOT, typical


def write_bursts(directory: Path, acknowledge: int, seed: int) -> None:
    """Never returns."""
    dice = random.Random(seed)
    place = DiskBackend(directory=directory, boot_id=BOOT)

    def stored(events: tuple[StoredEvent, ...]) -> None:
        os.write(acknowledge, b"".join(b"%d %b\n" % (event.id, event.hash.encode()) for event in events))

    writer = HistoryWriter(
        place,
        SystemClock(),
        call_soon=lambda call: call(),
        on_stored=stored,
        options=WriterOptions(pause=0.001, batch=40),
    )
    remembered = writer.start(BOOT).get("cursor", {}).get("seq", 0)
    number = remembered if isinstance(remembered, int) else 0
    while True:
        burst = [typical(number + each) for each in range(1, dice.randint(2, 60))]
        number += len(burst)
        writer.submit(burst, {"cursor": {"seq": number}})
        time.sleep(dice.uniform(0, 0.004))


def one_round(directory: Path, seed: int) -> dict[int, str]:
    """Let a child write and kill it; gives what it acknowledged."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            write_bursts(directory, writing, seed)
        finally:
            os._exit(1)
    os.close(writing)
    if seed % 4:  # else it may die while it opens the history
        select.select([reading], [], [], 30)
    time.sleep(random.Random(seed).uniform(0.0, 0.05))
    os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().split(b"\n")[:-1]  # what follows the last newline was cut by the kill
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"the child ended by itself: {status}")
    return {int(place): value.decode() for place, value in (line.split() for line in lines)}


def examine(directory: Path, acknowledged: dict[int, str]) -> list[str]:
    """What is wrong after a kill."""
    if not (directory / "history.sqlite3").exists():
        return ["no history"] if acknowledged else []
    history = SqliteHistory(directory, BOOT)  # as a restart does; it also shows that the lock went with the child
    problems = [problem.text for problem in history.verify()]
    stored = {event.id: event.hash for event in history.events()}
    problems += [f"event {place} is lost" for place, value in acknowledged.items() if stored.get(place) != value]
    cursor = history.load_checkpoints(BOOT).get("cursor", {}).get("seq", 0)
    if cursor != len(stored):
        problems.append(f"the checkpoint says {cursor}, the history holds {len(stored)}")
    history.close()
    return problems


def main(directory: Path, rounds: int, seed: int) -> None:
    """Kill and examine."""
    acknowledged: dict[int, str] = {}
    problems: list[str] = []
    for number in range(rounds):
        acknowledged |= one_round(directory, seed + number)
        if number % 10 == 9 or number == rounds - 1:
            problems += examine(directory, acknowledged)
    reader = open_reader(directory)
    total = reader.summary().events
    reader.close()
    print(json.dumps({"rounds": rounds, "acknowledged": len(acknowledged), "stored": total, "problems": problems}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
