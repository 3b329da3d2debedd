"""The steady poll of 5,000 modules against a C program that reads and splits the same list.

*Read* is the source alone; *poll* is all that the daemon does with what it read: the lives of modules, judgement.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from kmodmon.config.settings import Settings
from kmodmon.metrics import EVENT_METRICS
from kmodmon.pipeline import step
from kmodmon.runtime.one_shot import look_once, rules_of
from kmodmon.sources.modules import ModulesReader
from kmodmon.sources.source import SourceContext
from kmodmon.system.clock import SystemClock
from kmodmon.system.root import Root
from kmodmon.types.source_name import SourceName
from tests.bench.ratio import Ratio, compiled, own_cpu_usec, paired
from tests.synthetic import make_host

MODULES = 5000
_UNCHANGED, _CHANGED = 50, 10


def run() -> Iterator[Ratio]:
    """Measure an unchanged list, and one of which 1 % changes at each poll."""
    program = compiled("modules_split.c")
    with tempfile.TemporaryDirectory() as base:
        root = make_host(Path(base), MODULES, 0)
        path = Path(base, "proc/modules")
        lines = path.read_bytes().splitlines(keepends=True)
        works: dict[str, tuple[Callable[[], object], float]] = {
            "read": (ModulesReader(root), 3),
            "poll": (poller(root), 10),
        }

        def peer() -> float:
            return float(subprocess.check_output([program, str(path), "50"], stderr=subprocess.DEVNULL))

        def changing(work: Callable[[], object]) -> float:
            return sum(_after_change(path, lines, turn, work) for turn in range(_CHANGED)) / _CHANGED

        for name, (work, most) in works.items():
            what = f"{name} of {MODULES} modules"
            work()
            ours, theirs = paired(partial(own_cpu_usec, work, _UNCHANGED), peer)
            yield Ratio(name=f"{what}, unchanged / C read+split", ours=ours, peer=theirs, goal=3)
            ours, theirs = paired(partial(changing, work), peer)
            yield Ratio(name=f"{what}, 1 % changed / C read+split", ours=ours, peer=theirs, goal=most)


def poller(root: Root) -> Callable[[], None]:
    """What the daemon does at a poll."""
    clock, settings = SystemClock(), Settings()
    state = look_once(SourceContext(root=root, settings=settings, clock=clock), event_metrics=EVENT_METRICS)
    read, rules = ModulesReader(root), rules_of(settings, EVENT_METRICS)

    def poll() -> None:
        nonlocal state
        state, _ = step(state, SourceName.MODULES, read(), clock.now(), rules)

    return poll


def _after_change(path: Path, lines: list[bytes], turn: int, work: Callable[[], object]) -> float:
    edited = (
        line.replace(b" 0 - Live", b" %d - Live" % (turn + 7)) if index % 100 == 0 else line
        for index, line in enumerate(lines)
    )
    path.write_bytes(b"".join(edited))
    return own_cpu_usec(work, 1)
