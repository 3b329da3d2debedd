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

from kmodmon.config.settings import Settings
from kmodmon.events.timestamps import NO_EVENT_METRICS, EventMetrics
from kmodmon.kernel.identity import parse_boot_id
from kmodmon.pipeline import Rules, step
from kmodmon.policy.evaluate import PolicySettings
from kmodmon.sources.files import SOURCE as FILES
from kmodmon.sources.files import examine, recalled
from kmodmon.sources.registry import POLLED
from kmodmon.sources.rules import SOURCES as RULES
from kmodmon.sources.source import PollSource, SourceContext
from kmodmon.state.checkpoint import CHECKPOINTS, LASTING
from kmodmon.state.observation import Reading, Tick
from kmodmon.state.state import State
from kmodmon.subjects.files import ModuleFilesRead, load_paths
from kmodmon.subjects.source import SourceState, SourceStatus, sources_from_json
from kmodmon.system.clock import Clock
from kmodmon.system.root import Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Absent, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import JsonObject

NO_BOOT = "00000000-0000-0000-0000-000000000000"
REMEMBERED = (SourceName.CROSSVIEW, SourceName.FILES)  # sources that cost seconds
FEW = 8  # files that are examined without a word


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonMemory:
    """What a daemon of this boot remembered, by section; `attended`: it is at work now, so that it all still holds."""

    saved: Mapping[str, JsonObject] = field(default_factory=dict)
    daemon_running: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What of a host a command wants: `only` these sources (None: all); `thorough`: nothing may be pending.

    `say` hears a sentence before something that takes long.
    """

    only: Collection[str] | None = None
    thorough: bool = False
    say: Callable[[str], None] = field(default=lambda sentence: None)

    def wants(self, name: str) -> bool:
        """Whether the source is to be looked at."""
        return self.only is None or name in self.only


NOTHING_REMEMBERED = DaemonMemory()
EVERYTHING = Scope()


def boot_id(root: Root) -> str:
    """/proc/sys/kernel/random/boot_id; a boot of zeros where it cannot be read, or is no UUID."""
    found = root.read(root.proc(b"sys", b"kernel", b"random", b"boot_id"))
    try:
        return parse_boot_id(found.value) if isinstance(found, Read) else NO_BOOT
    except ParseError:
        return NO_BOOT


def rules_of(settings: Settings, event_metrics: EventMetrics = NO_EVENT_METRICS) -> Rules:
    """What the pipeline takes from the settings, and the metrics that events move, if anybody reads them."""
    return Rules(
        keep_recent_seconds=settings.retention.recent,
        recent_series=settings.retention.max_series,
        policy=PolicySettings(expected=settings.expected.modules),
        event_metrics=event_metrics,
    )


def fresh_state(boot_id: str, clock: Clock, names: Iterable[SourceName], saved: Mapping[str, JsonObject]) -> State:
    """The state at start: what an earlier run of this boot remembered, and every source as not read yet."""
    state = State(boot_id=boot_id, started=clock.now(), resumed=not saved.keys() <= set(LASTING))
    state = replace(state, sources={name: SourceState(name=name) for name in names})
    for checkpoint in CHECKPOINTS:
        if checkpoint.section in saved:
            state = checkpoint.load(state, saved[checkpoint.section])
    return state


def look_once(
    context: SourceContext,
    memory: DaemonMemory = NOTHING_REMEMBERED,
    glance: Scope = EVERYTHING,
    event_metrics: EventMetrics = NO_EVENT_METRICS,
) -> State:
    """Read the poll sources once, or believe the daemon where it knows, and give what is known then."""
    state = fresh_state(boot_id(context.root), context.clock, (source.name for source in POLLED), memory.saved)
    told = sources_from_json(memory.saved.get("sources", {})) if memory.daemon_running else {}
    rules = rules_of(context.settings, event_metrics)
    rules = replace(rules, policy=replace(rules.policy, at_once=True))
    # Nothing is judged before the rules are known: they come last, so that all is judged once.
    for source in sorted(POLLED, key=lambda source: source in RULES):
        if not glance.wants(source.name):
            continue
        known = told.get(source.name) if source.name in REMEMBERED else None
        if known is not None and glance.thorough and (source is FILES or not known.up):
            known = None
        if known is None or source is FILES:
            look = _files(state, context, glance, known) if source is FILES else source.make(context)()
            state = _step(state, source, look, context.clock, rules)
        if known is not None:
            state = replace(state, sources={**state.sources, known.name: known})
    return step(state, SourceName.CLOCK, Reading(outcome=Read(Tick())), context.clock.now(), rules)[0]


def _files(state: State, context: SourceContext, glance: Scope, daemon_running: SourceState | None) -> Reading:
    """Module files as far as they are remembered; the others are examined, or left to the daemon if there is one."""
    told = recalled(context.root, state.files, state.inventory)
    missing = [module for name, module in state.inventory.modules.items() if name not in told.files]
    if daemon_running is not None:
        if not daemon_running.up and daemon_running.status is not SourceStatus.NOT_READ:
            return Reading(outcome=Absent(daemon_running.why))
        left = [module for module in missing if not module.taint]
        missing = [module for module in missing if module.taint]
        if left:
            glance.say(f"the daemon has yet to examine the files of {len(left)} modules: what they are is not known")
    if not missing and (told.files or daemon_running is not None):
        return Reading(outcome=Read(told), unreadable=len(told.problems))
    if len(missing) > FEW:
        glance.say(f"examining the files of {len(missing)} modules; while `kmodmon run` is at work it does that once")
    hints = load_paths(state.inventory)
    look = examine(replace(context, module_paths=lambda: hints), [module.name for module in missing])
    if isinstance(look.outcome, Read) and isinstance(look.outcome.value, ModuleFilesRead):
        found = look.outcome.value
        files = MappingProxyType({**told.files, **found.files})
        return replace(look, outcome=Read(replace(found, files=files)))
    return look


def _step(state: State, source: PollSource, reading: Reading, clock: Clock, rules: Rules) -> State:
    return step(state, source.name, reading, clock.now(), rules)[0]
