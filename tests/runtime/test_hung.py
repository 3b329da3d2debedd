"""Reads that never end: their source is hung, everything else goes on, and what comes back is read again."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kmodmon.config.settings import Settings
from kmodmon.config.values import Seconds
from kmodmon.events.event import Severity
from kmodmon.events.kinds.source import SourceLost, SourceRecovered
from kmodmon.metrics import EVENT_METRICS
from kmodmon.pipeline import Rules
from kmodmon.runtime import engine as engine_module
from kmodmon.runtime.engine import Engine
from kmodmon.runtime.one_shot import NO_BOOT, fresh_state, look_once
from kmodmon.sources import watch
from kmodmon.sources.files import SOURCE as FILES
from kmodmon.sources.registry import POLLED
from kmodmon.sources.source import EventSource, PollSource, Reading, SourceContext
from kmodmon.state.state import State
from kmodmon.subjects.source import SourceStatus
from kmodmon.subjects.taint import TaintRead
from kmodmon.types.outcome import Read
from kmodmon.types.source_name import SourceName
from tests.blocked import BlockedHost, kinds, make_host, opened
from tests.runtime.test_engine_log import Kept, until

DEADLINE = 0.15  # seconds


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop waits for no slow reading, and what hung is asked again soon."""
    monkeypatch.setattr(engine_module, "PATIENCE", 0.02)
    monkeypatch.setattr(engine_module, "SOON", 0.1)
    monkeypatch.setattr(engine_module, "RETRY_FIRST", 0.1)
    monkeypatch.setattr(engine_module, "RETRY_LAST", 0.1)


@pytest.fixture
def host(tmp_path: Path) -> BlockedHost:
    return make_host(tmp_path)


def engine_of(context: SourceContext, polled: Iterable[PollSource], *followed: EventSource) -> tuple[Engine, Kept]:
    polled, sink = tuple(polled), Kept()
    names = [*(source.name for source in polled), *(source.name for source in followed)]
    engine = Engine(
        context=context,
        state=fresh_state("test", context.clock, names, {}),
        sink=sink,
        rules=Rules(event_metrics=EVENT_METRICS),
        polled_sources=polled,
        event_sources=followed,
    )
    return engine, sink


def named(*names: SourceName) -> Iterator[PollSource]:
    return (source for source in POLLED if source.name in names)


def are(names: Iterable[SourceName], *wanted: SourceStatus) -> Callable[[State], bool]:
    chosen = tuple(names)
    return lambda state: all(state.sources[name].status in wanted for name in chosen)


UP, HUNG = SourceStatus.UP, SourceStatus.HUNG


def rounds(files: Mapping[Path, frozenset[SourceName]]) -> Iterator[list[Path]]:
    """The files in groups, so that no two of a group are of the same source."""
    left = list(files)
    while left:
        taken: set[SourceName] = set()
        group = []
        for path in left:
            if not files[path] & taken:
                taken |= files[path]
                group.append(path)
        left = [path for path in left if path not in group]
        yield group


# A FIFO among them is no regular file, and is not opened; a parameter is given up for itself.
IN_PART = (SourceName.MODPROBE, SourceName.PARAMETERS)


def test_files_when_each_in_turn_does_not_answer_then_its_sources_hang_no_others_and_they_recover(
    host: BlockedHost,
) -> None:
    files = opened(host)
    of_kind = {path: files[path] for path in kinds(files).values()}
    assert len(of_kind) > 45
    every = [source.name for source in POLLED if source is not FILES]

    async def work(group: list[Path]) -> None:
        expected = frozenset[SourceName]().union(*(files[path] for path in group))
        whole = expected - set(IN_PART)
        engine, _ = engine_of(host.context(DEADLINE), named(*every))
        with host.without_answer(*group):
            await engine.start()
            await until(engine, are(whole, HUNG))
            await until(engine, are((name for name in every if name not in whole), UP))
            for name in expected & set(IN_PART):
                assert engine.state.sources[name].unreadable
            for name in whole:
                assert any(engine.state.sources[name].why.startswith(str(path)) for path in group)
        await until(engine, are(every, UP))
        await engine.stop()

    for group in rounds(of_kind):
        asyncio.run(work(group))


def test_source_when_it_hangs_then_events_say_so_once_and_one_thread_waits(host: BlockedHost) -> None:
    modules = host.tree / "proc/modules"

    async def work() -> None:
        engine, sink = engine_of(host.context(DEADLINE), named(SourceName.MODULES, SourceName.TAINT))
        await engine.start()
        await until(engine, are((SourceName.MODULES,), UP))
        before, known = threading.active_count(), engine.state.inventory
        with host.without_answer(modules):
            engine.read_now(SourceName.MODULES)
            await until(engine, are((SourceName.MODULES,), HUNG))
            for _ in range(20):
                engine.refresh()
                engine.wake((SourceName.MODULES,))
                engine.read_now(SourceName.MODULES)
                engine.read_now(SourceName.TAINT)
            assert threading.active_count() == before + 1
            assert engine.state.inventory is known
            (lost,) = sink.of(SourceLost.kind.type)
            assert lost.severity is Severity.ERROR
            assert lost.details == SourceLost(source="modules", why=f"{modules}: no answer within {DEADLINE:g} s")
        await until(engine, are((SourceName.MODULES,), UP))
        assert len(sink.of(SourceLost.kind.type)) == len(sink.of(SourceRecovered.kind.type)) == 1
        assert engine.state.inventory.modules == known.modules  # what was read while it hung is not taken
        await engine.stop()

    asyncio.run(work())


