"""The follower of the trace while the kernel does not answer: it says so, the loop goes on, and then it is followed."""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kmodmon.sources.source import SourceContext
from kmodmon.sources.timed_call import Calls, HungError
from kmodmon.sources.trace import run_trace
from tests.blocked import release
from tests.sources.test_actor import Procfs
from tests.sources.test_trace import Heard, began, context, following
from tests.sources.tracefs import Tracefs, free, load

DEADLINE, PATIENCE = 0.2, 10.0  # seconds
FILES = ("trace_clock", "tracing_on", "events/header_page", "events/module/module_load/format",
         "events/sched/sched_process_exec/filter", "events/module/module_free/enable", "buffer_percent")  # fmt: skip


@pytest.fixture
def tracefs(tmp_path: Path) -> Iterator[Tracefs]:
    with Tracefs(tmp_path / "tracing") as made:
        yield made


def impatient(tracefs: Tracefs, procfs: Path | None = None) -> SourceContext:
    where = context(tracefs)
    root = where.root if procfs is None else replace(where.root, procfs=os.fsencode(procfs))
    return replace(where, root=root, calls=Calls(DEADLINE))


async def hung(where: SourceContext) -> str:
    """Run it until it is hung; the longest that the loop was kept from anything else is no more than a moment."""
    task = asyncio.create_task(run_trace(where, Heard()))
    last, longest = time.monotonic(), 0.0
    while not task.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert longest < PATIENCE / 2
    with pytest.raises(HungError) as caught:
        await task
    return str(caught.value)


async def following_again(where: SourceContext, heard: Heard) -> "asyncio.Task[None]":
    """Try until it follows: the thread that was left behind ends first."""
    for _ in range(10):
        task = asyncio.create_task(run_trace(where, heard))
        begun = asyncio.create_task(heard.until(lambda: began(heard)))
        await asyncio.wait((task, begun), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            return task
        begun.cancel()
    await task
    raise AssertionError("it ended")


@pytest.mark.parametrize("name", FILES)
def test_trace_when_a_file_does_not_answer_then_hung_and_followed_when_it_does(tracefs: Tracefs, name: str) -> None:
    path = tracefs.instance / name
    text = path.read_bytes()
    path.unlink()
    os.mkfifo(path)

    async def scenario() -> None:
        where = impatient(tracefs)
        assert f"{path}: no answer within 0.2 s" == await hung(where)
        assert f"{path}: no answer within 0.2 s" == await hung(where), "no second thread waits for it"
        path.rename(path.with_suffix(".pipe"))
        path.write_bytes(text)
        release(path.with_suffix(".pipe"))
        heard = Heard()
        task = await following_again(where, heard)
        tracefs.write(free(7))
        await heard.until(lambda: len(heard.kinds) == 1)
        task.cancel()
        await asyncio.wait((task,))

    asyncio.run(scenario())


def test_trace_when_cancelled_while_it_hangs_then_it_ends_all_the_same(tracefs: Tracefs) -> None:
    path = tracefs.instance / "trace_clock"
    path.unlink()
    os.mkfifo(path)

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE), following(tracefs, impatient(tracefs)):
            await asyncio.sleep(DEADLINE / 2)
        release(path)

    asyncio.run(scenario())


def test_trace_when_a_task_of_roots_does_not_answer_then_hung_and_afterwards_nothing_is_lost(
    tracefs: Tracefs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command line waits for a lock of the task's memory, here for a FIFO; a user's has a thread for itself."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", psutil.PROCFS_PATH)
    (tmp_path / "proc").mkdir()
    procfs = Procfs(tmp_path / "proc")
    procfs.process(999999, "insmod", 320, b"insmod\0")
    pipe = tmp_path / "proc/999999/cmdline"
    pipe.unlink()
    os.mkfifo(pipe)

    async def scenario() -> None:
        where, heard = impatient(tracefs, tmp_path / "proc"), Heard()
        task = asyncio.create_task(run_trace(where, heard))
        await heard.until(lambda: began(heard))
        tracefs.write(load(5))
        with pytest.raises(HungError) as caught:
            await task
        assert str(caught.value) == f"{pipe}: no answer within 0.2 s"
        release(pipe)
        await heard.until(lambda: len(heard.kinds) == 1)
        (entry,) = (entry for each in heard.heard for entry in each.entries)
        assert entry.actor is not None and entry.actor.name == "insmod"

    asyncio.run(scenario())
