"""`kmodmon handover`: what the unit runs as root, so that the daemon need not be allowed to open the log."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodmon.__main__ import main
from kmodmon.cli import handover


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A service manager that listens."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield listening


def stored(manager: socket.socket) -> tuple[str, bytes]:
    """What is stored next: its name, and what can be read of it."""
    assert b"FDSTOREREMOVE=1" in manager.recv(4096)
    message, (fd,), _, _ = socket.recv_fds(manager, 4096, 4)
    try:
        return message.decode().rpartition("FDNAME=")[2], os.read(fd, 100)
    finally:
        os.close(fd)


def test_handover_when_one_cannot_be_opened_then_that_is_said_and_the_rest_is_stored(
    manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_bytes(b"records")
    handed = {"gone": lambda root: os.fsencode(tmp_path / "gone"), "log": lambda root: os.fsencode(tmp_path / "log")}
    monkeypatch.setattr(handover, "HANDED", handed)
    assert main(["handover"]) == 3
    assert stored(manager) == ("log", b"records")
    assert "gone: No such file or directory; the daemon goes without" in capsys.readouterr().err
    monkeypatch.setattr(handover, "HANDED", {"log": handed["log"]})
    assert main(["handover"]) == 0


def test_handover_when_systemd_does_not_run_it_then_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert main(["handover"]) == 3
    assert "only systemd can run this" in capsys.readouterr().err
