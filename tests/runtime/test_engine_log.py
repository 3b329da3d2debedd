"""The engine with the log as its source: a reader that dies is started again, ticks come in time, clues wake taint."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pytest

from kmodmon.config.settings import Settings
from kmodmon.events.event import Event, EventType
from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.kinds.source import SourceLost, SourceRecovered
from kmodmon.events.kinds.taint import TaintAdded
from kmodmon.metrics import EVENT_METRICS
from kmodmon.pipeline import Rules, step
from kmodmon.runtime import engine as engine_module
from kmodmon.runtime.engine import Engine
from kmodmon.runtime.one_shot import fresh_state
from kmodmon.sources import kmsg
from kmodmon.sources.source import Emit, EventSource, PollSource, Reading, SourceContext
from kmodmon.state.checkpoint import LASTING
from kmodmon.state.state import State
from kmodmon.subjects.log import LogRead
from kmodmon.subjects.taint import TaintRead
from kmodmon.system.clock import SystemClock
from kmodmon.system.root import Root
from kmodmon.types.outcome import Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Instant, JsonObject
from tests.kmsg_maker import WARNING, records
from tests.sources.test_kmsg import fifo


class Kept:
    """A sink that keeps."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.checkpoints: dict[str, JsonObject] = {}

    def submit(self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject]) -> None:
        self.events += events
        self.checkpoints.update(checkpoints)

    def of(self, kind: EventType) -> list[Event]:
        return [event for event in self.events if event.type == kind]


def made(dev: Path, *sources: EventSource, polled: Sequence[PollSource] = ()) -> tuple[Engine, Kept]:
    clock, sink = SystemClock(), Kept()
    engine = Engine(
        context=SourceContext(root=Root(dev=os.fsencode(dev)), settings=Settings(), clock=clock),
        state=State(boot_id="test", started=clock.now()),
        sink=sink,
        rules=Rules(event_metrics=EVENT_METRICS),
        polled_sources=polled,
        event_sources=sources,
    )
    return engine, sink


async def until(engine: Engine, done: Callable[[State], bool]) -> None:
    """Wait for a state."""
    news = asyncio.Event()
    engine.on_step = lambda state, events: news.set()
    async with asyncio.timeout(20):
        while not done(engine.state):
            news.clear()
            await news.wait()


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


def test_engine_when_the_reader_dies_then_it_is_said_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "RETRY_FIRST", 0.02)
    first, second = records((b"a", b"b"))

    async def work() -> None:
        engine, sink = made(tmp_path, kmsg.SOURCE)
        pipe = fifo(tmp_path)
        await engine.start()
        await until(engine, lambda state: state.log.opened)
        os.write(pipe, first)
        await until(engine, lambda state: state.log.total == 1)
        os.close(pipe)  # the device ends
        (tmp_path / "kmsg").unlink()
        await until(engine, lambda state: not state.sources[SourceName.KMSG].up)
        pipe = fifo(tmp_path)
        os.write(pipe, first)  # a device gives its ring again
        os.write(pipe, second)
        await until(engine, lambda state: state.log.total == 2)
        assert engine.state.sources[SourceName.KMSG].up
        await engine.stop()
        os.close(pipe)
        assert len(sink.of(SourceLost.kind.type)) == 1
        assert len(sink.of(SourceRecovered.kind.type)) == 1
        assert sink.checkpoints["log"]["next_seq"] == 2

    run(work)


def test_engine_when_the_device_ends_at_once_then_it_is_not_said_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "RETRY_FIRST", 0.01)
    (tmp_path / "kmsg").mkdir()  # read() gives EISDIR, always

    async def work() -> None:
        engine, sink = made(tmp_path, kmsg.SOURCE)
        await engine.start()
        await until(engine, lambda state: engine.cycles >= 4)
        await engine.stop()
        assert [event.type for event in sink.events] == [SourceLost.kind.type]

    run(work)


