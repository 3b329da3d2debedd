"""One line of a benchmark: what kmodmon cost, what the peer cost, and how many times that is."""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Costs are CPU microseconds per piece of work; `goal` is the largest ratio that is fine."""

    name: str
    ours: float
    peer: float
    goal: float

    def __str__(self) -> str:
        ratio = self.ours / self.peer if self.peer else float("inf")
        word = "ok" if ratio <= self.goal else "MISSED"
        return f"{self.name:<58} {self.ours:>10.2f} {self.peer:>10.2f} {ratio:>8.3f}x  (goal {self.goal:g}x) {word}"


def paired(ours: Callable[[], float], peer: Callable[[], float], rounds: int = 5) -> tuple[float, float]:
    """Median costs of both, measured in turn so that noise falls on both sides."""
    pairs = [(ours(), peer()) for _ in range(rounds)]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def own_cpu_usec(work: Callable[[], object], times: int) -> float:
    """CPU microseconds of this process for one `work`."""
    start = time.process_time_ns()
    for _ in range(times):
        work()
    return (time.process_time_ns() - start) / 1e3 / times


def process_cpu_usec(pid: int) -> float:
    """CPU microseconds that process `pid` has used, its ended threads included (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e3


def compiled(source: str) -> Path:
    """A C program of this directory, compiled with -O2 into a temporary directory of this run."""
    target = Path(_BUILD.name) / Path(source).stem
    if not target.exists():
        subprocess.run(["gcc", "-O2", "-Wall", "-o", str(target), str(HERE / source)], check=True)
    return target


_BUILD = tempfile.TemporaryDirectory(prefix="kmodmon-bench-")
