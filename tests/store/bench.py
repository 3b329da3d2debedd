"""What the history costs: `python -m tests.store.bench [EVENTS]` (a million by default); exits 1 when a goal is missed.

The events are the typical ones of `making.py` (a load by modprobe from a login shell, everything readable), a month's
worth, so that an hour holds one 720th of them. Queries are timed as whole commands, Python's start included.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kmodmon.events.event import Event, recorded_event
from kmodmon.store import open_reader
from kmodmon.store.database import FILE
from kmodmon.store.row import chained
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.types.units import Instant, Usec
from tests.store.making import BOOT, SECOND, START, typical

MONTH = 30 * 86_400 * SECOND
BATCH = 500
HOUR, DAY = (f"@{(START + MONTH) // SECOND - seconds}" for seconds in (3600, 86_400))
QUERIES: tuple[tuple[float | None, tuple[str, ...]], ...] = (
    (1.0, ("--since", HOUR)),
    (1.0, ("--since", HOUR, "--json")),
    (1.0, ("--since", HOUR, "--module", "rare_0")),
    (None, ("--module", "rare_0")),
    (1.0, ("--type", "Started")),
    (1.0, ("--type", "ModuleLoaded", "--limit", "100")),
    (1.0, ("--limit", "100")),
    (None, ("--since", DAY)),
)
REPOSITORY = Path(__file__).resolve().parents[2]


def spread(number: int, of: int) -> Event:
    """Event `number` of a month that has `of` events; every hundredth module is a rare one."""
    event = typical(number)
    at = Instant(realtime_usec=Usec(START + number * MONTH // of), monotonic_usec=event.at.monotonic_usec)
    module = f"rare_{number % 1000}" if number % 100 == 0 else event.module
    return recorded_event(
        type=event.type, at=at, severity=event.severity, module=module, actor=event.actor, evidence=event.evidence,
        fields=event.fields,
    )  # fmt: skip


def fill(directory: Path, count: int) -> tuple[float, float]:
    """Write the history; gives wall and CPU microseconds per event, without the making of the events."""
    history = SqliteHistory(directory, BOOT)
    wall = cpu = 0.0
    for start in range(1, count + 1, BATCH):
        batch = [spread(number, count) for number in range(start, min(start + BATCH, count + 1))]
        wall -= time.perf_counter()
        cpu -= time.thread_time()
        history.append(batch, {"cursor": {"seq": start}})
        cpu += time.thread_time()
        wall += time.perf_counter()
    history.close()
    return wall / count * 1e6, cpu / count * 1e6


def one_at_a_time(directory: Path) -> float:
    """Milliseconds of an acknowledged event that is written alone (the median of 200)."""
    history = SqliteHistory(directory, BOOT)
    times = []
    for number in range(200):
        begun = time.perf_counter()
        history.append([typical(number)])
        times.append(time.perf_counter() - begun)
    history.close()
    return sorted(times)[100] * 1000


def command(directory: Path, *words: str) -> tuple[float, float, int]:
    """Wall and CPU seconds of the fastest of three runs of a command, and the lines it printed."""
    runs: list[tuple[float, float]] = []
    lines = 0
    for _ in range(3):
        begun, before = time.perf_counter(), os.times()
        out = subprocess.run(
            [sys.executable, "-m", "kmodmon", "events", "--state-dir", str(directory), *words],
            cwd=REPOSITORY, capture_output=True, check=True,
        ).stdout  # fmt: skip
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        runs.append((time.perf_counter() - begun, cpu))
        lines = out.count(b"\n")
    wall, cpu = min(runs)
    return wall, cpu, lines


def timed(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure(directory: Path, count: int) -> Iterator[tuple[str, float, str, float | None]]:
    """Every figure: its name, value, unit and the goal it must stay under."""
    wall, cpu = fill(directory, count)
    yield f"append, batches of {BATCH}, synced", wall, "µs/event", None
    yield "  of it CPU", cpu, "µs/event", None
    event = typical(1)
    seconds = timed(lambda: [chained(event, 1, BOOT, bytes(32)) for _ in range(2000)])
    yield "  of it JSON and hash", seconds / 2000 * 1e6, "µs/event", None
    yield "disk", (directory / FILE).stat().st_size / count, "bytes/event", 450.0
    for goal, words in QUERIES:
        seconds, cpu, lines = command(directory, *words)
        yield f"events {' '.join(words)}  ({lines} lines, {cpu:.2f} s CPU)", seconds, "s", goal
    reader = open_reader(directory)
    yield "verify", timed(lambda: list(reader.verify())), "s", None
    reader.close()
    with tempfile.TemporaryDirectory(dir=directory) as other:
        yield "one event alone, acknowledged", one_at_a_time(Path(other)), "ms", None


def main() -> int:
    """Print every figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    missed = False
    with tempfile.TemporaryDirectory() as name:
        for what, value, unit, goal in measure(Path(name), count):
            verdict = "" if goal is None else f"  (goal: under {goal:g}{', MISSED' if value >= goal else ''})"
            missed |= goal is not None and value >= goal
            print(f"{what:<70} {value:10.3f} {unit}{verdict}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
