"""The reader of /dev/kmsg against devices that behave like it: one record a read, EAGAIN, EPIPE, EINVAL, ends."""

import asyncio
import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.config.settings import Settings
from kmodmon.kernel.parameter import SecretNames
from kmodmon.sources import kmsg
from kmodmon.sources.kmsg import BATCH, KmsgReader, run
from kmodmon.sources.source import Reading, SourceContext
from kmodmon.subjects.log import LogRead
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Outcome, Read
from tests.fake_clock import FakeClock
from tests.kmsg_maker import records


class Device:
    """The two ends of a device that gives one record a read."""

    def __init__(self) -> None:
        self._kernel, self._ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self._kernel.setblocking(False)

    @property
    def fd(self) -> int:
        return self._ours.fileno()

    def write(self, *batch: bytes) -> None:
        for record in batch:
            self._kernel.send(record)

    def end(self) -> None:
        self._kernel.close()

    def close(self) -> None:
        self._kernel.close()
        self._ours.close()


@pytest.fixture
def device() -> Iterator[Device]:
    made = Device()
    yield made
    made.close()


class Script:
    """A read() that answers from a list: bytes, or errors by number; after its end EAGAIN."""

    def __init__(self, *answers: bytes | int) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self, fd: int, size: int) -> bytes:
        self.calls += 1
        answer = self.answers.pop(0) if self.answers else errno.EAGAIN
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer


def scripted(monkeypatch: pytest.MonkeyPatch, *answers: bytes | int) -> tuple[KmsgReader, Script]:
    script = Script(*answers)
    monkeypatch.setattr(os, "read", script)
    return KmsgReader(3), script


A, B, C = records((b"a", b"b", b"c"))


def test_batch_when_records_wait_then_each_read_is_one_record(device: Device) -> None:
    device.write(A, B, C)
    reader = KmsgReader(device.fd)
    assert reader.batch(BATCH) == LogRead(records=(A, B, C), end=True, live=False)


def test_batch_when_the_log_was_read_to_its_end_before_then_new_records_are_live(device: Device) -> None:
    reader = KmsgReader(device.fd)
    assert reader.batch(BATCH) == LogRead(records=(), end=True, live=False)
    device.write(A)
    assert reader.batch(BATCH) == LogRead(records=(A,), end=True, live=True)


def test_batch_when_there_is_more_than_a_batch_then_the_rest_stays_for_the_next(device: Device) -> None:
    device.write(A, B, C)
    reader = KmsgReader(device.fd)
    assert reader.batch(2) == LogRead(records=(A, B), end=False, live=False)
    assert reader.batch(2) == LogRead(records=(C,), end=True, live=False)


def test_batch_when_records_show_values_of_parameters_then_secrets_among_them_are_hidden(device: Device) -> None:
    shown = (b"a", b"x: `5x' invalid for parameter `level'", b"x: `<redacted>' invalid for parameter `psk'")
    device.write(*records((shown[0], shown[1], b"x: `topsecret' invalid for parameter `psk'")))
    assert KmsgReader(device.fd).batch(BATCH).records == tuple(records(shown))
    device.write(*records((b"x: `topsecret' invalid for parameter `psk'", b"x: `opaque' invalid for parameter `name'")))
    reader = KmsgReader(device.fd, SecretNames(redact=("x.name",)))
    psk, name = reader.batch(BATCH).records
    assert b"topsecret" in psk and b"opaque" not in name


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EINVAL, errno.EINTR])
def test_batch_when_a_record_was_lost_then_reading_goes_on(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    reader, _ = scripted(monkeypatch, A, number, number, C)
    assert reader.batch(BATCH) == LogRead(records=(A, C), end=True, live=False)


def test_batch_when_the_device_only_fails_then_the_loop_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, script = scripted(monkeypatch, *[errno.EINVAL] * 100_000)
    assert reader.batch(BATCH) == LogRead(records=(), end=False, live=False)
    assert script.calls <= BATCH


def test_batch_when_the_device_fails_then_what_was_read_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, _ = scripted(monkeypatch, A, B, errno.EIO)
    assert reader.batch(BATCH).records == (A, B)
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            reader.batch(BATCH)


def test_batch_when_the_device_ends_then_what_was_read_comes_first(device: Device) -> None:
    device.write(A, B)
    device.end()
    reader = KmsgReader(device.fd)
    assert reader.batch(BATCH).records == (A, B)
    with pytest.raises(OSError, match="end of file"):
        reader.batch(BATCH)


@given(
    st.lists(
        st.one_of(st.just(b"r"), st.sampled_from([errno.EAGAIN, errno.EPIPE, errno.EINVAL, errno.EINTR])), max_size=60
    ),
    st.integers(1, 7),
)
@settings(max_examples=200)
def test_batch_when_reads_answer_anything_then_every_record_is_given_once_in_order(
    answers: list[bytes | int], most: int
) -> None:
    written = [b"%d" % at if isinstance(answer, bytes) else answer for at, answer in enumerate(answers)]
    got: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        reader, script = scripted(patch, *written)
        while script.answers:
            got += reader.batch(most).records
    assert got == [answer for answer in written if isinstance(answer, bytes)]


# Following


class Looks:
    """What a source emitted, and waiting for it."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome[object]] = []
        self._news = asyncio.Event()

    def __call__(self, look: Reading) -> None:
        self.outcomes.append(look.outcome)
        self._news.set()

    @property
    def records(self) -> list[bytes]:
        reads = [outcome.value for outcome in self.outcomes if isinstance(outcome, Read)]
        return [record for read in reads if isinstance(read, LogRead) for record in read.records]

    async def until(self, done: Callable[["Looks"], bool]) -> None:
        async with asyncio.timeout(10):
            while not done(self):
                self._news.clear()
                await self._news.wait()


def surroundings(dev: Path) -> SourceContext:
    return SourceContext(root=Root(dev=os.fsencode(dev)), settings=Settings(), clock=FakeClock())


def fifo(dev: Path) -> int:
    """A packet pipe at the device's place; held open for reading and writing, so that it never ends."""
    os.mkfifo(dev / "kmsg")
    pipe = os.open(dev / "kmsg", os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_NONBLOCK | os.O_DIRECT)
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 19)
    return pipe


