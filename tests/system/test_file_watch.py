"""One file watched by a real inotify, in each way in which files are replaced; an overflow of the kernel's queue."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD, WatchDescriptor

from kmodmon.system import file_watch
from kmodmon.system.file_watch import DirectoryWatch, Watched, watch_file
from kmodmon.system.inotify_observer import Observer

PATIENCE = 20


class SignallingWatch(DirectoryWatch):
    """A watch that says when it has begun."""

    started = threading.Event()

    def start(self) -> None:
        super().start()
        self.started.set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_watch, "SETTLE", 0.05)
    monkeypatch.setattr(file_watch, "DirectoryWatch", SignallingWatch)
    SignallingWatch.started.clear()


def report_each(file: Path, *changes: Callable[[], object]) -> int:
    """Make one change after the other; each must be reported. Gives how many reports came beyond one for each."""

    async def work() -> int:
        reports: asyncio.Queue[None] = asyncio.Queue()
        task = asyncio.create_task(watch_file(file, lambda: reports.put_nowait(None)))
        await asyncio.to_thread(SignallingWatch.started.wait, PATIENCE)
        try:
            for change in changes:
                change()
                async with asyncio.timeout(PATIENCE):
                    await reports.get()
            await asyncio.sleep(0.2)
            return reports.qsize()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return asyncio.run(work())


def test_file_when_it_appears_is_written_replaced_and_removed_then_each_is_reported(tmp_path: Path) -> None:
    file, other = tmp_path / "a.toml", tmp_path / ".a.new"

    def replace() -> None:
        other.write_text("3")
        other.rename(file)

    report_each(
        file,
        lambda: file.write_text("1"),
        lambda: (tmp_path / "unrelated").write_text("x") and file.write_text("22"),
        replace,
        file.unlink,
    )


def test_file_when_it_is_written_while_the_watch_is_set_up_then_it_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.toml"
    start = SignallingWatch.start

    def written_first(watch: SignallingWatch) -> None:
        file.write_text("1")
        start(watch)

    monkeypatch.setattr(SignallingWatch, "start", written_first)
    assert report_each(file, lambda: None) == 0


def test_file_when_kubernetes_swaps_the_link_that_it_lies_behind_then_it_is_reported(tmp_path: Path) -> None:
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "a.toml").symlink_to("..data/a.toml")

    def swap() -> None:
        (tmp_path / "..data_tmp").symlink_to("2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    report_each(tmp_path / "a.toml", swap)


def test_file_when_its_directory_appears_or_is_replaced_then_it_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_watch, "RETRY", 0.05)
    home, other = tmp_path / "etc", tmp_path / "new"

    def appear() -> None:
        other.mkdir()
        (other / "a.toml").write_text("1")
        other.rename(home)

    def replace() -> None:
        home.rename(tmp_path / "old")
        appear()

    assert report_each(home / "a.toml", appear) == 0
    home.rename(tmp_path / "first")
    report_each(home / "a.toml", appear, replace, lambda: (home / "a.toml").write_text("22"))


def test_file_when_inotify_sees_nothing_then_it_is_reported_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_watch, "RETRY", 0.05)
    monkeypatch.setattr(Watched, "concerns", lambda self, paths: False)
    file = tmp_path / "a.toml"
    report_each(file, lambda: file.write_text("1"))


def test_queue_when_the_kernel_drops_events_then_every_directory_gets_a_burst_and_it_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues: list[InotifyFD] = []
    start = InotifyFD.start

    def note_and_start(queue: InotifyFD) -> None:
        queues.append(queue)
        start(queue)

    monkeypatch.setattr(InotifyFD, "start", note_and_start)
    plan = [Watched(key=key, path=str(tmp_path / key), recursive=key == "a", settle=0.05) for key in ("a", "b")]
    for watched in plan:
        Path(watched.path).mkdir()

    async def work() -> None:
        watch = DirectoryWatch(lambda: plan)
        watch.start()
        try:
            overflow = InotifyEvent(WatchDescriptor(-1), InotifyConstants.IN_Q_OVERFLOW, 0, b"")
            queues[0].handle_event(overflow)
            bursts = {burst.watched.key: burst.created for burst in await watch.bursts(PATIENCE)}
            assert (bursts, watch.lost) == ({"a": 0, "b": 0}, 1)
        finally:
            watch.stop()
        assert not queues[0].is_alive()

    asyncio.run(work())


def test_observer_when_stopped_then_its_threads_end() -> None:
    before = threading.active_count()
    observer = Observer()
    observer.start()
    observer.stop()
    observer.join(PATIENCE)
    assert threading.active_count() == before
