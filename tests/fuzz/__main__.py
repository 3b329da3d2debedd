"""`make fuzz`: fuzz the targets until the budget is spent, and print what was executed and covered.

Two targets run at a time, each in its own process. What they find is kept in the cache, so a run goes on where the one
before it ended, also one that was interrupted. Exits 1 when an input fails.
"""

import argparse
import importlib.util
import re
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.tools import cache

AT_A_TIME = 2
MOST_SEEDS = 60
FAILED = "found-"  # begins the names of committed inputs that once failed, which stay
# Of the committed corpus of one target, where more is not needed to cover its code:
MOST_BYTES = 4_000
MOST_INPUTS = 10
LARGEST = 200_000  # bytes of the committed corpus of one target, also where more would cover more
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_EDGES = re.compile(r"\bcov: (\d+)")
_WITHOUT = (
    "atheris is not installed, because it has no wheel for this platform or this Python: "
    "there is no coverage-guided fuzzing here"
)

if importlib.util.find_spec("atheris") is None:
    print(_WITHOUT)
    sys.exit(0)

from tests.fuzz import one  # noqa: E402 - imports the product with counters in it, before anything else does
from tests.fuzz.inputs import sample  # noqa: E402
from tests.fuzz.seeds import SEEDS  # noqa: E402
from tests.fuzz.target import CORPUS, CRASHES, HERE, Target, digest  # noqa: E402
from tests.fuzz.targets import BY_NAME, TARGETS  # noqa: E402


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one target."""

    name: str
    executions: int
    seconds: float
    edges: int
    failed: tuple[Path, ...]  # the inputs on which it failed
    problem: str = ""  # the last lines of a process that ended otherwise


def working(name: str) -> Path:
    """Where the inputs of a target are kept from run to run."""
    return cache() / "fuzz" / name


def prepared(target: Target) -> Path:
    """The working corpus, with the committed one and the seeds in it."""
    directory = working(target.name)
    directory.mkdir(parents=True, exist_ok=True)
    committed = [path.read_bytes() for path in sorted((CORPUS / target.name).glob("*"))]
    for data in [*committed, *sample(list(SEEDS[target.name]()), MOST_SEEDS)]:
        cut = data[: target.max_bytes]
        (directory / digest(cut)).write_bytes(cut)
    return directory


@dataclass(frozen=True, slots=True)
class Running:
    """A target while it is fuzzed."""

    target: Target
    process: BaseProcess
    began: float
    before: frozenset[Path]

    @property
    def output(self) -> Path:
        """What its process printed."""
        return _output(self.target)

    def outcome(self) -> Outcome:
        """What became of it, once its process has ended."""
        name = self.target.name
        said = self.output.read_text("utf-8", "replace")
        failed = tuple(sorted(set(CRASHES.glob(f"{name}.*")) - self.before))
        for path in failed:
            path.with_name(f"{path.name}.log").write_text(said[-20_000:])
        executed = _EXECUTED.search(said)
        return Outcome(
            name=name,
            executions=int(executed[1]) if executed else 0,
            seconds=time.monotonic() - self.began,
            edges=max((int(number) for number in _EDGES.findall(said)), default=0),
            failed=failed,
            problem="" if failed or self.process.exitcode == 0 else said[-2000:],
        )


def _output(target: Target) -> Path:
    return working(target.name).with_suffix(".out")


def begin(target: Target, seconds: float) -> Running:
    """Start to fuzz a target."""
    CRASHES.mkdir(exist_ok=True)
    options = (
        f"-max_total_time={max(1, round(seconds))}", f"-artifact_prefix={CRASHES}/{target.name}.",
        "-print_final_stats=1", f"-max_len={target.max_bytes}", "-timeout=10", "-rss_limit_mb=1024",
    )  # fmt: skip
    before = frozenset(CRASHES.glob(f"{target.name}.*"))
    process = one.start(target, (*options, str(prepared(target))), _output(target))
    return Running(target, process, time.monotonic(), before)


def report(outcome: Outcome) -> None:
    """Print one line about a target, and how to replay what failed."""
    rate = outcome.executions / max(outcome.seconds, 0.001)
    print(f"{outcome.name:30} {outcome.executions:>10} {rate:>9.0f}/s {outcome.edges:>6} edges", flush=True)
    for path in outcome.failed:
        shown = path.relative_to(HERE.parents[1])
        print(f"  FAILED: .venv/bin/python -m tests.fuzz.one {outcome.name} {shown}  (output: {shown}.log)", flush=True)
    if outcome.problem:
        print(f"  ENDED: {outcome.problem}", flush=True)


def fuzz(targets: Sequence[Target], budget: float) -> int:
    """Fuzz the targets within `budget` seconds; 1 if one failed."""
    ends = time.monotonic() + budget
    waiting = deque(targets)
    running: list[Running] = []
    outcomes: list[Outcome] = []
    while waiting or running:
        while waiting and len(running) < AT_A_TIME:
            left = ends - time.monotonic()
            rounds = -(-len(waiting) // AT_A_TIME)
            running.append(begin(waiting.popleft(), left / rounds))
        time.sleep(0.1)
        for each in [each for each in running if not each.process.is_alive()]:
            running.remove(each)
            outcomes.append(each.outcome())
            report(outcomes[-1])
    failed = [outcome for outcome in outcomes if outcome.failed or outcome.problem]
    executions = sum(outcome.executions for outcome in outcomes)
    edges = sum(outcome.edges for outcome in outcomes)
    print(f"{len(outcomes)} targets: {executions} executions, {edges} edges covered, {len(failed)} failed")
    return 1 if failed else 0


def minimise(target: Target) -> None:
    """Replace the committed corpus of a target by small inputs that cover all code that the working corpus covers."""
    beside = bytes(HERE.parents[2]) + b"/"  # where the tree lies, also with another name for it
    inputs = (path for path in prepared(target).iterdir() if beside not in path.read_bytes())
    found = sorted(inputs, key=lambda path: (path.stat().st_size, path.name))
    control = working(target.name).with_suffix(".merge")
    control.write_text("\n".join([str(len(found)), "0", *map(str, found), ""]))
    # What libFuzzer's -merge starts in a process of its own; -merge itself would start this program again.
    options = ("-merge_inner=1", f"-merge_control_file={control}", "-timeout=10", f"-max_len={target.max_bytes}")
    one.start(target, options, _output(target)).join()
    kept = chosen(found, control.read_text())
    control.unlink()
    if not kept:
        print(f"{target.name}: no input was measured, the corpus stays")
        return
    directory = CORPUS / target.name
    directory.mkdir(exist_ok=True, parents=True)
    for path in directory.iterdir():
        if not path.name.startswith(FAILED):
            path.unlink()
    for data in (path.read_bytes() for path in kept):
        if not (directory / f"{FAILED}{digest(data)}").exists():
            (directory / digest(data)).write_bytes(data)
    size = sum(path.stat().st_size for path in kept)
    print(f"{target.name}: {len(kept)} of {len(found)} inputs, {size} bytes", flush=True)


def chosen(found: Sequence[Path], measured: str) -> list[Path]:
    """The inputs to keep, by libFuzzer's report: all that reach new code, and as many as fit that do it otherwise.

    Lines `COV INDEX PLACE...` and `FT INDEX FEATURE...`: what an input covers that those before it did not, which are
    smaller, and everything that it does: how often each place was reached, and with which values.
    """
    rows = [line.split() for line in measured.splitlines()]
    kept = {int(row[1]) for row in rows if row[:1] == ["COV"] and len(row) > 2}
    features = {int(row[1]): set(row[2:]) for row in rows if row[:1] == ["FT"]}
    size = 0
    for index in sorted(kept):
        size += found[index].stat().st_size
        if size > LARGEST:
            kept = {each for each in kept if each < index}
            break
    seen = {feature for index in kept for feature in features.get(index, ())}
    size = sum(found[index].stat().st_size for index in kept)
    for index, reached in features.items():
        size_with = size + found[index].stat().st_size
        if len(kept) < MOST_INPUTS and size_with <= MOST_BYTES and not reached <= seen:
            kept.add(index)
            seen |= reached
            size = size_with
    return [found[index] for index in sorted(kept)]


def main() -> int:
    """Fuzz, or minimise."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Coverage-guided fuzzing of all that reads bytes.")
    parser.add_argument(
        "--target", choices=sorted(BY_NAME), action="append", help="Which target; all if none is named."
    )
    parser.add_argument("--budget", type=float, default=1200.0, help="Seconds, shared by the targets.")
    parser.add_argument("--minimise", action="store_true", help="Write the committed corpus anew from what was found.")
    options = parser.parse_args()
    targets = [BY_NAME[name] for name in options.target] if options.target else list(TARGETS)
    if not options.minimise:
        return fuzz(targets, options.budget)
    for target in targets:
        minimise(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
