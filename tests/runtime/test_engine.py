"""The engine against a clock that the test owns: what is read when, and what happens when a source breaks."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import pytest

from kmodmon.config.settings import Settings, build_settings
from kmodmon.config.values import Seconds
from kmodmon.events.event import Event, EventType, Severity, recorded_event
from kmodmon.events.kinds.daemon import Started
from kmodmon.events.kinds.module import ModuleLoaded, ModuleLoadFailed, ModuleUnloaded, SignalsContradicted
from kmodmon.events.kinds.source import SourceLost, SourceRecovered
from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.inventory import Module
from kmodmon.lifecycle.signals import ModuleUevent, UeventsRead
from kmodmon.pipeline import Rules
from kmodmon.runtime import engine as engine_module
from kmodmon.runtime.daemon import STALL, Daemon, Options
from kmodmon.runtime.engine import DEBOUNCE, FRESH, IDLE_TICK, RETRY_FIRST, RETRY_LAST, TICK, Engine
from kmodmon.sources.source import Emit, EventSource, PollSource, Reading, SourceContext, SourceReader
from kmodmon.state.state import State
from kmodmon.subjects.log import LogRead
from kmodmon.subjects.self_stats import SelfMetric, SelfStats
from kmodmon.subjects.source import SourceState
from kmodmon.subjects.taint import TaintRead
from kmodmon.system.root import Root
from kmodmon.system.sd_notify import Notifier
from kmodmon.types.outcome import Absent, Observation, Outcome, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import JsonObject
from tests.kmsg_maker import records
from tests.runtime.loop_clock import LoopClock, run
from tests.states import module, modules_read

NOTHING = Reading(outcome=Absent("a test"))  # an outcome without events
HOUR = 3600.0


def feed(engine: Engine, source: str, outcome: Outcome[Observation], *, lost: int = 0) -> None:
    """Give the engine one reading of a source, made now."""
    engine.feed(SourceName(source), Reading(outcome=outcome, lost=lost), engine.clock.now())


@dataclass
class Sink:
    """Keeps what it is given."""

    events: list[Event] = field(default_factory=list)
    checkpoints: dict[str, JsonObject] = field(default_factory=dict)

    def submit(self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject]) -> None:
        self.events += events
        self.checkpoints.update(checkpoints)

    def types(self) -> list[EventType]:
        return [event.type for event in self.events]


@dataclass
class Probe:
    """A poll source that notes when it is made and read. `takes`: seconds that a threaded reading lasts."""

    name: str
    clock: LoopClock
    read: SourceReader = lambda: NOTHING
    every: Callable[[Settings], float] = lambda settings: 0.0
    takes: float | None = None
    cheap: bool = False
    depends_on: Callable[[Settings], object] = lambda settings: None
    times: list[float] = field(default_factory=list)  # seconds at which a reading begins
    made: list[Settings] = field(default_factory=list)
    at_once: int = 0  # readings that run at this moment
    overlaps: int = 0

    def source(self) -> PollSource:
        return PollSource(
            name=SourceName(self.name), make=self._make, every=self.every, interfaces=(), cheap=self.cheap,
            threaded=self.takes is not None, depends_on=self.depends_on,
        )  # fmt: skip

    def _make(self, context: SourceContext) -> SourceReader:
        self.made.append(context.settings)
        return self if self.takes is None else _Awaited(self)

    def __call__(self) -> Reading:
        self.times.append(round(self.clock.seconds, 6))
        return self.read()


@dataclass
class _Awaited:
    """A reader that takes a while; cancelled, it ends."""

    probe: Probe

    def __call__(self) -> Reading:
        return self.probe()

    async def awaited(self) -> Reading:
        self.probe.at_once += 1
        self.probe.overlaps += self.probe.at_once > 1
        reading = self.probe()
        try:
            await asyncio.sleep(self.probe.takes or 0.0)
        finally:
            self.probe.at_once -= 1
        return reading


class World:
    """One engine with its clock, its sources and its sink."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.sink = Sink()
        self.probes: dict[str, Probe] = {}
        self.followed: list[EventSource] = []
        self.steps: list[float] = []  # seconds of each completed step

    def probe(
        self,
        name: str,
        *,
        read: SourceReader = lambda: NOTHING,
        every: float | Callable[[Settings], float] = 0.0,
        takes: float | None = None,
        cheap: bool = False,
        depends_on: Callable[[Settings], object] = lambda settings: None,
    ) -> Probe:
        period = every if callable(every) else lambda settings: float(every)
        probe = Probe(name, self.clock, read, period, takes, cheap, depends_on)
        self.probes[name] = probe
        return probe

    def follow(
        self,
        name: str,
        run: Callable[[SourceContext, Emit], Awaitable[None]],
        *,
        wakes: tuple[SourceName, ...] = (),
        prompt: bool = False,
        depends_on: Callable[[Settings], object] = lambda settings: None,
    ) -> None:
        source = SourceName(name)
        self.followed.append(
            EventSource(name=source, run=run, interfaces=(), wakes=wakes, prompt=prompt, depends_on=depends_on)
        )

    def engine(self) -> Engine:
        names = map(SourceName, (*self.probes, *(source.name for source in self.followed)))
        sources = {name: SourceState(name=name) for name in names}
        engine = Engine(
            context=SourceContext(root=Root(), settings=Settings(), clock=self.clock),
            state=State(
                boot_id="test",
                started=self.clock.now(),
                sources=sources,
            ),
            sink=self.sink,
            rules=Rules(),
            polled_sources=[probe.source() for probe in self.probes.values()],
            event_sources=self.followed,
        )
        engine.on_step = lambda state, events: self.steps.append(round(self.clock.seconds, 6))
        return engine

    def run(self, work: Callable[[Engine], Coroutine[object, object, None]]) -> None:
        """Start an engine, do `work` with it, stop it."""

        async def main() -> None:
            engine = self.engine()
            await engine.start()
            await work(engine)
            await engine.stop()

        run(self.clock, main)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    clock = LoopClock()
    monkeypatch.setattr(engine_module, "time", clock, raising=False)
    monkeypatch.setattr(engine_module, "PATIENCE", 60.0)  # in seconds of the machine, which may be busy
    return World(clock)


