"""The follower of the trace on an instance made of files and pipes: set up, adopted, read, looked after, removed."""

import asyncio
import fcntl
import os
import select
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from kmodmon.config.settings import Settings, build_settings
from kmodmon.events.event import Actor, Process
from kmodmon.lifecycle.signals import TraceKind, TraceRead
from kmodmon.sources.actor import Actors, ProcSnapshot
from kmodmon.sources.source import Reading, SourceContext
from kmodmon.sources.trace import run_trace
from kmodmon.system.clock import SystemClock
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Read
from tests.sources.tracefs import Tracefs, execution, free, init, load, request
from tests.trace_maker import Made, page


class Heard:
    """What the source handed on."""

    def __init__(self) -> None:
        self.looks: list[Reading] = []
        self._more = asyncio.Event()

    def __call__(self, look: Reading) -> None:
        self.looks.append(look)
        self._more.set()

    @property
    def heard(self) -> list[TraceRead]:
        outcomes = [look.outcome for look in self.looks]
        return [each.value for each in outcomes if isinstance(each, Read) and isinstance(each.value, TraceRead)]

    @property
    def kinds(self) -> list[TraceKind]:
        return [entry.kind for heard in self.heard for entry in heard.entries]

    async def until(self, fulfilled: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not fulfilled():
                self._more.clear()
                await self._more.wait()


@pytest.fixture
def tracefs(tmp_path: Path) -> Iterator[Tracefs]:
    with Tracefs(tmp_path) as made:
        yield made


def context(tracefs: Tracefs, settings: Settings | None = None) -> SourceContext:
    place = str(tracefs.place).encode()
    root = Root(tracefs=place, debugfs=place + b"/none", procfs=place + b"/none")
    return SourceContext(root=root, settings=settings or Settings(), clock=SystemClock())


@asynccontextmanager
async def following(tracefs: Tracefs, where: SourceContext | None = None) -> AsyncIterator[Heard]:
    heard = Heard()
    task = asyncio.create_task(run_trace(where or context(tracefs), heard))
    try:
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def began(heard: Heard) -> bool:
    return any(each.began for each in heard.heard)


def test_trace_when_adopted_then_what_it_holds_comes_before_all_that_is_new(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        tracefs.write(load(5))
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
            tracefs.write(free(6))
            await heard.until(lambda: len(heard.kinds) == 2)
        first, second, third = heard.heard[:3]
        assert first.adopted and [entry.monotonic_usec for entry in first.entries] == [5_000_100]
        assert second.began and not second.entries
        assert not third.adopted and third.entries[0].module == "hello_unsigned"

    asyncio.run(scenario())


def test_trace_when_set_up_then_small_prompt_dated_and_only_what_is_needed(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
            assert (tracefs.read("buffer_size_kb"), tracefs.read("buffer_percent")) == ("64", "0")
            assert tracefs.read("tracing_on") == "1"
            enabled = [
                path.parent.name for path in tracefs.instance.glob("events/*/*/enable") if path.read_text() == "1"
            ]
            assert sorted(enabled) == [
                "initcall_finish", "module_free", "module_load", "module_request", "sched_process_exec",
            ]  # fmt: skip
            only = tracefs.read("events/sched/sched_process_exec/filter")
            assert 'filename == "/usr/sbin/insmod"' in only and "~" not in only

    asyncio.run(scenario())


def test_trace_when_its_clock_was_another_then_what_it_holds_is_lost_and_counted(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        (tracefs.instance / "trace_clock").write_text("[local] global mono\n")
        tracefs.write(load(5), free(6))
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
        assert heard.kinds == [] and heard.looks[0].lost == 2
        assert tracefs.read("trace_clock") == "mono"

    asyncio.run(scenario())


def test_trace_when_events_are_read_then_with_task_taint_and_what_init_returned(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
            tracefs.write(load(5), init(5))
            await heard.until(lambda: len(heard.kinds) == 2)
        loaded, returned = heard.heard[-1].entries
        assert (loaded.kind, loaded.taint, loaded.tid) == (TraceKind.LOAD, "OE", 999999)
        assert loaded.actor == Actor(process=Process(pid=999999))  # no procfs here to look it up in
        assert (returned.kind, returned.ret, returned.tid) == (TraceKind.INIT, -5, 999999)

    asyncio.run(scenario())


def test_trace_when_events_were_overwritten_then_counted(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
            tracefs.write_page(page(load(5), missed=True, lost=12))
            await heard.until(lambda: bool(heard.kinds))
        assert [look.lost for look in heard.looks] == [0, 12]

    asyncio.run(scenario())


def test_trace_when_a_page_does_not_hold_then_counted_and_the_next_is_read(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
            for raw in (page(load(5))[:1000], b"\xff" * 4096, page(load(5))):
                tracefs.write_page(raw)
            await heard.until(lambda: bool(heard.kinds))
        assert heard.kinds == [TraceKind.LOAD]
        assert sum(look.unreadable for look in heard.looks) == 2

    asyncio.run(scenario())


def test_trace_when_stopped_then_the_last_events_are_heard_and_nothing_records_any_more(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
            tracefs.write(load(5))  # and no turn of the loop to read it in
        assert heard.kinds == [TraceKind.LOAD]
        assert tracefs.read("tracing_on") == "0"

    asyncio.run(scenario())


def test_trace_when_someone_switched_it_off_then_on_again_with_a_loss(
    tracefs: Tracefs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmodmon.sources.trace._CHECK", 0.05)

    async def scenario() -> None:
        async with following(tracefs) as heard:
            await heard.until(lambda: any(each.intact for each in heard.heard))
            assert heard.looks[-1].quiet
            (tracefs.instance / "events/module/module_load/enable").write_text("0")
            await heard.until(lambda: heard.looks[-1].lost == 1)
            assert heard.heard[-1].began
            assert tracefs.read("events/module/module_load/enable") == "1"

    asyncio.run(scenario())


def test_trace_when_readable_but_empty_then_no_spinning_and_tracing_is_on_again(
    tracefs: Tracefs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmodmon.sources.trace._PAUSE", 0.05)

    async def scenario() -> None:
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
            (tracefs.instance / "tracing_on").write_text("0")
            tracefs.close_writers()  # reads give nothing at all from now on
            async with asyncio.timeout(10):
                while tracefs.read("tracing_on") != "1":  # noqa: ASYNC110 - a file, nothing tells of it
                    await asyncio.sleep(0.01)
            tracefs.open_writers()
            tracefs.write(load(5))
            await heard.until(lambda: bool(heard.kinds))

    asyncio.run(scenario())


def test_trace_when_events_are_of_several_cpus_then_in_the_order_of_time(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        tracefs.write(load(5), free(8))
        tracefs.write(free(6), load(7), cpu=1)
        tracefs.write_page(page(free(9)), cpu=1)
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
        entries = [entry for each in heard.heard for entry in each.entries]
        assert [entry.monotonic_usec // 1_000_000 for entry in entries] == [5, 6, 7, 8, 9]

    asyncio.run(scenario())


def test_trace_when_a_cpu_appears_later_then_it_is_read_too(tracefs: Tracefs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmodmon.sources.trace._CHECK", 0.05)

    async def scenario() -> None:
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
            tracefs.add_cpu()
            tracefs.write(load(5), cpu=2)
            await heard.until(lambda: bool(heard.kinds))

    asyncio.run(scenario())


def test_trace_when_another_has_it_open_then_busy_and_nothing_of_it_is_taken(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        tracefs.write(load(5))
        other = os.open(tracefs.instance / "trace_pipe", os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="busy"):
            await run_trace(context(tracefs), Heard())
        os.close(other)
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
        assert heard.kinds == [TraceKind.LOAD]

    asyncio.run(scenario())


def test_trace_when_the_formats_cannot_be_read_then_it_fails_and_leaves_the_trace_to_others(tracefs: Tracefs) -> None:
    form = tracefs.instance / "events/module/module_free/format"
    whole = form.read_text()

    async def scenario() -> None:
        form.unlink()
        with pytest.raises(OSError, match="module_free/format"):
            await run_trace(context(tracefs), Heard())
        form.write_text("name: module_free\nID: 5\nformat:\n")
        with pytest.raises(OSError, match="no fields"):
            await run_trace(context(tracefs), Heard())
        form.write_text(whole)
        (tracefs.instance / "events/initcall/initcall_finish/format").unlink()
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
        assert tracefs.read("events/initcall/initcall_finish/enable") == "0"

    asyncio.run(scenario())


def test_trace_when_the_tool_exited_before_it_was_read_then_its_name_is_that_of_its_program(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        tracefs.write(execution(999999, b"/usr/sbin/insmod", 4), load(5), init(5))
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
        entries = [entry for each in heard.heard for entry in each.entries]
        insmod = Actor(process=Process(pid=999999, comm="insmod"))
        assert [entry.actor for entry in entries] == [insmod, insmod, None]

    asyncio.run(scenario())


def test_trace_when_the_requester_exits_before_its_look_up_then_it_is_known_from_when_the_event_was_read(
    tracefs: Tracefs, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc = tracefs.place / "proc"
    for pid, name, parent in ((2, "kthreadd", 0), (700, "ip", 2)):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "status").write_text(
            f"Name:\t{name}\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{parent}\nUid:\t1000\t1000\t1000\t1000\n"
        )
    (proc / "700/cmdline").write_bytes(b"ip\0link\0add\0")
    capture = Actors.capture

    def exits_first(
        actors: Actors, tid: int, at: int, snapshot: ProcSnapshot | None = None
    ) -> tuple[Actor, str | None]:
        shutil.rmtree(proc / str(tid))
        return capture(actors, tid, at, snapshot)

    monkeypatch.setattr(Actors, "capture", exits_first)

    async def scenario() -> None:
        where = context(tracefs)
        where = replace(where, root=replace(where.root, procfs=str(proc).encode()))
        async with following(tracefs, where) as heard:
            await heard.until(lambda: began(heard))
            tracefs.write(request(700, b"rtnl-link-dummy"))
            await heard.until(lambda: bool(heard.kinds))
        (entry,) = (entry for each in heard.heard for entry in each.entries)
        assert entry.actor is not None and entry.actor.uid == 1000
        assert entry.actor.process.cmdline == ("ip", "link", "add")

    asyncio.run(scenario())


def test_trace_when_requests_come_in_floods_then_few_tasks_are_looked_up(tracefs: Tracefs) -> None:
    (tracefs.place / "proc/2").mkdir(parents=True)
    (tracefs.place / "proc/2/status").write_text("Name:\tkthreadd\nTgid:\t2\nPid:\t2\nPPid:\t0\nUid:\t0\t0\t0\t0\n")

    async def scenario() -> None:
        where = context(tracefs)
        where = replace(where, root=replace(where.root, procfs=str(tracefs.place / "proc").encode()))
        async with following(tracefs, where) as heard:
            await heard.until(lambda: began(heard))
            tracefs.write(*(request(900000 + n, b"fs-x%d" % n, n) for n in range(40)))
            await heard.until(lambda: len(heard.kinds) == 40)
        actors = [entry.actor for each in heard.heard for entry in each.entries]
        assert sum(actor is not None and actor.exited for actor in actors) == 20

    asyncio.run(scenario())


def test_trace_when_requests_never_cease_then_they_are_told_meanwhile(
    tracefs: Tracefs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each comes while those before wait for what they cause; the wait has an end all the same.
    monkeypatch.setattr("kmodmon.sources.trace._WAIT", 0.05)

    async def scenario() -> None:
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
            number = 0
            async with asyncio.timeout(10):
                while not heard.kinds:
                    number += 1
                    tracefs.write(request(900000, b"fs-x", number))
                    await asyncio.sleep(0.001)
        assert all(look.quiet for look in heard.looks if look.outcome != heard.looks[0].outcome)

    asyncio.run(scenario())


@pytest.mark.parametrize("off", ["setting", "recorded", "nothing there"])
def test_trace_when_it_cannot_be_then_absent_and_why(tracefs: Tracefs, off: str) -> None:
    where = context(tracefs, build_settings({"trace.enabled": off != "setting"}))
    if off == "recorded":
        where = replace(where, root=where.root.failing({}))
    if off == "nothing there":
        where = replace(where, root=replace(where.root, tracefs=b"/nowhere"))

    async def scenario() -> Reading:
        async with following(tracefs, where) as heard:
            await heard.until(lambda: bool(heard.looks))
            return heard.looks[0]

    assert isinstance(asyncio.run(scenario()).outcome, Absent)


def write_and_see_it_taken(tracefs: Tracefs, *records: Made) -> None:
    tracefs.write(*records)
    while select.select((tracefs.readers[0],), (), (), 0)[0] or not is_waiting("actors"):
        time.sleep(0.001)


def is_waiting(thread: str) -> bool:
    """Whether the thread of that name has nothing to do, as its stack shows."""
    (ident,) = (each.ident for each in threading.enumerate() if each.name == thread)
    return ident is not None and sys._current_frames()[ident].f_code.co_filename == threading.__file__


def test_trace_when_the_loop_was_busy_then_what_came_meanwhile_is_one_look(tracefs: Tracefs) -> None:
    async def scenario() -> None:
        async with following(tracefs) as heard:
            await heard.until(lambda: began(heard))
            before = len(heard.looks)
            for second in range(20, 40):
                write_and_see_it_taken(tracefs, free(second))  # in the loop, which hears nothing meanwhile
            await heard.until(lambda: len(heard.kinds) == 20)
        entries = [entry for each in heard.heard for entry in each.entries]
        assert [entry.monotonic_usec for entry in entries] == [second * 1_000_000 + 300 for second in range(20, 40)]
        assert len(heard.looks) - before < 20

    asyncio.run(scenario())
