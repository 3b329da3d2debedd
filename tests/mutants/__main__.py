"""`make mutants`: try mutants until the budget is spent, and print a score for each room and every survivor."""

import argparse
import ast
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grafana.src.generate import ROOT
from tests.mutants.mutate import Mutant, mutants
from tests.mutants.rooms import ROOMS, Tests
from tests.tools import cache

ACCEPTED = Path(__file__).parent / "accepted.txt"
_TREE = ("kmodmon", "tests", "grafana", "systemd", "packaging", "pyproject.toml", "README.md", "CHANGELOG.md")


class Scratch:
    """A copy of the tree in which one file at a time is changed, and the process that runs tests in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in _TREE:
            source, target = ROOT / name, directory / name
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            elif source.exists():
                shutil.copy2(source, target)
        command = ("nice", sys.executable, "-m", "tests.mutants.worker")
        self._worker = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip

    def verdict(self, path: str, source: str, tests: Tests, seconds: float) -> str:
        """What the tests say when the file has this content."""
        target = self._directory / path
        original = target.read_text()
        for stale in target.parent.glob(f"__pycache__/{target.stem}.*"):
            stale.unlink()
        target.write_text(source)
        try:
            assert self._worker.stdin is not None and self._worker.stdout is not None
            print(json.dumps({"tests": tests, "seconds": seconds}), file=self._worker.stdin, flush=True)
            return self._worker.stdout.readline().strip() or "killed"
        finally:
            target.write_text(original)

    def end(self) -> None:
        """End the process."""
        self._worker.terminate()
        self._worker.wait()


@dataclass
class File:
    """One file, its mutants, the tests that belong to it, and what was found out so far."""

    room: str
    path: str
    tests: Tests
    verdicts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.source = (ROOT / self.path).read_text()
        self.mutants = tuple(mutants(self.path, self.source))
        self._kept = cache() / "mutants" / f"{digest(self.source.encode())}.json"
        if self._kept.exists():
            names = {mutant.name for mutant in self.mutants}
            kept: dict[str, list[str]] = json.loads(self._kept.read_text())
            # Other tests may notice what these did not.
            self.verdicts = {
                name: verdict
                for name, (verdict, tests) in kept.items()
                if name in names and (verdict != "survived" or tests == self._tests_digest)
            }

    @functools.cached_property
    def _tests_digest(self) -> str:
        paths = [ROOT / test for test in self.tests]
        files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
        return digest(b"".join(file.read_bytes() for file in files))

    def waiting(self) -> list[Mutant]:
        """Mutants that were not tried, in an order that makes any part of them a fair sample."""
        left = [mutant for mutant in self.mutants if mutant.name not in self.verdicts]
        return sorted(left, key=lambda mutant: digest(mutant.name.encode()))

    def note(self, mutant: Mutant, verdict: str) -> None:
        """Keep what became of a mutant, for the next run as well."""
        self.verdicts[mutant.name] = verdict
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: [verdict, self._tests_digest] for name, verdict in self.verdicts.items()}
        self._kept.write_text(json.dumps(kept))

    def survivors(self) -> list[Mutant]:
        """Mutants that no test noticed."""
        return [mutant for mutant in self.mutants if self.verdicts.get(mutant.name) == "survived"]


def digest(raw: bytes) -> str:
    """A short name for a content."""
    return hashlib.sha256(raw).hexdigest()[:24]


def files_of(room: str) -> list[File]:
    """The files of a room that have something to change."""
    found = {
        path.relative_to(ROOT).as_posix(): tests
        for pattern, tests in ROOMS[room].items()
        for path in sorted(ROOT.glob(pattern))
    }
    return [File(room, path, tests) for path, tests in found.items() if ast.parse((ROOT / path).read_text()).body[1:]]


def accepted() -> Mapping[str, str]:
    """The mutants that may survive, and why: lines `NAME  # REASON`."""
    lines = (line for line in ACCEPTED.read_text().splitlines() if line and not line.startswith("#"))
    return {name.strip(): reason.strip() for name, _, reason in (line.rpartition("  # ") for line in lines)}


def attempt(files: Sequence[File], seconds: float, scratch: Scratch) -> None:
    """Try mutants of these files in turn until the time is over or none is left."""
    ends = time.monotonic() + seconds
    waiting = {file.path: iter(file.waiting()) for file in files}
    patience: dict[str, float] = {}
    while waiting and time.monotonic() < ends:
        for file in [file for file in files if file.path in waiting]:
            mutant = next(waiting[file.path], None)
            if mutant is None or time.monotonic() >= ends:
                del waiting[file.path]
                continue
            if file.path not in patience:
                began = time.monotonic()
                verdict = scratch.verdict(file.path, file.source, file.tests, 600)
                assert verdict == "survived", f"the tests of {file.path} fail by themselves: {' '.join(file.tests)}"
                patience[file.path] = 10 + 5 * (time.monotonic() - began)
            file.note(mutant, scratch.verdict(file.path, mutant.source, file.tests, patience[file.path]))


def report(room: str, files: Sequence[File]) -> int:
    """Print the score of a room and its survivors; gives how many of them are not accepted."""
    fine = accepted()
    verdicts = Counter(verdict for file in files for verdict in file.verdicts.values())
    survivors = [mutant for file in files for mutant in file.survivors()]
    new = [mutant for mutant in survivors if mutant.name not in fine]
    tried, noticed = verdicts.total(), verdicts["killed"] + verdicts["hung"]
    judged = tried - (len(survivors) - len(new))
    score = f"{100 * noticed / judged:.1f} %" if judged else "-"
    total = sum(len(file.mutants) for file in files)
    print(f"{room}: {score} noticed; {tried} of {total} tried, {len(new)} survived, {tried - judged} accepted")
    for mutant in new:
        print(f"  {mutant.path}:{mutant.line}: {mutant.name.partition('::')[2]}")
    return len(new)


def stale(files: Sequence[File]) -> Iterator[str]:
    """Accepted survivors that a test notices by now, or that are not in their file any more."""
    by_path = {file.path: file for file in files}
    for name in accepted():
        file = by_path.get(name.partition("::")[0])
        if file is not None and file.verdicts.get(name, "survived" if name in _names(file) else "gone") != "survived":
            yield name


def _names(file: File) -> set[str]:
    return {mutant.name for mutant in file.mutants}


def main() -> int:
    """Try, then report; 1 if a survivor is not accepted."""
    parser = argparse.ArgumentParser(prog="make mutants", description="Try whether tests notice changes.")
    parser.add_argument("--room", choices=sorted(ROOMS), action="append", help="Which room; all if none is named.")
    parser.add_argument("--budget", type=float, default=1800.0, help="Seconds, shared by the rooms.")
    options = parser.parse_args()
    rooms: list[str] = options.room or list(ROOMS)
    survived = 0
    with tempfile.TemporaryDirectory(prefix="kmodmon-mutants-") as directory:
        scratch = Scratch(Path(directory))
        try:
            for room in rooms:
                files = files_of(room)
                attempt(files, options.budget / len(rooms), scratch)
                survived += report(room, files)
                for name in stale(files):
                    print(f"  not a survivor any more, take it out of {ACCEPTED.name}: {name}")
        finally:
            scratch.end()
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