async def forever(context: SourceContext, emit: Emit) -> None:
    await asyncio.Event().wait()


def emitting(*readings: tuple[float, Reading]) -> Callable[[SourceContext, Emit], Awaitable[None]]:
    """A follower that emits each reading at its time, in seconds, and then waits."""

    async def follow(context: SourceContext, emit: Emit) -> None:
        before = 0.0
        for at, reading in readings:
            await asyncio.sleep(at - before)
            before = at
            emit(reading)
        await asyncio.Event().wait()

    return follow


# Timers, wake-ups and scrapes


def test_source_when_its_period_is_below_a_second_then_it_is_polled_that_often(world: World) -> None:
    probe = world.probe("modules", every=0.5)

    async def work(engine: Engine) -> None:
        await asyncio.sleep(1.2)

    world.run(work)
    assert probe.times == [0, 0.5, 1]


def test_sources_when_started_then_each_is_read_once_in_order_and_polled_at_its_period(world: World) -> None:
    first, second = world.probe("kernel", every=10), world.probe("taint")

    async def work(engine: Engine) -> None:
        assert [source.name for source in engine.state.sources.values()] == ["kernel", "taint"]
        await asyncio.sleep(35)

    world.run(work)
    assert (first.times, second.times) == ([0, 10, 20, 30], [0])
    assert len(first.made) == len(second.made) == 1


def test_wake_when_eighty_come_within_the_debounce_then_one_read(world: World) -> None:
    probe = world.probe("taint")

    async def work(engine: Engine) -> None:
        await asyncio.sleep(1)
        for _ in range(80):
            engine.wake((SourceName.TAINT, SourceName.BUILTIN))
            await asyncio.sleep(DEBOUNCE / 100)
        await asyncio.sleep(1)
        engine.wake((SourceName.TAINT,))
        await asyncio.sleep(1)

    world.run(work)
    assert probe.times == pytest.approx([0, 1 + DEBOUNCE, 2 + DEBOUNCE * 1.8])


def test_wake_when_prompt_then_read_at_once_and_not_again_at_the_end_of_the_debounce(world: World) -> None:
    probe = world.probe("modules")

    async def work(engine: Engine) -> None:
        await asyncio.sleep(1)
        engine.wake((SourceName.MODULES,))
        engine.wake((SourceName.MODULES,), prompt=True)
        await asyncio.sleep(1)

    world.run(work)
    assert probe.times == pytest.approx([0, 1])


