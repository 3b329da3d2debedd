"""What is open about the lives of modules while their witnesses still speak, and what the witnesses are worth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.lifecycle.inventory import Build, Module
from kmodmon.lifecycle.signals import TraceEntry
from kmodmon.types.units import Instant

SETTLE_USEC = 2_000_000  # witnesses of one event are heard within milliseconds of each other
INIT_USEC = 10_000_000  # an init that runs longer than this is told as a load that is still coming
READ_USEC = 40_000  # the trace was read to its end that long after a thing: then it is silent about it
MARGIN_USEC = 1_000_000  # how much longer than a thing the trace must have been whole, to be held against it
REQUEST_USEC = 10_000_000  # modprobe loads what was requested within this time, or not for that request
MAX_REQUESTS = 64
MAX_ATTEMPTS = 64
MAX_REFUSALS = 16
MAX_BUILDS = 1024
MAX_OPEN = 4096  # a bound for what hostile loaders could pile up; nobody loads that many modules in two seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLoad:
    """A module that came and is not told yet."""

    since: Instant  # when we first heard of it
    load: TraceEntry | None = None
    ret: int | None = None  # what init returned; None: it runs, there is none, or the trace does not tell
    init_usec: int | None = None
    added: Instant | None = None  # its uevents
    removed: Instant | None = None
    module: Module | None = None  # as the list shows it now
    last: Module | None = None  # as the list showed it last
    last_at: Instant | None = None  # when that was
    absent_at: Instant | None = None  # a look at the list that did not have it, before
    before_start: bool = False  # it was coming at our first look: no news
    while_down: bool = False
    blind: bool = False  # the trace lost events after it came: its end may be one of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """Something that does not fit a told module. `said`: settled as a contradiction; it stands until it is resolved."""

    kind: str
    since: Instant
    present_at: Instant | None = None  # a look at the list that had it, before
    while_down: bool = False
    said: bool = False


LEFT = "left_list"  # not in the list any more, and no unload was seen
REMADE = "remade"  # its sysfs directory is another one, and no load was seen
REMOVED = "removed"  # a remove uevent, and no unload was seen
MOVED = "moved"  # its sysfs directory was moved away
NEVER_LISTED = "never_listed"  # loaded by the trace, not freed, and not in the list
NEVER_TRACED = "never_traced"  # in the list, and the trace did not see it come
LOADED_TWICE = "loaded_twice"  # loaded again while it was loaded
HIDING = frozenset({LEFT, REMOVED, MOVED, NEVER_LISTED})  # doubts that a hidden module would raise


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentUnload:
    """A life that ended. `unfreed`: its init failed, and the trace will tell of the free that belongs to it."""

    since: Instant
    unfreed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCount:
    """Autoload requests of one name: told once in a while, counted in between."""

    told: Instant
    repeats: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """What is not settled yet, and what the witnesses are worth at this moment."""

    comings: Mapping[str, PendingLoad] = field(default_factory=lambda: MappingProxyType({}))
    doubts: Mapping[str, Discrepancy] = field(default_factory=lambda: MappingProxyType({}))
    over: Mapping[str, RecentUnload] = field(default_factory=lambda: MappingProxyType({}))
    builds: Mapping[str, Build] = field(default_factory=lambda: MappingProxyType({}))  # the last one told of each name
    requests: tuple[TraceEntry, ...] = ()
    attempts: tuple[TraceEntry, ...] = ()  # starts of kmod's tools
    refusals: tuple[TraceEntry, ...] = ()  # inits that failed, of loads whose own event was lost
    asked: Mapping[str, RequestCount] = field(default_factory=lambda: MappingProxyType({}))
    listed_at: Instant | None = None  # last look at the list
    trace_since: Instant | None = None  # the trace is whole since then; None: there is none
    trace_intact: Instant | None = None  # when it was last found so
    tells_init: bool = False
    uevents: bool = False
    trace_usec: int = 0  # CLOCK_MONOTONIC of the last trace event that was told

    @property
    def waits(self) -> bool:
        """Whether time must pass before something here is settled."""
        return bool(self.comings or self.over) or any(not doubt.said for doubt in self.doubts.values())

    @property
    def hiding(self) -> Mapping[str, Discrepancy]:
        """Modules that must still be loaded, by what witnesses say, though something shows them no longer."""
        return {name: doubt for name, doubt in self.doubts.items() if doubt.said and doubt.kind in HIDING}


NO_LIFECYCLE = Lifecycle()


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleContext:
    """When something was heard, and what there is to know of our own start."""

    at: Instant
    started: Instant
    resumed: bool
    trace_expected: bool  # the trace has not been opened yet, and may be