def test_engine_when_a_report_opens_then_it_is_told_after_silence_and_not_at_the_idle_tick(tmp_path: Path) -> None:
    async def work() -> None:
        engine, sink = made(tmp_path, kmsg.SOURCE)
        pipe = fifo(tmp_path)
        await engine.start()
        await until(engine, lambda state: state.log.opened)
        for record in records(WARNING[:9]):
            os.write(pipe, record)
        async with asyncio.timeout(engine_module.IDLE_TICK / 2):
            await until(engine, lambda state: bool(sink.of(KernelReported.kind.type)))
        await engine.stop()
        os.close(pipe)

    run(work)


def test_engine_when_events_never_cease_then_ticks_come_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "TICK", 0.1)
    monkeypatch.setattr(engine_module, "IDLE_TICK", 0.1)

    async def chatter(context: SourceContext, emit: Emit) -> None:
        seq = 0
        while True:
            line = records((b"m%d: Unknown symbol x (err -2)" % seq,), first=seq)
            emit(Reading(outcome=Read(LogRead(records=line, end=True))))
            seq += 1
            await asyncio.sleep(0.01)

    ticks: list[int] = []
    ticked = Engine._ticked

    def counted(self: Engine) -> None:
        ticks.append(self.cycles)
        ticked(self)

    async def work() -> None:
        engine, sink = made(tmp_path, EventSource(name=SourceName.KMSG, run=chatter, interfaces=()))
        await engine.start()
        await until(engine, lambda state: bool(ticks) or len(sink.events) > 2000)
        await engine.stop()

    monkeypatch.setattr(Engine, "_ticked", counted)
    run(work)
    assert ticks


def test_engine_when_the_log_tells_of_a_taint_then_the_number_is_read(tmp_path: Path) -> None:
    taint = PollSource(
        name=SourceName.TAINT,
        make=lambda context: (
            lambda: Reading(outcome=Read(TaintRead(value=values.pop(0) if len(values) > 1 else values[0])))
        ),
        every=lambda settings: 0.0,
        interfaces=(),
    )
    values = [0, 1 << 12]

    async def work() -> None:
        engine, sink = made(tmp_path, kmsg.SOURCE, polled=(taint,))
        pipe = fifo(tmp_path)
        await engine.start()
        await until(engine, lambda state: state.log.opened)
        os.write(pipe, records((b"m: loading out-of-tree module taints kernel.",))[0])
        await until(engine, lambda state: bool(sink.of(TaintAdded.kind.type)))
        await engine.stop()
        os.close(pipe)
        (added,) = sink.of(TaintAdded.kind.type)
        assert added.fields["cause"] == "module:m"

    run(work)


def test_fresh_state_when_only_what_outlives_a_boot_is_known_then_the_boot_is_new() -> None:
    saved: dict[str, JsonObject] = {name: {"reports": [["print", 5, False]]} for name in LASTING}
    state = fresh_state("boot", SystemClock(), (), saved)
    assert not state.resumed
    assert [report.fingerprint for report in state.reported] == ["print"]
    assert fresh_state("boot", SystemClock(), (), {**saved, "log": {}}).resumed


def test_engine_when_an_observation_meets_a_defect_then_it_is_left_out_counted_and_the_next_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    def poisoned(
        state: State, source: SourceName, reading: Reading, at: Instant, rules: Rules
    ) -> tuple[State, tuple[Event, ...]]:
        if isinstance(reading.outcome, Read) and reading.outcome.value == TaintRead(value=13):
            raise ZeroDivisionError("as told")
        return step(state, source, reading, at, rules)

    monkeypatch.setattr(engine_module, "step", poisoned)

    async def work() -> None:
        engine, sink = made(tmp_path)
        for value in (0, 13, 1):
            engine.feed(SourceName.TAINT, Reading(outcome=Read(TaintRead(value=value))), engine.clock.now())
            assert engine.state.sources[SourceName.TAINT].up is (value != 13)
        assert engine.state.taint.value == 1 and engine.state.sources[SourceName.TAINT].lost == 1
        assert "ZeroDivisionError" in str(sink.of(SourceLost.kind.type)[0].fields["why"])
        assert len(sink.of(SourceRecovered.kind.type)) == 1

    run(work)
    assert "please report" in caplog.text