def test_wake_when_prompt_right_after_a_read_then_read_when_the_debounce_is_over(world: World) -> None:
    probe = world.probe("modules")

    async def work(engine: Engine) -> None:
        await asyncio.sleep(DEBOUNCE / 5)
        engine.wake((SourceName.MODULES,), prompt=True)
        await asyncio.sleep(1)

    world.run(work)
    assert probe.times == pytest.approx([0, DEBOUNCE])


def test_wake_when_debounced_after_a_prompt_one_then_the_earlier_time_stays(world: World) -> None:
    probe = world.probe("modules")

    async def work(engine: Engine) -> None:
        await asyncio.sleep(DEBOUNCE / 2)
        engine.wake((SourceName.MODULES,), prompt=True)
        engine.wake((SourceName.MODULES,))
        await asyncio.sleep(1)

    world.run(work)
    assert probe.times == pytest.approx([0, DEBOUNCE])


def test_scrape_when_a_cheap_source_is_older_than_a_second_then_it_is_read_and_no_other(world: World) -> None:
    cheap, dear = world.probe("taint", cheap=True), world.probe("files")

    async def work(engine: Engine) -> None:
        for pause in (0.5, FRESH - 0.5, 0.001, 0.5, FRESH):
            await asyncio.sleep(pause)
            engine.refresh()

    world.run(work)
    assert cheap.times == pytest.approx([0, FRESH + 0.001, 2 * FRESH + 0.501])
    assert dear.times == [0]


# What wakes what


def test_events_when_a_module_is_loaded_then_taint_and_files_are_read(world: World) -> None:
    others = [world.probe(name) for name in ("taint", "files", "crossview", "modules")]

    async def work(engine: Engine) -> None:
        feed(engine, "modules", Read(modules_read(module("ext4"))))
        await asyncio.sleep(1)
        feed(engine, "modules", Read(modules_read(module("ext4"), module("dummy", instance=2))))
        await asyncio.sleep(1)

    world.run(work)
    assert world.sink.types() == [ModuleLoaded.kind.type]
    assert [probe.times for probe in others] == [[0, 1 + DEBOUNCE], [0, 1 + DEBOUNCE], [0], [0]]


def test_events_when_a_module_is_unloaded_then_taint_is_read_and_files_are_not(world: World) -> None:
    taint, files = world.probe("taint"), world.probe("files")

    async def work(engine: Engine) -> None:
        feed(engine, "modules", Read(modules_read(module("ext4"))))
        feed(engine, "modules", Read(modules_read()))
        await asyncio.sleep(1)

    world.run(work)
    assert world.sink.types() == [ModuleUnloaded.kind.type]
    assert (taint.times, files.times) == ([0, DEBOUNCE], [0])


def test_events_when_a_load_of_no_known_module_failed_then_taint_is_read(world: World) -> None:
    taint = world.probe("taint")

    async def work(engine: Engine) -> None:
        line = records((b"Invalid ELF header magic: != \x7fELF",), priority=3)
        feed(engine, "kmsg", Read(LogRead(records=line, end=True, live=True)))
        await asyncio.sleep(1)

    world.run(work)
    (failed,) = world.sink.events
    assert (failed.type, failed.module) == (ModuleLoadFailed.kind.type, None)
    assert taint.times == [0, DEBOUNCE]


def test_events_when_signals_contradict_each_other_then_the_views_are_compared(world: World) -> None:
    taint, crossview = world.probe("taint"), world.probe("crossview")

    async def work(engine: Engine) -> None:
        feed(engine, "modules", Read(modules_read(module("dummy"))))
        await asyncio.sleep(1)
        moved = ModuleUevent(action="move", module="elsewhere", moved_from="dummy")
        feed(engine, "uevent", Read(UeventsRead(events=(moved,))))
        await asyncio.sleep(0.5)

    world.run(work)
    assert world.sink.types() == [SignalsContradicted.kind.type]
    assert crossview.times == taint.times == [0, 1 + DEBOUNCE]


