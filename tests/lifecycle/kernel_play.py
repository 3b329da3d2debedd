"""A simulated kernel that loads and unloads modules, with three signals that a test reads whenever it wants."""

from dataclasses import dataclass, replace

from kmodmon.events.event import Actor, EventType, Process
from kmodmon.events.kinds.module import ModuleLoaded, ModuleLoadFailed, ModuleUnloaded, SignalsContradicted
from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.inventory import Module, ModuleAttributes
from kmodmon.lifecycle.signals import ModuleUevent, TraceEntry, TraceKind, TraceRead, UeventsRead
from kmodmon.state.observation import Tick
from kmodmon.state.state import State
from kmodmon.subjects.source import SourceState
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Usec
from tests.states import BOOT, Story, modules_read


def actor(comm: str, pid: int) -> Actor:
    return Actor(process=Process(pid=pid, comm=comm, cmdline=(comm,)), uid=1000)


@dataclass
class Wire:
    """What the kernel wrote and nobody has read yet."""

    trace: list[TraceEntry]
    uevents: list[ModuleUevent]


class Play:
    """The simulated kernel. What really happens is counted, to be compared with the events."""

    def __init__(self, *, trace: bool = True, uevents: bool = True, init_events: bool = True) -> None:
        self.story = Story()
        names = ("modules", *(("trace",) if trace else ()), *(("uevent",) if uevents else ()))
        sources = {SourceName(name): SourceState(name=SourceName(name)) for name in names}
        self.story.state = State(boot_id=BOOT, started=self.story.clock.now(), sources=sources)
        self.has_trace, self.has_uevents, self.init_events = trace, uevents, init_events
        self.modules: dict[str, Module] = {}
        self.wire = Wire(trace=[], uevents=[])
        self.instances = 100
        self.tid = 10_000
        self.loaders: dict[str, int] = {}
        self.loads = self.unloads = self.failures = 0

    # What happens in the kernel

    def begin(self, *present: str) -> None:
        for name in present:
            self.modules[name] = self._module(name, ModuleState.LIVE)
        self.read_list()
        if self.has_trace:
            self.story.see("trace", TraceRead(began=True), after=0.01)
        if self.has_uevents:
            self.story.see("uevent", UeventsRead(began=True), after=0.01)
        self.read_list(after=0.05)

    def coming(self, name: str, taint: str = "") -> None:
        """The load is traced, and init runs."""
        self.tid += 1
        self.loaders[name] = self.tid
        self.modules[name] = self._module(name, ModuleState.COMING, taint)
        self._trace(TraceKind.LOAD, name, self.tid, taint=taint, comm="insmod")

    def came(self, name: str) -> None:
        """Init returns 0: the module is live."""
        self._returned(name, 0)
        self.modules[name] = replace(self.modules[name], state=ModuleState.LIVE)
        self._uevent("add", name)
        self.loads += 1

    def failed(self, name: str) -> None:
        """Init returns an error: the load fails."""
        self._returned(name, -5)
        self._trace(TraceKind.FREE, name, self.loaders[name], comm="insmod")
        del self.modules[name]
        self.failures += 1

    def load(self, name: str, taint: str = "") -> None:
        self.coming(name, taint)
        self.pass_time(0.001)
        self.came(name)

    def going(self, name: str) -> None:
        """The unload begins: exit runs."""
        self.modules[name] = replace(self.modules[name], state=ModuleState.GOING)

    def gone(self, name: str) -> None:
        self.tid += 1
        self._trace(TraceKind.FREE, name, self.tid, comm="rmmod")
        self._uevent("remove", name)
        del self.modules[name]
        self.unloads += 1

    def unload(self, name: str) -> None:
        self.going(name)
        self.pass_time(0.001)
        self.gone(name)

    # What is read

    def read_list(self, after: float = 0.001) -> None:
        self.story.see("modules", modules_read(*self.modules.values()), after)

    def read_trace(self, *, lost: int = 0, adopted: bool = False) -> None:
        entries, self.wire.trace = tuple(self.wire.trace), []
        if self.has_trace and (entries or lost):
            self.story.see("trace", TraceRead(entries=entries, adopted=adopted), lost=lost)

    def read_uevents(self) -> None:
        events, self.wire.uevents = tuple(self.wire.uevents), []
        if self.has_uevents and events:
            self.story.see("uevent", UeventsRead(events=events))

    def read_all(self) -> None:
        self.read_trace()
        self.read_uevents()
        self.read_list(after=0.05)

    def pass_time(self, seconds: float) -> None:
        self.story.clock.advance(seconds)

    def wait(self, seconds: float) -> None:
        """Run the daemon: it reads every signal each second, and confirms the trace every ten."""
        self.read_all()
        for second in range(int(seconds)):
            self.story.see("clock", Tick(), after=1.0)
            self.read_all()
            if self.has_trace and second % 10 == 9:
                self.story.see("trace", TraceRead(intact=True))

    def listing(self, name: str, *, coming: bool = False, srcversion: str = "ABC") -> Module:
        """A line of /proc/modules with a sysfs directory of its own, without a trace event or a uevent."""
        module = self._module(name, ModuleState.COMING if coming else ModuleState.LIVE)
        return replace(module, attributes=replace(module.attributes, srcversion=srcversion))

    # What was reported

    def count(self, kind: EventType, name: str | None = None) -> int:
        return len([event for event in self.story.events if event.type == kind and name in (None, event.module)])

    def contradictions(self) -> list[object]:
        kind = SignalsContradicted.kind.type
        return [event.fields["kind"] for event in self.story.events if event.type == kind]

    def counted(self) -> tuple[int, int, int]:
        kinds = (ModuleLoaded.kind.type, ModuleUnloaded.kind.type, ModuleLoadFailed.kind.type)
        loads, unloads, failures = (self.count(kind) for kind in kinds)
        return loads, unloads, failures

    # Helpers

    def _module(self, name: str, state: ModuleState, taint: str = "") -> Module:
        self.instances += 1
        attributes = ModuleAttributes(instance=self.instances, srcversion="ABC")
        return Module(name=name, size=16384, refcnt=0, state=state, taint=taint, attributes=attributes)

    def _trace(self, kind: TraceKind, name: str, tid: int, *, comm: str, taint: str = "") -> None:
        entry = TraceEntry(
            kind=kind,
            monotonic_usec=Usec(self.story.clock.monotonic_usec),
            tid=tid,
            module=name,
            taint=taint,
            actor=actor(comm, tid),
        )
        self.wire.trace.append(entry)

    def _returned(self, name: str, ret: int) -> None:
        if self.init_events:
            at = Usec(self.story.clock.monotonic_usec)
            self.wire.trace.append(TraceEntry(kind=TraceKind.INIT, monotonic_usec=at, tid=self.loaders[name], ret=ret))

    def _uevent(self, action: str, name: str) -> None:
        self.wire.uevents.append(ModuleUevent(action=action, module=name))
