"""The steady poll of 5,000 modules against a C program that reads and splits the same list."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kmodmon.sources.modules import ModulesReader
from tests.bench.ratio import Ratio, compiled, own_cpu_usec, paired
from tests.synthetic import make_host

MODULES = 5000


def run() -> Iterator[Ratio]:
    """Measure an unchanged list, and one of which 1 % changes at each poll."""
    program = compiled("modules_split.c")
    with tempfile.TemporaryDirectory() as base:
        root = make_host(Path(base), MODULES, 0)
        path = Path(base, "proc/modules")
        reader = ModulesReader(root)
        for _ in range(1 + MODULES // 64):
            reader()

        def peer() -> float:
            return float(subprocess.check_output([program, str(path), "50"], stderr=subprocess.DEVNULL))

        ours, theirs = paired(lambda: own_cpu_usec(reader, 50), peer)
        yield Ratio(name=f"poll of {MODULES} modules, unchanged / C read+split", ours=ours, peer=theirs, goal=3)
        lines = path.read_bytes().splitlines(keepends=True)

        def changing() -> float:
            total = 0.0
            for turn in range(10):
                edited = [
                    line.replace(b" 0 - Live", b" %d - Live" % (turn + 7)) if index % 100 == 0 else line
                    for index, line in enumerate(lines)
                ]
                path.write_bytes(b"".join(edited))
                total += own_cpu_usec(reader, 1)
            return total / 10

        ours, theirs = paired(changing, peer)
        yield Ratio(name=f"poll of {MODULES} modules, 1 % changed / C read+split", ours=ours, peer=theirs, goal=3)