def test_events_when_they_come_from_a_source_that_they_wake_then_it_is_not_read_again(world: World) -> None:
    readings = [Reading(outcome=Read(modules_read(*names))) for names in ((), (module("dummy"),))]
    taint, files = world.probe("taint", read=lambda: readings.pop(0), every=10), world.probe("files")

    async def work(engine: Engine) -> None:
        await asyncio.sleep(11)

    world.run(work)
    assert world.sink.types() == [ModuleLoaded.kind.type]
    assert (taint.times, files.times) == ([0, 10], [0, 10 + DEBOUNCE])


@pytest.mark.parametrize("prompt", [False, True])
def test_event_source_when_it_emits_then_its_poll_sources_are_read_at_once_or_soon(world: World, prompt: bool) -> None:
    probes = [world.probe(name) for name in ("modules", "files", "kernel")]
    follower = emitting((1, replace(NOTHING, wakes=(SourceName.FILES,))), (2, replace(NOTHING, quiet=True)))
    world.follow("uevent", follower, wakes=(SourceName.MODULES,), prompt=prompt)

    async def work(engine: Engine) -> None:
        await asyncio.sleep(3)

    world.run(work)
    at = 1 if prompt else 1 + DEBOUNCE
    assert [probe.times for probe in probes] == [[0, at], [0, at], [0]]


# What breaks


def test_poll_source_when_it_raises_then_it_counts_as_failed_and_the_others_go_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Reading:
        raise ValueError("a defect")

    world.probe("posture", read=broken, every=10)
    world.probe("lockdown", read=broken, takes=1.0)
    well = world.probe("taint", every=10)

    async def work(engine: Engine) -> None:
        await asyncio.sleep(25)
        for name in ("posture", "lockdown"):
            source = engine.state.sources[SourceName(name)]
            assert source.present and not source.up and "ValueError('a defect')" in source.why

    world.run(work)
    assert well.times == [0, 10, 20]
    assert world.sink.types() == [SourceLost.kind.type] * 2
    assert "it counts as failed" in caplog.text


def test_event_source_when_it_breaks_again_and_again_then_it_is_started_later_each_time(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    starts: list[float] = []
    failures: list[Exception] = [OSError(5, "the device is gone"), ValueError("a defect")]

    async def broken(context: SourceContext, emit: Emit) -> None:
        starts.append(world.clock.seconds)
        if len(starts) <= len(failures):
            raise failures[len(starts) - 1]

    world.follow("kmsg", broken)

    async def work(engine: Engine) -> None:
        await asyncio.sleep(0.1)
        assert "the device is gone" in engine.state.sources[SourceName.KMSG].why
        await asyncio.sleep(RETRY_FIRST)
        assert "a defect" in engine.state.sources[SourceName.KMSG].why
        await asyncio.sleep(400)
        assert engine.state.sources[SourceName.KMSG].why == "kmsg: the reader ended"

    world.run(work)
    pauses = [after - before for before, after in pairwise(starts)]
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 32, *(RETRY_LAST,) * 5])
    assert world.sink.types() == [SourceLost.kind.type] * 3  # each time for another reason
    assert [record.levelno for record in caplog.records] == [logging.ERROR]  # OSError is no defect


def test_event_source_when_it_worked_before_it_broke_then_it_is_started_soon(world: World) -> None:
    starts: list[float] = []

    async def broken(context: SourceContext, emit: Emit) -> None:
        starts.append(world.clock.seconds)
        if len(starts) == 4:
            emit(NOTHING)
        raise OSError(5, "gone")

    world.follow("kmsg", broken)

    async def work(engine: Engine) -> None:
        await asyncio.sleep(6)

    world.run(work)
    assert starts == pytest.approx([0, 0.5, 1.5, 3.5, 4.0, 5.0])


class Defect(Mapping[str, Module]):
    """A module list that cannot be compared: whatever is done with it raises."""

    def __getitem__(self, name: str) -> Module:
        raise ZeroDivisionError(name)

    def __iter__(self) -> Iterator[str]:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError


