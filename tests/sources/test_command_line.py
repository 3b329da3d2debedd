"""Command lines whose reading hangs: root's are read all the same, and few threads are left behind."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from kmodmon.kernel.task_status import TaskStatus
from kmodmon.sources import command_line
from kmodmon.sources.command_line import MOST, PATIENCE, PAUSE, CommandLines
from kmodmon.system.root import Root
from tests.blocked import release


class Tasks:
    """A procfs of command lines, some of which do not answer."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.lines = CommandLines(Root(procfs=os.fsencode(place)), at_once=frozenset({0}))
        self.pipes: list[Path] = []

    def add(self, pid: int, uid: int, arguments: bytes | None) -> TaskStatus:
        (self.place / str(pid)).mkdir()
        path = self.place / str(pid) / "cmdline"
        if arguments is None:
            os.mkfifo(path)
            self.pipes.append(path)
        else:
            path.write_bytes(arguments)
        return TaskStatus(comm="x", process=pid, parent=1, uid=uid)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(at=1000.0)
    monkeypatch.setattr(command_line, "time", SimpleNamespace(monotonic=lambda: clock.at))
    monkeypatch.setattr(command_line, "PATIENCE", PATIENCE / 5)
    return clock


def test_command_line_when_it_hangs_then_its_user_has_a_pause_and_others_are_read(
    tmp_path: Path, now: SimpleNamespace
) -> None:
    tasks = Tasks(tmp_path)
    stuck = tasks.add(10, 1000, None)
    assert tasks.lines.read(stuck) == b""
    again, other, root = tasks.add(11, 1000, b"a\0"), tasks.add(12, 33, b"php\0-v\0"), tasks.add(13, 0, b"insmod\0")
    assert tasks.lines.read(again) == b"", "it could be the same trick again"
    assert (tasks.lines.read(other), tasks.lines.read(root)) == (b"php\0-v\0", b"insmod\0")
    now.at += PAUSE
    assert tasks.lines.read(again) == b"a\0"
    release(tasks.pipes[0])


def test_command_lines_when_many_users_let_them_hang_then_few_threads_are_left_behind(
    tmp_path: Path, now: SimpleNamespace
) -> None:
    tasks = Tasks(tmp_path)
    before = set(threading.enumerate())
    for number in range(2 * MOST):
        assert tasks.lines.read(tasks.add(10 + number, 1000 + number, None)) == b""
    left_behind = set(threading.enumerate()) - before
    assert len(left_behind) == MOST
    now.at += 2 * PAUSE
    user = tasks.add(500, 33, b"php\0")
    assert tasks.lines.read(user) == b"", "the threads still hang"
    assert tasks.lines.read(tasks.add(501, 0, b"insmod\0")) == b"insmod\0"
    for pipe in tasks.pipes[:MOST]:
        release(pipe)
    for thread in left_behind:
        thread.join(10)
    assert tasks.lines.read(user) == b"php\0"


def test_command_line_when_the_task_is_gone_then_empty(tmp_path: Path) -> None:
    lines = CommandLines(Root(procfs=os.fsencode(tmp_path)))
    assert lines.read(TaskStatus(comm="x", process=10, parent=1, uid=1000)) == b""