def test_source_when_a_reading_is_late_and_ends_then_it_is_taken_and_never_was_hung() -> None:
    go_on = threading.Event()

    def read() -> Reading:
        go_on.wait(20)
        return Reading(outcome=Read(TaintRead(value=1)))

    async def work() -> None:
        source = PollSource(
            name=SourceName.TAINT, make=lambda context: read, every=lambda settings: 0, interfaces=(), cheap=True
        )
        engine, sink = engine_of(host_context(), [source])
        await engine.start()  # which does not wait for it
        engine.refresh()  # nor does a scrape
        assert engine.state.taint.value is None
        go_on.set()
        await until(engine, lambda state: state.taint.value == 1)
        assert sink.of(SourceLost.kind.type) == []
        await engine.stop()

    asyncio.run(work())


def host_context() -> SourceContext:
    from kmodmon.system.clock import SystemClock
    from kmodmon.system.root import Root

    return SourceContext(root=Root(), settings=Settings(), clock=SystemClock())


def test_module_files_when_the_host_does_not_answer_then_hung_and_asked_again(host: BlockedHost) -> None:
    settings = replace(
        host.settings, files=replace(host.settings.files, enabled=True, settle=Seconds(0))
    )  # the kernel's module tree is missing: no process is started

    async def work() -> None:
        context = replace(host.context(DEADLINE), settings=settings)
        engine, _ = engine_of(context, [FILES])
        with host.without_answer(host.tree / "proc/sys/kernel/osrelease"):
            await engine.start()
            await until(engine, are((SourceName.FILES,), HUNG))
            before = threading.active_count()
            for _ in range(3):
                await until_read_again(engine)
            assert threading.active_count() <= before + 1  # one may be stopping
        await until(engine, are((SourceName.FILES,), SourceStatus.ABSENT))
        await engine.stop()

    asyncio.run(work())


async def until_read_again(engine: Engine) -> None:
    cycles = engine.cycles
    await until(engine, lambda state: engine.cycles > cycles)


def test_watch_when_a_directory_does_not_answer_then_hung_and_it_is_watched_when_it_does(host: BlockedHost) -> None:
    settings = replace(host.settings, files=replace(host.settings.files, enabled=True))

    async def work() -> None:
        context = replace(host.context(DEADLINE), settings=settings)
        engine, sink = engine_of(context, (), watch.SOURCE)
        with host.without_answer(host.tree / "proc/sys/kernel/osrelease"):
            await engine.start()
            await until(engine, are((SourceName.WATCH,), HUNG))
            before = threading.active_count()
            for _ in range(3):
                await until_read_again(engine)
            assert threading.active_count() <= before + 1  # one may be stopping
        await until(engine, are((SourceName.WATCH,), UP))
        assert len(sink.of(SourceLost.kind.type)) == 1
        await engine.stop()

    asyncio.run(work())


def test_engine_when_stopped_while_everything_hangs_then_it_stops(host: BlockedHost) -> None:
    files = opened(host)

    async def work() -> None:
        engine, _ = engine_of(host.context(60), POLLED)
        with host.without_answer(*kinds(files).values()):
            await engine.start()
            async with asyncio.timeout(20):
                await engine.stop()
        assert engine.state.taint.value is None

    asyncio.run(work())


def test_command_when_files_do_not_answer_then_it_ends_and_says_so(host: BlockedHost) -> None:
    identity = host.tree / "proc/sys/kernel/random/boot_id"
    identity.write_text("0e1b2c3d-1111-4222-8333-abcdefabcdef\n")
    with host.without_answer(host.tree / "proc/modules", identity):
        state = look_once(host.context(DEADLINE))
    assert {name for name, source in state.sources.items() if source.hung} == {"modules", "crossview"}
    assert state.sources[SourceName.TAINT].up and state.taint.value is not None
    assert (state.inventory.support, state.boot_id) == (None, NO_BOOT)


def test_number_when_its_file_never_ends_then_no_more_than_a_number_is_read(host: BlockedHost) -> None:
    for name in ("proc/sys/kernel/tainted", "sys/kernel/oops_count", "sys/kernel/uevent_seqnum"):
        (host.tree / name).unlink()
        os.symlink("/dev/zero", host.tree / name)
    state = look_once(host.context(60))
    assert state.sources[SourceName.TAINT].status is SourceStatus.FAILED
    assert state.sources[SourceName.TAINT].why == f"{host.tree}/proc/sys/kernel/tainted: more than 64 bytes"
    assert state.sources[SourceName.COUNTERS].unreadable == 1
    assert state.sources[SourceName.MODULES].up