def test_observation_when_it_meets_a_defect_then_it_is_left_out_and_counted_and_the_next_one_is_taken(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    good = Reading(outcome=Read(modules_read(module("ext4"))))
    readings = [good, Reading(outcome=Read(replace(modules_read(), modules=Defect()))), good]
    world.probe("modules", read=lambda: readings.pop(0), every=10)

    async def work(engine: Engine) -> None:
        await asyncio.sleep(12)
        source = engine.state.sources[SourceName.MODULES]
        assert (source.up, source.lost) == (False, 1) and "a defect of kmodmon: ZeroDivisionError" in source.why
        await asyncio.sleep(10)
        assert engine.state.sources[SourceName.MODULES].up and set(engine.state.inventory.modules) == {"ext4"}

    world.run(work)
    assert world.sink.types() == [SourceLost.kind.type, SourceRecovered.kind.type]
    assert "please report" in caplog.text


# Threaded sources


def test_threaded_source_when_woken_while_it_is_read_then_it_is_read_once_more_and_never_twice_at_a_time(
    world: World,
) -> None:
    probe = world.probe("files", takes=5.0, every=0.0)

    async def work(engine: Engine) -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            engine.wake((SourceName.FILES,))
        await asyncio.sleep(30)
        engine.wake((SourceName.FILES,))
        await asyncio.sleep(30)

    world.run(work)
    assert probe.times == pytest.approx([0, 5, 33 + DEBOUNCE])
    assert probe.overlaps == 0


def test_threaded_source_when_it_takes_longer_than_its_period_then_its_readings_follow_each_other(world: World) -> None:
    probe = world.probe("files", takes=25.0, every=10)

    async def work(engine: Engine) -> None:
        await asyncio.sleep(80)

    world.run(work)
    assert probe.times == [0, 25, 50, 75] and probe.overlaps == 0


async def refused(context: SourceContext, emit: Emit) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize(
    ("sources", "seconds"),
    [
        ({}, 0.0),
        ({"uevent": emitting((2.0, NOTHING))}, 2.0),
        ({"uevent": emitting((2.0, NOTHING)), "trace": emitting((3.0, NOTHING))}, 3.0),
        ({"uevent": emitting((2.0, NOTHING)), "trace": refused}, 2.0),
        ({"uevent": emitting((2.0, NOTHING)), "trace": forever}, 6.0),
    ],
)
def test_engine_when_its_sources_are_followed_or_cannot_be_then_that_is_known(
    sources: Mapping[str, Callable[[SourceContext, Emit], Awaitable[None]]], seconds: float, world: World
) -> None:
    """A service manager is told that the daemon is ready then: a module loaded from then on has its actor."""
    world.probe("modules")
    for name, follow in sources.items():
        world.follow(name, follow)
    world.followed.append(EventSource(name=SourceName.WATCH, run=forever, interfaces=(), awaited=False))
    took: list[float] = []

    async def work(engine: Engine) -> None:
        begun = world.clock.seconds
        await engine.until_followed(6.0)
        took.append(world.clock.seconds - begun)

    world.run(work)
    assert took == [seconds]


def test_engine_when_stopped_then_nothing_is_read_and_readings_end(world: World) -> None:
    slow, quick = world.probe("files", takes=5.0), world.probe("modules", every=10)
    world.follow("uevent", forever)

    async def work() -> None:
        engine = world.engine()
        await engine.start()
        await asyncio.sleep(1)
        engine.wake((SourceName.MODULES,))
        await engine.stop()
        done = len(world.steps)
        await asyncio.sleep(HOUR)
        assert len(world.steps) == done

    run(world.clock, work)
    assert (slow.at_once, slow.times, quick.times) == (0, [0], [0])


def test_engine_when_stopped_while_a_thread_hangs_then_it_does_not_wait_and_the_thread_ends_later(world: World) -> None:
    go_on = threading.Event()
    threads: list[threading.Thread] = []
    ended: list[bool] = []

    async def work() -> None:
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def read() -> Reading:
            threads.append(threading.current_thread())
            loop.call_soon_threadsafe(begun.set)
            ended.append(go_on.wait(3))
            return NOTHING

        engine = world.engine()
        engine.polled_sources = [replace(world.probe("files", takes=0.0).source(), make=lambda context: read)]
        await engine.start()
        await begun.wait()
        await engine.stop()
        assert ended == []

    asyncio.run(work())
    go_on.set()
    (thread,) = threads
    thread.join(10)
    assert thread.name.startswith("files") and not thread.is_alive()


# Settings


def test_settings_when_none_changed_then_the_next_reading_is_not_postponed(world: World) -> None:
    probe = world.probe("modules", every=10)

    async def work(engine: Engine) -> None:
        await asyncio.sleep(8)
        engine.reconfigure(engine.context, Rules())
        await asyncio.sleep(3)

    world.run(work)
    assert probe.times == [0, 10]


def test_settings_when_they_change_then_only_readers_that_depend_on_them_are_made_anew(world: World) -> None:
    depends = world.probe("files", depends_on=lambda settings: settings.parameters)
    other = world.probe("taint", depends_on=lambda settings: settings.files)
    changed = build_settings({"parameters.max_value_length": 100})

    async def work(engine: Engine) -> None:
        await asyncio.sleep(1)
        engine.reconfigure(replace(engine.context, settings=changed), Rules())
        await asyncio.sleep(1)
        engine.reconfigure(replace(engine.context, settings=changed), Rules())  # the same again
        await asyncio.sleep(1)

    world.run(work)
    assert depends.made == [Settings(), changed] and depends.times == [0, 1 + DEBOUNCE]
    assert other.made == [Settings()] and other.times == [0]


def test_settings_when_a_period_changes_then_timers_are_armed_anew(world: World) -> None:
    probe = world.probe("modules", every=lambda settings: settings.poll.modules)

    async def work(engine: Engine) -> None:
        await asyncio.sleep(20)
        quicker = build_settings({"poll.modules": Seconds(5)})
        engine.reconfigure(replace(engine.context, settings=quicker), Rules())
        await asyncio.sleep(11)
        off = build_settings({"poll.modules": Seconds(0)})
        engine.reconfigure(replace(engine.context, settings=off), Rules())
        await asyncio.sleep(60)

    world.run(work)
    assert probe.times == [0, 15, 25, 30]


@pytest.mark.parametrize(
    ("takes", "changed_at", "times"),
    [
        pytest.param(5.0, 1, [0, 5], id="while it is read"),
        pytest.param(1.0, 3, [0, 3 + DEBOUNCE], id="between readings"),
    ],
)
def test_settings_when_they_change_then_a_threaded_source_is_read_again_with_the_new_ones(
    world: World, takes: float, changed_at: float, times: list[float]
) -> None:
    probe = world.probe("files", takes=takes, depends_on=lambda settings: settings.files)
    changed = build_settings({"files.settle": Seconds(9)})

    async def work(engine: Engine) -> None:
        await asyncio.sleep(changed_at)
        engine.reconfigure(replace(engine.context, settings=changed), Rules())
        await asyncio.sleep(20)

    world.run(work)
    assert (probe.made, probe.times, probe.overlaps) == ([Settings(), changed], times, 0)


def test_settings_when_an_event_source_depends_on_them_then_it_is_run_anew_after_the_old_one_ended(
    world: World,
) -> None:
    story: list[tuple[str, float]] = []

    async def slow_to_end(context: SourceContext, emit: Emit) -> None:
        story.append((f"begins {context.settings.files.settle:g}", world.clock.seconds))
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(2)
            story.append(("ended", world.clock.seconds))

    world.follow("watch", slow_to_end, depends_on=lambda settings: settings.files)

    async def work(engine: Engine) -> None:
        await asyncio.sleep(1)
        unrelated = build_settings({"parameters.max_value_length": 100})
        engine.reconfigure(replace(engine.context, settings=unrelated), Rules())
        await asyncio.sleep(10)
        assert story == [("begins 2", 0)]
        changed = build_settings({"files.settle": Seconds(9)})
        engine.reconfigure(replace(engine.context, settings=changed), Rules())
        await asyncio.sleep(10)
        assert story == [("begins 2", 0), ("ended", 13), ("begins 9", 13)]

    world.run(work)


# Ticks


def test_ticks_when_nothing_waits_then_every_fifteen_seconds(world: World) -> None:
    async def work(engine: Engine) -> None:
        await asyncio.sleep(3 * IDLE_TICK + 1)

    world.run(work)
    assert world.steps == [IDLE_TICK, 2 * IDLE_TICK, 3 * IDLE_TICK]


def test_ticks_when_something_waits_then_every_second_until_it_is_settled(world: World) -> None:
    coming = modules_read(replace(module("slow"), state=ModuleState.COMING))

    async def work(engine: Engine) -> None:
        feed(engine, "modules", Read(modules_read()))
        await asyncio.sleep(5)
        feed(engine, "modules", Read(coming))
        assert engine.state.waits
        await asyncio.sleep(40)
        assert not engine.state.waits

    world.run(work)
    assert world.sink.types() == [ModuleLoaded.kind.type]  # still coming, after ten seconds
    waiting = [5 + TICK * number for number in range(1, 11)]
    assert world.steps == [0, 5, *waiting, waiting[-1] + IDLE_TICK, waiting[-1] + 2 * IDLE_TICK]


def test_ticks_when_modules_come_without_cease_then_they_are_not_put_off(world: World) -> None:
    waits: list[bool] = []

    async def work(engine: Engine) -> None:
        feed(engine, "modules", Read(modules_read()))
        for number in range(8):
            name = module(f"m{number}", instance=number)
            feed(engine, "modules", Read(modules_read(replace(name, state=ModuleState.COMING))))
            waits.append(engine.state.waits)
            await asyncio.sleep(0.15)
            feed(engine, "modules", Read(modules_read(name)))
            waits.append(engine.state.waits)
            await asyncio.sleep(0.15)

    world.run(work)
    assert waits == [True, False] * 8 and 1.0 in world.steps


def test_times_when_read_then_they_are_those_that_are_promised() -> None:
    assert (DEBOUNCE, FRESH, TICK, IDLE_TICK) == (0.05, 1.0, 1.0, 15.0)
    assert (RETRY_FIRST, RETRY_LAST, STALL) == (0.5, 60.0, 60.0)


# What the daemon makes of it


class Manager(Notifier):
    """A service manager that wants to hear of the daemon every ten seconds, and notes when it does."""

    def __init__(self, clock: LoopClock) -> None:
        super().__init__({"WATCHDOG_USEC": "10000000"})
        self.clock = clock
        self.fed: list[float] = []

    def watchdog(self) -> None:
        self.fed.append(self.clock.seconds)


def test_watchdog_when_no_cycle_was_completed_then_it_is_not_fed(world: World) -> None:
    manager = Manager(world.clock)
    settings = build_settings({"history.enabled": False})
    options = Options(load=lambda: settings, root_of=lambda given: Root(), config_file=Path("/nonexistent"))

    async def work() -> None:
        daemon = Daemon(options, settings, world.clock, manager)
        engine = daemon._engine
        feeding = asyncio.create_task(daemon._feed_watchdog())
        await asyncio.sleep(STALL + 1)
        assert (manager.fed, daemon.cycling) == ([], False)
        feed(engine, "taint", Read(TaintRead(value=0)))
        await asyncio.sleep(STALL - 5)
        assert (manager.fed, daemon.cycling) == ([65], True)
        feed(engine, "taint", Read(TaintRead(value=0)))
        await asyncio.sleep(STALL + 20)
        assert (manager.fed, daemon.cycling) == ([65, 120], False)
        feeding.cancel()

    run(world.clock, work)


def test_cycles_when_counted_then_only_completed_steps(world: World) -> None:
    async def work(engine: Engine) -> None:
        assert engine.cycles == 0
        feed(engine, "taint", Read(TaintRead(value=0)))
        assert engine.cycles == 1
        engine.add_events((recorded_event(type=Started.kind.type, at=engine.clock.now(), severity=Severity.NOTICE),))
        assert engine.cycles == 1
        assert world.sink.types() == [Started.kind.type]

    world.run(work)


# What is put into the state from outside


def test_history_when_it_is_readable_late_then_what_it_has_of_the_earlier_run_is_merged_and_kept(world: World) -> None:
    async def work(engine: Engine) -> None:
        feed(engine, "taint", Read(TaintRead(value=1 << 12)))
        world.sink.checkpoints.clear()
        engine.merge_earlier({"taint": {"ledger": {"12": {"cause": "module:mine"}}}})
        assert str(engine.state.taint.ledger[12].cause) == "module:mine"
        assert set(world.sink.checkpoints) == {"taint"}

    world.run(work)


def test_numbers_of_kmodmon_itself_when_they_change_then_they_are_in_the_state(world: World) -> None:
    async def work(engine: Engine) -> None:
        before = engine.state
        engine.set_self_stats(before.own)
        assert engine.state is before
        own = SelfStats(MappingProxyType({metric: 7.0 for metric in SelfMetric}))
        engine.set_self_stats(own)
        assert engine.state.own is own

    world.run(work)
