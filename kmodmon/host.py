"""The host as settings name it: its root, its boot, and one look at everything without being its daemon.

A command is to be quick. What costs seconds on a slow machine - examining module files, reading every symbol of the
kernel - is not done again while a daemon of this boot is at work: what it remembered is believed. It compares the views
every few seconds; its files are still those by inode and time; and a module whose file it has yet to examine is pending
here as it is there, unless it carries a taint: then a finding may hang on it, and it is examined here. Everything else
is read from the kernel, daemon or no.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.clock import Clock
from kmodmon.kernel.error import ParseError
from kmodmon.kernel.identity import parse_boot_id
from kmodmon.model.checkpoint import CHECKPOINTS, LASTING
from kmodmon.model.files import ModuleFilesRead, load_paths
from kmodmon.model.observation import Seen, Tick
from kmodmon.model.outcome import Absent, Read
from kmodmon.model.source import NOT_READ_YET, SourceState, sources_from_json
from kmodmon.model.state import State
from kmodmon.model.units import JsonObject
from kmodmon.pipeline import Rules, step
from kmodmon.policy.standing import Wanted
from kmodmon.root import Root
from kmodmon.settings import Settings
from kmodmon.sources.files import SOURCE as FILES
from kmodmon.sources.files import examine, recalled
from kmodmon.sources.polled import POLLED
from kmodmon.sources.rules import SOURCES as RULES
from kmodmon.sources.source import Look, PollSource, Surroundings

NO_BOOT = "00000000-0000-0000-0000-000000000000"
REMEMBERED = ("crossview", "files")  # sources that cost seconds
FEW = 8  # files that are examined without a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a daemon of this boot remembered, by section; `attended`: it is at work now, so that it all still holds."""

    saved: Mapping[str, JsonObject] = field(default_factory=dict)
    attended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What of a host a command wants: `only` these sources (None: all); `thorough`: nothing may be pending.

    `say` hears a sentence before something that takes long.
    """

    only: Collection[str] | None = None
    thorough: bool = False
    say: Callable[[str], None] = field(default=lambda sentence: None)

    def wants(self, name: str) -> bool:
        """Whether the source is to be looked at."""
        return self.only is None or name in self.only


NOTHING_REMEMBERED = Memory()
EVERYTHING = Glance()


def boot_id(root: Root) -> str:
    """/proc/sys/kernel/random/boot_id; a boot of zeros where it cannot be read, or is no UUID."""
    found = root.read(root.proc(b"sys", b"kernel", b"random", b"boot_id"))
    try:
        return parse_boot_id(found.value) if isinstance(found, Read) else NO_BOOT
    except ParseError:
        return NO_BOOT


def rules_of(settings: Settings) -> Rules:
    """What judgement takes from the settings."""
    return Rules(
        keep_recent_seconds=settings.retention.recent,
        recent_series=settings.retention.max_series,
        wanted=Wanted(expected=settings.expected.modules),
    )


def fresh_state(boot_id: str, clock: Clock, names: Iterable[str], saved: Mapping[str, JsonObject]) -> State:
    """The state at start: what an earlier run of this boot remembered, and every source as not read yet."""
    state = State(boot_id=boot_id, started=clock.now(), resumed=not saved.keys() <= set(LASTING))
    state = replace(state, sources={name: SourceState(name=name) for name in names})
    for checkpoint in CHECKPOINTS:
        if checkpoint.section in saved:
            state = checkpoint.load(state, saved[checkpoint.section])
    return state


def look_once(around: Surroundings, memory: Memory = NOTHING_REMEMBERED, glance: Glance = EVERYTHING) -> State:
    """Read the poll sources once, or believe the daemon where it knows, and give what is known then."""
    state = fresh_state(boot_id(around.root), around.clock, (source.name for source in POLLED), memory.saved)
    told = sources_from_json(memory.saved.get("sources", {})) if memory.attended else {}
    rules = rules_of(around.settings)
    rules = replace(rules, wanted=replace(rules.wanted, at_once=True))
    # Nothing is judged before the rules are known: they come last, so that all is judged once.
    for source in sorted(POLLED, key=lambda source: source in RULES):
        if not glance.wants(source.name):
            continue
        known = told.get(source.name) if source.name in REMEMBERED else None
        if known is not None and glance.thorough and (source is FILES or not known.up):
            known = None
        if known is None or source is FILES:
            look = _files(state, around, glance, known) if source is FILES else source.make(around)()
            state = _step(state, source, look, around.clock, rules)
        if known is not None:
            state = replace(state, sources={**state.sources, known.name: known})
    return step(state, Seen(source="clock", at=around.clock.now(), outcome=Read(Tick())), rules)[0]


def _files(state: State, around: Surroundings, glance: Glance, attended: SourceState | None) -> Look:
    """Module files as far as they are remembered; the others are examined, or left to the daemon if there is one."""
    told = recalled(around.root, state.files, state.inventory)
    missing = [module for name, module in state.inventory.modules.items() if name not in told.files]
    if attended is not None:
        if not attended.up and attended.why != NOT_READ_YET:
            return Look(outcome=Absent(attended.why))
        left = [module for module in missing if not module.taint]
        missing = [module for module in missing if module.taint]
        if left:
            glance.say(f"the daemon has yet to examine the files of {len(left)} modules: what they are is not known")
    if not missing and (told.files or attended is not None):
        return Look(outcome=Read(told), unreadable=len(told.problems))
    if len(missing) > FEW:
        glance.say(f"examining the files of {len(missing)} modules; while `kmodmon run` is at work it does that once")
    hints = load_paths(state.inventory)
    look = examine(replace(around, module_paths=lambda: hints), [module.name for module in missing])
    if isinstance(look.outcome, Read) and isinstance(look.outcome.value, ModuleFilesRead):
        found = look.outcome.value
        files = MappingProxyType({**told.files, **found.files})
        return replace(look, outcome=Read(replace(found, files=files)))
    return look


def _step(state: State, source: PollSource, look: Look, clock: Clock, rules: Rules) -> State:
    seen = Seen(source=source.name, at=clock.now(), outcome=look.outcome, lost=look.lost, unreadable=look.unreadable)
    return step(state, seen, rules)[0]
