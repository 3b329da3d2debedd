"""The two kinds of source. A source opens, reads and gives bytes as observations; it judges nothing.

A poll source is read by a timer, by a scrape (when `cheap`) and when an event source wakes it. An event source follows
a file descriptor; what it hears is an observation, and it wakes the poll sources that can tell the fact behind it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from kmodmon.config.settings import Settings
from kmodmon.sources.timed_call import Calls
from kmodmon.state.observation import Reading as Reading  # what every source gives
from kmodmon.system.clock import Clock
from kmodmon.system.root import Root
from kmodmon.types.source_name import SourceName


class SourceReader(Protocol):
    """Reads one interface now. It may remember its last look, to give the same object for the same bytes."""

    def __call__(self) -> Reading:
        """Look once; raises nothing for anything that the kernel or the file system can do."""
        ...


@runtime_checkable
class AwaitedReader(Protocol):
    """A reader that waits for something else than the kernel, such as a process: it is awaited on the loop."""

    def __call__(self) -> Reading:
        """Look once, without a loop (for a command)."""
        ...

    async def awaited(self) -> Reading:
        """Look once; when it is cancelled, what it waited for ends too."""
        ...


def no_hints() -> Mapping[str, str]:
    """Nothing is known of where modules were loaded from."""
    return {}


def all_settings(settings: Settings) -> object:
    """What a poll source heeds unless it says so: too much costs little, too little would be a setting without use."""
    return settings


def no_settings(settings: Settings) -> object:
    """What an event source heeds whose settings want a restart of the daemon."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """What a source is made from. `module_paths`: files that loaders of loaded modules named, by module.

    `calls` makes what may hang, for sources whose coroutines run on the loop.
    """

    root: Root
    settings: Settings
    clock: Clock
    module_paths: Callable[[], Mapping[str, str]] = no_hints
    calls: Calls = field(default_factory=Calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSource:
    """A source that is read from time to time.

    `every` gives the period in seconds, 0 for no timer. `cheap`: a scrape may refresh it. `threaded`: reading takes
    long, so it has a thread of its own, and nothing waits for it. `remedy` is what an operator changes so that the
    source can be read. `depends_on` gives the settings that its reader is made of: when they change it is made anew.
    """

    name: SourceName
    make: Callable[[SourceContext], SourceReader]
    every: Callable[[Settings], float]
    interfaces: tuple[str, ...]
    cheap: bool = False
    threaded: bool = False
    remedy: str = ""
    depends_on: Callable[[Settings], object] = all_settings


Emit = Callable[[Reading], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """A source that is followed: `run` hands every look to `emit` until it is cancelled or raises OSError.

    When it ends it is started again with back-off. After each look the poll sources in `wakes` are read: soon, because
    more is likely to come, or at once if it is `prompt`, because others have told already. `depends_on` gives those of
    its settings that may change while it runs: then it is cancelled and run anew. The daemon says that it is ready when
    it follows every source that is `awaited`: what happens from then on is not missed.
    """

    name: SourceName
    run: Callable[[SourceContext, Emit], Awaitable[None]]
    interfaces: tuple[str, ...]
    wakes: tuple[SourceName, ...] = ()
    prompt: bool = False
    awaited: bool = True
    remedy: str = ""
    depends_on: Callable[[Settings], object] = no_settings