def test_run_when_records_come_then_they_are_followed_until_cancelled(tmp_path: Path) -> None:
    async def follow() -> Looks:
        looks, pipe = Looks(), fifo(tmp_path)
        task = asyncio.create_task(run(surroundings(tmp_path), looks))
        await looks.until(lambda seen: bool(seen.outcomes))
        assert looks.outcomes == [Read(LogRead(records=(), end=True))]
        for record in (A, B, C):
            os.write(pipe, record)
            await looks.until(lambda seen, record=record: record in seen.records)  # type: ignore[misc]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        os.close(pipe)
        return looks

    assert asyncio.run(follow()).records == [A, B, C]


def test_run_when_more_waits_than_one_turn_reads_then_other_work_has_its_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kmsg, "BATCH", 4)
    many = records([b"x"] * 40)

    async def follow() -> tuple[Looks, int]:
        looks, pipe = Looks(), fifo(tmp_path)
        turns = 0

        async def other_work() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        for record in many:
            os.write(pipe, record)
        work = asyncio.create_task(other_work())
        task = asyncio.create_task(run(surroundings(tmp_path), looks))
        await looks.until(lambda seen: len(seen.records) == len(many))
        for one in (task, work):
            one.cancel()
        await asyncio.gather(task, work, return_exceptions=True)
        os.close(pipe)
        return looks, turns

    looks, turns = asyncio.run(follow())
    assert looks.records == list(many)
    assert turns >= 40 // 4


def test_run_when_the_writer_goes_away_then_it_raises_after_the_last_record(tmp_path: Path) -> None:
    async def follow() -> Looks:
        looks, pipe = Looks(), fifo(tmp_path)
        task = asyncio.create_task(run(surroundings(tmp_path), looks))
        await looks.until(lambda seen: bool(seen.outcomes))
        os.write(pipe, A)
        os.close(pipe)
        with pytest.raises(OSError, match="end of file"):
            await task
        return looks

    assert asyncio.run(follow()).records == [A]


def test_run_when_what_takes_the_records_breaks_then_it_is_raised_and_not_swallowed(tmp_path: Path) -> None:
    async def follow() -> None:
        pipe = fifo(tmp_path)
        seen: list[Reading] = []

        def emit(look: Reading) -> None:
            seen.append(look)
            if len(seen) > 1:
                raise ZeroDivisionError

        task = asyncio.create_task(run(surroundings(tmp_path), emit))
        await asyncio.sleep(0)
        os.write(pipe, A)
        with pytest.raises(ZeroDivisionError):
            await task
        os.close(pipe)

    asyncio.run(follow())


def first_outcome(dev: Path, settings_: Settings | None = None) -> Outcome[object]:
    async def follow() -> Outcome[object]:
        looks = Looks()
        context = surroundings(dev)
        context = (
            context if settings_ is None else SourceContext(root=context.root, settings=settings_, clock=context.clock)
        )
        task = asyncio.create_task(run(context, looks))
        await looks.until(lambda seen: bool(seen.outcomes))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (outcome,) = looks.outcomes
        return outcome

    return asyncio.run(follow())


def test_run_when_there_is_no_device_then_it_is_absent(tmp_path: Path) -> None:
    outcome = first_outcome(tmp_path)
    assert isinstance(outcome, Absent) and "No such file" in outcome.why


def test_run_when_a_container_put_something_else_there_then_it_is_absent_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "kmsg").symlink_to("/dev/zero")
    outcome = first_outcome(tmp_path)
    assert isinstance(outcome, Absent) and "1:5" in outcome.why


def test_run_when_the_machine_was_recorded_then_its_log_is_read_once(tmp_path: Path) -> None:
    lines = (*records((b"one", b"two")), b"6,2,5,-;three\n SUBSYSTEM=usb\n DEVICE=c189:3\n", b"6,3,6,-;four\n")
    (tmp_path / "kmsg").write_bytes(b"".join(lines))
    assert first_outcome(tmp_path) == Read(LogRead(records=lines, end=True))


def test_run_when_switched_off_then_it_is_absent(tmp_path: Path) -> None:
    off = replace(Settings(), kmsg=replace(Settings().kmsg, enabled=False))
    outcome = first_outcome(tmp_path, off)
    assert isinstance(outcome, Absent) and "kmsg.enabled" in outcome.why


def test_run_when_it_may_not_be_read_then_it_raises(tmp_path: Path) -> None:
    root = Root(dev=os.fsencode(tmp_path)).failing({os.fsencode(tmp_path / "kmsg"): errno.EPERM})
    context = SourceContext(root=root, settings=Settings(), clock=FakeClock())
    with pytest.raises(OSError, match="not permitted"):
        asyncio.run(run(context, Looks()))
