"""What is open about modules: loads and discrepancies that are not decided yet, and what the signals cover so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.lifecycle.inventory import Build, Loaded, Module
from kmodmon.lifecycle.signals import TraceEntry
from kmodmon.types.units import Instant

SETTLE_USEC = 2_000_000  # all signals of one load or unload are read within milliseconds; after this none is to come
INIT_USEC = 10_000_000  # an init that runs longer is reported: the module is loaded, state "coming"
READ_USEC = 40_000  # a trace read to its end this long after a moment has no more events of that moment
MARGIN_USEC = 1_000_000  # the trace must be complete for this long before a moment, to be held against another signal
REQUEST_USEC = 10_000_000  # a load that follows a request later than this is not attributed to it
MAX_REQUESTS = 64
MAX_ATTEMPTS = 64
MAX_REFUSALS = 16
MAX_BUILDS = 1024
MAX_OPEN = 4096  # pending loads; more within two seconds would be an attack on the memory of this process


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLoad:
    """A module that a signal reported as loaded or loading, and about which nothing is decided yet."""

    since: Instant  # when the first signal was read
    module_load: TraceEntry | None = None  # None: not traced (yet)
    init_ret: int | None = None  # what init returned, never an error; None: it runs, there is none, or it is not traced
    init_usec: int | None = None  # how long init ran; None as for init_ret
    add_uevent_at: Instant | None = None
    remove_uevent_at: Instant | None = None
    listed: Module | None = None  # in the newest reading of /proc/modules; None: not in it
    last_listed: Module | None = None  # in the last reading that had it
    last_listed_at: Instant | None = None
    not_listed_at: Instant | None = None  # the last reading before it that did not have it; None: there was none
    before_start: bool = False  # loading at the first reading of this boot: its load is no event
    while_down: bool = False  # loaded while kmodmon was not running
    trace_lost_after: bool = False  # trace events were lost since: its module_free may be among them


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """A signal that disagrees with a module reported as loaded.

    `reported`: it was reported as a contradiction, and stays until it is resolved.
    """

    kind: str
    since: Instant
    present_at: Instant | None = None  # the last reading of /proc/modules before it; None: there was none
    while_down: bool = False  # it came up at the first reading after a restart
    reported: bool = False


LEFT = "left_list"  # not in the list any more, and no module_free
REMADE = "remade"  # /sys/module/NAME has another inode, and no module_free or module_load
REMOVED = "removed"  # a remove uevent, and no module_free
MOVED = "moved"  # a move uevent: its directory left /sys/module
NEVER_LISTED = "never_listed"  # module_load, no module_free, and not in the list
NEVER_TRACED = "never_traced"  # in the list, and no module_load
LOADED_TWICE = "loaded_twice"  # a second module_load without a module_free
HIDING = frozenset({LEFT, REMOVED, MOVED, NEVER_LISTED})  # discrepancies that a hidden module causes

CONTRADICTIONS: Mapping[str, str] = MappingProxyType({
    LEFT: "/proc/modules no longer has it, and the trace, which was on all the time, saw no module_free",
    REMADE: "its directory in /sys/module is another one, and the trace saw it neither freed nor loaded",
    REMOVED: "a remove uevent came, and the trace saw no module_free",
    MOVED: "a move uevent took its directory out of /sys/module",
    NEVER_LISTED: "/proc/modules does not have it, and the trace saw no module_free",
    NEVER_TRACED: "/proc/modules has it, and the trace, which was on all the time, did not see it come",
    LOADED_TWICE: "the trace saw it loaded a second time without a module_free in between",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentUnload:
    """A module that was just unloaded, or whose init just failed: /proc/modules may still list it."""

    since: Instant
    free_expected: bool = False  # its init failed, and the module_free of that load is still to be read


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRecord:
    """All that is recorded of one module name. A name is never both pending and loaded."""

    pending: PendingLoad | None = None
    loaded: Loaded | None = None
    discrepancy: Discrepancy | None = None
    recent_unload: RecentUnload | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """What is not decided yet, and what each signal covers."""

    pending_loads: Mapping[str, PendingLoad] = field(default_factory=lambda: MappingProxyType({}))  # pending loads
    discrepancies: Mapping[str, Discrepancy] = field(default_factory=lambda: MappingProxyType({}))  # discrepancies
    recent_unloads: Mapping[str, RecentUnload] = field(default_factory=lambda: MappingProxyType({}))
    builds: Mapping[str, Build] = field(default_factory=lambda: MappingProxyType({}))  # as last unloaded, by name
    requests: tuple[TraceEntry, ...] = ()  # the newest module_request events
    attempts: tuple[TraceEntry, ...] = ()  # the newest starts of modprobe, insmod and the like
    refusals: tuple[TraceEntry, ...] = ()  # inits that failed, and whose module_load was lost
    listed_at: Instant | None = None  # last reading of /proc/modules; None: not read yet
    trace_since: Instant | None = None  # the trace is complete from here on; None: it is not read
    trace_intact: Instant | None = None  # when it was last read to its end and found unchanged; None: never
    uevents: bool = False  # uevents are received
    trace_usec: int = 0  # CLOCK_MONOTONIC of the newest module_load or module_free that was processed

    @property
    def waits(self) -> bool:
        """Whether something here is decided by the passing of time."""
        return bool(self.pending_loads or self.recent_unloads) or any(
            not each.reported for each in self.discrepancies.values()
        )

    @property
    def hiding(self) -> Mapping[str, Discrepancy]:
        """Contradictions of modules that are still loaded by one signal, though another no longer shows them."""
        return {name: each for name, each in self.discrepancies.items() if each.reported and each.kind in HIDING}


NO_LIFECYCLE = Lifecycle()


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleContext:
    """When a signal was read, and how this process started."""

    at: Instant
    started: Instant
    resumed: bool  # an earlier run of this boot left a checkpoint
    trace_expected: bool  # the trace has not been opened yet, and may be
