"""Reading the first bytes of a file, with and without giving up the interpreter."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Failed, Outcome, Read

Reading = Callable[[bytes, int], Outcome[bytes]]


@pytest.fixture(params=["head", "snatch"])
def reading(request: pytest.FixtureRequest) -> Reading:
    root = Root()
    return root.head if request.param == "head" else root.read_without_gil_release


@pytest.fixture
def slow_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(60.0)  # a thread keeps the interpreter until a call gives it up
    yield
    sys.setswitchinterval(before)


def test_head_when_the_file_is_longer_then_its_first_bytes(tmp_path: Path, reading: Reading) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a\0b" * 100)
    assert reading(os.fsencode(path), 4) == Read(b"a\0ba")
    assert reading(os.fsencode(path), 4096) == Read(b"a\0b" * 100)


def test_head_when_of_this_process_then_what_the_kernel_says_of_it(reading: Reading) -> None:
    outcome = reading(b"/proc/self/status", 4096)
    assert isinstance(outcome, Read) and b"\nTgid:\t%d\n" % os.getpid() in outcome.value


def test_head_when_it_is_not_there_then_absent_and_which(tmp_path: Path, reading: Reading) -> None:
    missing = os.fsencode(tmp_path / "gone")
    assert reading(missing, 10) == Absent(f"{missing.decode()}: No such file or directory")


def test_head_when_it_cannot_be_read_then_failed_and_nothing_stays_open(tmp_path: Path, reading: Reading) -> None:
    before = os.listdir("/proc/self/fd")
    outcome = reading(os.fsencode(tmp_path), 10)
    assert isinstance(outcome, Failed) and outcome.why.endswith("Is a directory")
    assert os.listdir("/proc/self/fd") == before


def test_head_when_the_path_has_a_nul_then_refused_whole(reading: Reading) -> None:
    with pytest.raises(ValueError, match="embedded null"):
        reading(b"/proc/self/status\0x", 10)


@pytest.mark.usefixtures("slow_switches")
def test_snatch_when_another_thread_wants_to_run_then_it_does_not_meanwhile() -> None:
    root, turns, ended = Root(), [0], threading.Event()

    def take_turns() -> None:
        while not ended.is_set():
            turns[0] += 1
            time.sleep(0)  # gives the interpreter up, and queues for it again

    thread = threading.Thread(target=take_turns)
    thread.start()
    while not turns[0]:
        time.sleep(0)
    before = turns[0]
    for _ in range(100):
        root.read_without_gil_release(b"/proc/self/status", 4096)
    assert turns[0] == before
    while turns[0] == before:
        root.head(b"/proc/self/status", 4096)
    ended.set()
    thread.join()
