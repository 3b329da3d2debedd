"""The host as settings name it: its root, its boot, and one look at everything without a daemon."""

import os
from collections.abc import Mapping
from pathlib import Path

from kmodmon.clock import Clock
from kmodmon.engine import fresh_state
from kmodmon.model.observation import Seen, Tick
from kmodmon.model.outcome import Read
from kmodmon.model.state import State
from kmodmon.model.units import JsonObject
from kmodmon.pipeline import Rules, step
from kmodmon.root import MANIFEST, Root, recorded_failures
from kmodmon.settings import Settings
from kmodmon.sources import FOLLOWED, POLLED
from kmodmon.sources.source import Look, PollSource, Surroundings

NO_BOOT = "00000000-0000-0000-0000-000000000000"
SOURCE_NAMES = (*(source.name for source in POLLED), *(source.name for source in FOLLOWED))


def root_of(settings: Settings) -> Root:
    """Where this host's interfaces are; a recorded tree's manifest counts. Raises KmodmonError for a broken one."""
    paths = settings.path
    tree = Path(paths.rootfs)
    failures = recorded_failures(tree) if (tree / MANIFEST).exists() else None
    root = Root(
        procfs=os.fsencode(paths.procfs),
        sysfs=os.fsencode(paths.sysfs),
        rootfs=os.fsencode(paths.rootfs),
        tracefs=os.fsencode(paths.tracefs),
        securityfs=os.fsencode(paths.securityfs),
        debugfs=os.fsencode(paths.debugfs),
        dev=os.fsencode(paths.dev),
        modules=os.fsencode(paths.modules),
        efivars=os.fsencode(paths.efivars),
        pstore=os.fsencode(paths.pstore),
        kallsyms=os.fsencode(paths.kallsyms),
    )
    return root if failures is None else root.failing(failures)


def boot_id(root: Root) -> str:
    """/proc/sys/kernel/random/boot_id; a boot of zeros where it cannot be read."""
    return root.text(root.proc(b"sys", b"kernel", b"random", b"boot_id")) or NO_BOOT


def rules_of(settings: Settings) -> Rules:
    """What judgement takes from the settings."""
    return Rules(keep_recent_seconds=settings.retention.recent, recent_series=settings.retention.max_series)


def look_once(around: Surroundings, saved: Mapping[str, JsonObject]) -> State:
    """Read every poll source once and give what is known then; `saved`: what a daemon of this boot remembered."""
    state = fresh_state(boot_id(around.root), around.clock, (source.name for source in POLLED), saved)
    rules = rules_of(around.settings)
    for source in POLLED:
        state = _step(state, source, _read(source, around), around.clock, rules)
    return step(state, Seen(source="clock", at=around.clock.now(), outcome=Read(Tick())), rules)[0]


def _read(source: PollSource, around: Surroundings) -> Look:
    return source.make(around)()


def _step(state: State, source: PollSource, look: Look, clock: Clock, rules: Rules) -> State:
    seen = Seen(source=source.name, at=clock.now(), outcome=look.outcome, lost=look.lost, unreadable=look.unreadable)
    return step(state, seen, rules)[0]
