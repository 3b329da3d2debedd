"""The host as settings name it: its root, its boot, and one look at everything without a daemon."""

from collections.abc import Mapping
from dataclasses import replace

from kmodmon.clock import Clock
from kmodmon.engine import fresh_state
from kmodmon.model.files import load_paths
from kmodmon.model.observation import Seen, Tick
from kmodmon.model.outcome import Read
from kmodmon.model.state import State
from kmodmon.model.units import JsonObject
from kmodmon.pipeline import Rules, step
from kmodmon.policy.standing import Wanted
from kmodmon.root import Root
from kmodmon.settings import Settings
from kmodmon.sources import FOLLOWED, POLLED
from kmodmon.sources.files import SOURCE as FILES
from kmodmon.sources.files import recalled
from kmodmon.sources.source import Look, PollSource, Surroundings

NO_BOOT = "00000000-0000-0000-0000-000000000000"
SOURCE_NAMES = (*(source.name for source in POLLED), *(source.name for source in FOLLOWED))


def boot_id(root: Root) -> str:
    """/proc/sys/kernel/random/boot_id; a boot of zeros where it cannot be read."""
    return root.text(root.proc(b"sys", b"kernel", b"random", b"boot_id")) or NO_BOOT


def rules_of(settings: Settings) -> Rules:
    """What judgement takes from the settings."""
    return Rules(
        keep_recent_seconds=settings.retention.recent,
        recent_series=settings.retention.max_series,
        wanted=Wanted(expected=settings.expected.modules),
    )


def look_once(around: Surroundings, saved: Mapping[str, JsonObject], *, files: bool = True) -> State:
    """Read every poll source once and give what is known then; `saved`: what a daemon of this boot remembered.

    `files`: module files too, which takes a second unless the daemon has examined all of them.
    """
    state = fresh_state(boot_id(around.root), around.clock, (source.name for source in POLLED), saved)
    rules = rules_of(around.settings)
    rules = replace(rules, wanted=replace(rules.wanted, at_once=True))
    for source in POLLED:
        if source is not FILES or files:
            look = _files(state, around) if source is FILES else _read(source, around)
            state = _step(state, source, look, around.clock, rules)
    return step(state, Seen(source="clock", at=around.clock.now(), outcome=Read(Tick())), rules)[0]


def _files(state: State, around: Surroundings) -> Look:
    known = recalled(around.root, state.files, state.inventory)
    return known or _read(FILES, replace(around, module_paths=lambda: load_paths(state.inventory)))


def _read(source: PollSource, around: Surroundings) -> Look:
    return source.make(around)()


def _step(state: State, source: PollSource, look: Look, clock: Clock, rules: Rules) -> State:
    seen = Seen(source=source.name, at=clock.now(), outcome=look.outcome, lost=look.lost, unreadable=look.unreadable)
    return step(state, seen, rules)[0]
