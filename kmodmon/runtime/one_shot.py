"""Reading a host once, for a command: the state of the daemon is used where reading would be slow.

Two sources take seconds on a slow machine: examining module files, and comparing the kernel's views of its modules.
While a daemon of this boot runs, a command uses its checkpoints of these two instead. The daemon compares the views
every few seconds. Its records of files still hold for every file with the same inode and times. A module that the
daemon has not examined yet stays unexamined here as well, unless it is tainted: a finding may depend on its file, so it
is examined here. All other sources are read from the kernel.

A source that hangs is given up after the deadline, and the next one is read: a command always ends.
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
from kmodmon.sources.timed_call import DEADLINE, HungError, ReadingThread, TimedCall, call_in_time
from kmodmon.state.checkpoint import CHECKPOINTS, LASTING
from kmodmon.state.observation import Reading, Tick
from kmodmon.state.state import State
from kmodmon.subjects.files import load_paths
from kmodmon.subjects.source import SourceState, SourceStatus, sources_from_json
from kmodmon.system.clock import Clock
from kmodmon.system.root import NUMBER, Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Absent, Failed, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import JsonObject

NO_BOOT = "00000000-0000-0000-0000-000000000000"
SLOW_SOURCES = (SourceName.CROSSVIEW, SourceName.FILES)
FEW_FILES = 8  # up to so many are examined without a message


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonMemory:
    """What a daemon of this boot has stored."""

    saved: Mapping[str, JsonObject] = field(default_factory=dict)  # checkpoints by section
    daemon_running: bool = False  # it runs now, and keeps the checkpoints up to date


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """How much of a host a command reads."""

    only: Collection[str] | None = None  # names of sources; None: all
    thorough: bool = False  # nothing may be left to the daemon
    say: Callable[[str], None] = field(default=lambda sentence: None)  # called before something that takes long

    def wants(self, name: str) -> bool:
        """Whether to read the source of this name."""
        return self.only is None or name in self.only


NO_DAEMON = DaemonMemory()
EVERYTHING = Scope()


def boot_id(root: Root, deadline: float = DEADLINE) -> str:
    """/proc/sys/kernel/random/boot_id; NO_BOOT where it cannot be read, hangs, or is not a UUID."""
    path = root.proc(b"sys", b"kernel", b"random", b"boot_id")
    try:
        outcome = call_in_time(lambda: root.read(path, NUMBER), deadline)
        return parse_boot_id(outcome.value) if isinstance(outcome, Read) else NO_BOOT
    except (OSError, ParseError):
        return NO_BOOT


def rules_of(settings: Settings, event_metrics: EventMetrics = NO_EVENT_METRICS) -> Rules:
    """What a step takes from the settings, and the metrics that events move, if anybody reads them."""
    return Rules(
        keep_recent_seconds=settings.retention.recent,
        recent_series=settings.retention.max_series,
        policy=PolicySettings(expected=settings.expected.modules),
        event_metrics=event_metrics,
    )


def fresh_state(boot_id: str, clock: Clock, names: Iterable[SourceName], saved: Mapping[str, JsonObject]) -> State:
    """The state at the start: the checkpoints of an earlier run of this boot, and each source not read yet."""
    state = State(boot_id=boot_id, started=clock.now(), resumed=not saved.keys() <= set(LASTING))
    state = replace(state, sources={name: SourceState(name=name) for name in names})
    for checkpoint in CHECKPOINTS:
        if checkpoint.section in saved:
            state = checkpoint.load(state, saved[checkpoint.section])
    return state


def look_once(
    context: SourceContext,
    memory: DaemonMemory = NO_DAEMON,
    scope: Scope = EVERYTHING,
    event_metrics: EventMetrics = NO_EVENT_METRICS,
) -> State:
    """Read each poll source once, or take the daemon's result of a slow one, and give the state after the last."""
    state = fresh_state(
        boot_id(context.root, context.calls.deadline), context.clock, (source.name for source in POLLED), memory.saved
    )
    of_daemon = sources_from_json(memory.saved.get("sources", {})) if memory.daemon_running else {}
    rules = rules_of(context.settings, event_metrics)
    rules = replace(rules, policy=replace(rules.policy, at_once=True))
    thread = ReadingThread()
    # The policy is not applied before its file was read. That comes last, so that the policy is applied only once.
    for source in sorted(POLLED, key=lambda source: source in RULES):
        if not scope.wants(source.name):
            continue
        status = of_daemon.get(source.name) if source.name in SLOW_SOURCES else None
        if status is not None and scope.thorough and (source is FILES or not status.up):
            status = None
        if status is None or source is FILES:
            reading = _files(state, context, scope, status) if source is FILES else _reading(source, context, thread)
            state = _step(state, source, reading, context.clock, rules)
        if status is not None:
            state = replace(state, sources={**state.sources, status.name: status})
    thread.leave()
    return step(state, SourceName.CLOCK, Reading(outcome=Read(Tick())), context.clock.now(), rules)[0]


def _reading(source: PollSource, context: SourceContext, thread: ReadingThread) -> Reading:
    attempt = thread.make(TimedCall(lambda: source.make(context)(), context.calls.deadline))
    if not attempt.ends_in_time():
        thread.leave()
        return Reading(outcome=attempt.hung())
    try:
        return attempt.result()
    except OSError as error:  # no file descriptor is left
        return Reading(outcome=Failed(f"{source.name}: {error}", error.errno))


def _files(state: State, context: SourceContext, scope: Scope, of_daemon: SourceState | None) -> Reading:
    # The records of files that still hold; other files are examined, or left to the daemon (None: none runs).
    try:
        records = call_in_time(lambda: recalled(context.root, state.files, state.inventory), context.calls.deadline)
    except HungError as error:
        return Reading(outcome=Failed(error.why, error.errno, hung=True))
    missing = [module for name, module in state.inventory.modules.items() if name not in records.files]
    if of_daemon is not None:
        if not of_daemon.up and of_daemon.status is not SourceStatus.NOT_READ:
            return Reading(outcome=Absent(of_daemon.why))
        pending = [module for module in missing if not module.taint]
        missing = [module for module in missing if module.taint]
        if pending:
            scope.say(f"the daemon has yet to examine the files of {len(pending)} modules: what they are is not known")
    if not missing and (records.files or of_daemon is not None):
        return Reading(outcome=Read(records), unreadable=len(records.problems))
    if len(missing) > FEW_FILES:
        scope.say(f"examining the files of {len(missing)} modules; while `kmodmon run` is at work it does that once")
    paths = load_paths(state.inventory)
    outcome = examine(replace(context, module_paths=lambda: paths), [module.name for module in missing])
    if not isinstance(outcome, Read):
        return Reading(outcome=outcome)
    examined = outcome.value
    files = MappingProxyType({**records.files, **examined.files})
    return Reading(outcome=Read(replace(examined, files=files)), unreadable=len(examined.problems))


def _step(state: State, source: PollSource, reading: Reading, clock: Clock, rules: Rules) -> State:
    return step(state, source.name, reading, clock.now(), rules)[0]
