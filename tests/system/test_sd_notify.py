import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodmon.system.sd_notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager that listens, and the name it put into NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@kmodmon-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0"))
        listening.settimeout(10)
        yield listening, name


def received(listening: socket.socket) -> list[str]:
    return listening.recv(4096).decode().split("\n")


def test_life_of_a_service_is_told(manager: tuple[socket.socket, str]) -> None:
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    assert received(listening) == ["READY=1"]
    notifier.watchdog()
    assert received(listening) == ["WATCHDOG=1"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    first, second = received(listening)
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.stopping()
    assert received(listening) == ["STOPPING=1"]
    notifier.close()
    assert notifier.dropped == 0


def test_descriptor_when_handed_over_then_it_replaces_the_one_of_that_name(
    manager: tuple[socket.socket, str], tmp_path: Path
) -> None:
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    with (tmp_path / "file").open("w+") as file:
        notifier.hand_over("kmsg", file.fileno())
        assert received(listening) == ["FDSTOREREMOVE=1", "FDNAME=kmsg"]
        message, fds, _, _ = socket.recv_fds(listening, 4096, 4)
        assert message.decode().split("\n") == ["FDSTORE=1", "FDPOLL=0", "FDNAME=kmsg"]
        (fd,) = fds
        try:
            assert os.path.samestat(os.fstat(fd), os.fstat(file.fileno()))
        finally:
            os.close(fd)
    notifier.close()
    assert notifier.dropped == 0


@pytest.mark.parametrize("name", ["", "relative", "vsock:2:1234"])
def test_without_a_manager_nothing_happens(name: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": name} if name else {})
    notifier.ready()
    notifier.watchdog()
    assert notifier.dropped == 0
    notifier.close()


def test_manager_that_is_gone_is_counted_not_raised(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.ready()
    assert notifier.dropped == 1
    notifier.close()


def test_manager_that_does_not_read_holds_nobody(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        while notifier.dropped == 0:
            notifier.watchdog()
        notifier.close()
    assert notifier.dropped == 1


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
    ],
)
def test_watchdog_interval_is_ours_only_when_it_is_meant_for_us(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environ).watchdog_seconds == seconds
