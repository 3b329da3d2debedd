"""Calls with a deadline: what is slow is waited for, what hangs is left behind, and no thread is spent twice."""

import asyncio
import errno
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from kmodmon.sources import timed_call
from kmodmon.sources.timed_call import Calls, HungError, ReadingThread, TimedCall, call_in_time
from kmodmon.system import progress
from kmodmon.system.progress import note_progress
from kmodmon.types.outcome import Failed

PATIENCE = 20.0  # seconds
SHORT = 0.1  # seconds


class Gate:
    """A call that waits until it is let through."""

    def __init__(self, path: bytes = b"/proc/modules") -> None:
        self.path = path
        self.threads: list[threading.Thread] = []
        self.open = threading.Event()
        self.begun = threading.Event()

    def __call__(self) -> str:
        self.threads.append(threading.current_thread())
        self.begun.set()
        note_progress(self.path)
        self.open.wait(PATIENCE)
        return "read"


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_call_when_it_returns_or_raises_then_the_caller_has_it() -> None:
    def broken() -> None:
        raise ValueError("a defect")

    assert call_in_time(lambda: 7) == 7
    with pytest.raises(ValueError, match="a defect"):
        call_in_time(broken)


def test_call_when_it_hangs_then_the_error_names_the_file(gate: Gate) -> None:
    with pytest.raises(HungError) as caught:
        call_in_time(gate, SHORT)
    gate.open.set()
    assert str(caught.value) == caught.value.why == "/proc/modules: no answer within 0.1 s"
    assert caught.value.errno == errno.ETIMEDOUT


def test_call_when_it_begins_no_file_then_it_is_the_reading_that_hangs() -> None:
    gate = threading.Event()
    attempt = TimedCall(lambda: gate.wait(PATIENCE), SHORT).start("test")
    assert not attempt.ends_in_time()
    assert attempt.hung() == Failed("the reading: no answer within 0.1 s", errno.ETIMEDOUT, hung=True)
    gate.set()
    assert attempt.result() and attempt.ended


def test_call_when_no_file_takes_long_then_it_may_last_as_long_as_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    for module in (progress, timed_call):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))

    def many() -> int:
        nonlocal now
        for number in range(40):
            note_progress(b"/proc/%d" % number)
            now += 1.0
        return number

    assert TimedCall(many, deadline=2.0).start("test").ends_in_time()
    assert now == 40.0


def test_call_when_it_walks_through_a_tree_then_it_has_the_time_for_it(gate: Gate) -> None:
    def walk() -> str:
        note_progress("/lib/modules", lasts=PATIENCE)
        gate.begun.set()
        gate.open.wait(PATIENCE)
        return "walked"

    attempt = TimedCall(walk, SHORT).start("test")
    threading.Timer(3 * SHORT, gate.open.set).start()
    assert gate.begun.wait(PATIENCE) and attempt.ends_in_time()


def test_call_when_a_file_is_over_its_deadline_by_the_clock_then_it_gets_a_second_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timed_call, "_SECOND_LOOK", PATIENCE)
    gate = Gate()
    attempt = TimedCall(gate, deadline=-1.0).start("test")  # as after a pause of the whole process
    threading.Timer(SHORT, gate.open.set).start()
    assert attempt.ends_in_time()


def test_calls_when_one_hangs_then_its_name_starts_no_thread_and_others_go_on(gate: Gate) -> None:
    async def work() -> None:
        calls = Calls(SHORT)
        for _ in range(3):
            with pytest.raises(HungError, match="/proc/modules"):
                await calls.run("files", gate)
        assert len(gate.threads) == 1 and gate.threads[0].daemon
        assert await calls.run("watch", lambda: 7) == 7
        gate.open.set()
        gate.threads[0].join(PATIENCE)
        assert await calls.run("files", gate) == "read"

    asyncio.run(work())


def test_calls_when_one_is_cancelled_then_the_next_of_its_name_waits_for_it(gate: Gate) -> None:
    async def work() -> None:
        calls = Calls(PATIENCE)
        first = asyncio.create_task(calls.run("watch", gate))
        await asyncio.to_thread(gate.begun.wait, PATIENCE)
        first.cancel()
        second = asyncio.create_task(calls.run("watch", lambda: gate.open.is_set()))
        await asyncio.sleep(SHORT)
        gate.open.set()
        assert await second is True

    asyncio.run(work())


def test_calls_when_the_loop_ends_before_the_call_then_nobody_hears_of_it(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        calls = Calls(PATIENCE)
        waiting = asyncio.create_task(calls.run("files", gate))
        await asyncio.to_thread(gate.begun.wait, PATIENCE)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(work())
    gate.open.set()
    gate.threads[0].join(PATIENCE)
    assert not gate.threads[0].is_alive() and caplog.records == []


def test_thread_when_calls_follow_each_other_then_it_is_one_and_when_left_another(gate: Gate) -> None:
    thread = ReadingThread()
    seen = [thread.make(TimedCall(threading.current_thread)).result() for _ in range(3)]
    assert len(set(seen)) == 1
    slow = thread.make(TimedCall(gate))
    assert gate.begun.wait(PATIENCE) and not slow.ends_within(SHORT)
    thread.leave()
    other = thread.make(TimedCall(threading.current_thread)).result()
    assert gate.threads == [seen[0]] and other is not seen[0]
    gate.open.set()
    assert slow.result() == "read"
    seen[0].join(PATIENCE)
    assert not seen[0].is_alive() and other.is_alive()
    thread.leave()
    other.join(PATIENCE)
    assert not other.is_alive()


def test_call_when_the_system_has_no_thread_left_then_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    starts: list[Callable[[], object]] = [
        lambda: call_in_time(lambda: 7),
        lambda: ReadingThread().make(TimedCall(lambda: 7)).result(),
    ]
    for start in starts:
        with pytest.raises(OSError, match="can't start new thread") as caught:
            start()
        assert caught.value.errno == errno.EAGAIN
