"""Descriptors that systemd passes: which are ours, by what name, and how one that was handed over is opened."""

import os
from pathlib import Path

import pytest

from kmodmon.system.passed import FLAGS, HANDED, passed, with_handed
from kmodmon.system.root import Root


def environ(count: str, names: str | None = None, pid: int | None = None) -> dict[str, str]:
    of = {} if names is None else {"LISTEN_FDNAMES": names}
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": count, **of}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        (environ("1", "a", pid=1), None),
        (environ("x", "a"), None),
        (environ("\u0661", "a"), None),
        (environ("2", "web:kmsg"), {3: "web", 4: "kmsg"}),
        (environ("2", "web"), {3: "web", 4: ""}),
        (environ("1"), {3: ""}),
        (environ("0"), {}),
    ],
)
def test_passed_when_systemd_says_what_it_passed_then_by_number_and_name(
    given: dict[str, str], expected: dict[int, str] | None
) -> None:
    assert passed(given) == expected


def test_open_when_handed_over_then_that_file_from_its_beginning_each_time(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"first second")
    kept = os.open(tmp_path / "log", FLAGS)
    (tmp_path / "log").unlink()  # nobody can open it any more
    path = b"/run/kmodmon/kmsg"
    root = Root(handed={path: kept})
    try:
        for _ in range(2):
            fd = root.open(path, os.O_RDONLY)
            try:
                assert fd != kept and not os.get_inheritable(fd)
                assert os.read(fd, 100) == b"first second"
            finally:
                os.close(fd)
        with pytest.raises(FileNotFoundError):
            root.open(os.fsencode(tmp_path / "log"), os.O_RDONLY)
    finally:
        os.close(kept)


def test_open_when_what_was_handed_over_cannot_be_read_from_its_beginning_then_an_error_and_nothing_is_left() -> None:
    receive, send = os.pipe()
    before = len(os.listdir("/proc/self/fd"))
    try:
        with pytest.raises(OSError, match="seek"):
            Root(handed={b"/dev/kmsg": receive}).open(b"/dev/kmsg", os.O_RDONLY)
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        os.close(receive)
        os.close(send)


def test_root_when_nothing_was_handed_over_then_it_opens_by_path() -> None:
    assert with_handed(Root(), {}).handed == {}
    assert with_handed(Root(), environ("1", "web")).handed == {}


def test_handed_when_listed_then_an_absolute_path_and_a_name_that_systemd_takes() -> None:
    for name, path_in in HANDED.items():
        assert path_in(Root()).startswith(b"/")
        assert name.isascii() and name.isprintable() and ":" not in name and len(name) < 256
