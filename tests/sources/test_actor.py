"""Tasks behind trace events, on a procfs made of files: what is captured, redacted, remembered, and given up."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kmodmon.config.settings import Settings, build_settings
from kmodmon.events.event import Process
from kmodmon.sources.actor import Actors
from kmodmon.system.root import Root
from tests.fake_clock import FakeClock

BOOTED = 1_700_000_000 - 100  # FakeClock: 100 s since boot
HERTZ = os.sysconf("SC_CLK_TCK")


class Procfs:
    """A procfs with the few files that are read of a process."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "stat").write_text(f"cpu 0 0 0 0 0 0 0 0 0 0\nbtime {BOOTED}\n")
        self.process(1, "systemd", 0, b"/sbin/init")
        self.process(2, "kthreadd", 0, b"")
        self.process(320, "bash", 1, b"bash\0")

    def process(self, pid: int, comm: str, parent: int, cmdline: bytes, *, uid: int = 0, at: float = 10.0) -> None:
        directory = self.place / str(pid)
        directory.mkdir(exist_ok=True)
        status = f"Name:\t{comm}\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{parent}\nUid:\t{uid}\t0\t0\t0\nGid:\t0\t0\t0\t0\n"
        (directory / "status").write_text(status)
        fields = ["S", str(parent), *["0"] * 17, str(int(at * HERTZ)), *["0"] * 30]
        (directory / "stat").write_text(f"{pid} ({comm}) {' '.join(fields)}")
        (directory / "cmdline").write_bytes(cmdline)
        (directory / "loginuid").write_text("1000" if uid else str(2**32 - 1))
        (directory / "cgroup").write_text("0::/system.slice/ssh.service\n")
        exe = directory / "exe"
        exe.unlink(missing_ok=True)
        exe.symlink_to("/usr/bin/kmod")

    def thread(self, tid: int, pid: int) -> None:
        directory = self.place / str(tid)
        directory.mkdir()
        text = (self.place / str(pid) / "status").read_text()
        (directory / "status").write_text(text.replace(f"Pid:\t{pid}\nPPid", f"Pid:\t{tid}\nPPid"))

    def exit(self, pid: int) -> None:
        for file in (self.place / str(pid)).iterdir():
            file.unlink()
        (self.place / str(pid)).rmdir()


@pytest.fixture
def procfs(tmp_path: Path) -> Iterator[Procfs]:
    before = psutil.PROCFS_PATH
    yield Procfs(tmp_path)
    psutil.PROCFS_PATH = before


def actors(procfs: Procfs, settings: Settings | None = None) -> tuple[Actors, FakeClock]:
    clock = FakeClock()
    root = Root(procfs=str(procfs.place).encode())
    return Actors(root, settings or Settings(), clock, str(procfs.place / "tracing").encode()), clock


def test_capture_when_alive_then_all_of_it(procfs: Procfs) -> None:
    procfs.process(344, "insmod", 320, b"insmod\0/tmp/x.ko\0", uid=1000, at=99.0)
    who, clock = actors(procfs)
    actor, requested_name = who.capture(344, clock.monotonic_usec)
    assert (actor.process.pid, actor.process.comm, actor.process.exe) == (344, "insmod", "/usr/bin/kmod")
    assert actor.process.cmdline == ("insmod", "/tmp/x.ko") and requested_name is None
    assert (actor.uid, actor.login_uid, actor.unit) == (1000, 1000, "ssh.service")
    assert [parent.comm for parent in actor.parents] == ["bash", "systemd"] and not actor.exited


def test_capture_when_gone_then_exited_and_the_name_that_the_kernel_saved_if_it_is_certain(procfs: Procfs) -> None:
    who, clock = actors(procfs)
    actor, _ = who.capture(999, clock.monotonic_usec)
    assert actor.exited and (actor.process.pid, actor.process.comm, actor.uid) == (999, None, None)
    (procfs.place / "tracing").mkdir()
    (procfs.place / "tracing/saved_cmdlines").write_bytes(b"999 (udev-worker)\n5 sh\n1000 evil\n")
    actor, _ = who.capture(999, clock.monotonic_usec)
    assert actor.exited and (actor.process.pid, actor.process.comm, actor.uid) == (999, "(udev-worker)", None)
    assert who.capture(1000, clock.monotonic_usec)[0].process.comm is None


def test_capture_when_a_tool_exited_before_it_was_read_then_the_name_that_its_exec_gave(procfs: Procfs) -> None:
    who, clock = actors(procfs)
    assert who.started(999, "rmmod", clock.monotonic_usec, None, brief=False).exited
    actor, _ = who.capture(999, clock.monotonic_usec + 5000)
    assert actor.exited and actor.process == Process(pid=999, comm="rmmod")
    # Its id is another's now.
    procfs.process(999, "rmmod", 320, b"rmmod\0other\0", at=99.0)
    actor, _ = who.capture(999, clock.monotonic_usec, who.snapshots([999])[999])
    assert not actor.exited and actor.process.cmdline == ("rmmod", "other")


def test_capture_when_the_pid_was_used_again_then_exited(procfs: Procfs) -> None:
    procfs.process(344, "insmod", 320, b"insmod\0", at=99.0)
    who, clock = actors(procfs)
    assert who.capture(344, clock.monotonic_usec - 20_000_000)[0].exited


def test_started_when_an_old_exec_names_another_then_exited(procfs: Procfs) -> None:
    procfs.process(344, "bash", 320, b"bash\0", at=1.0)
    who, clock = actors(procfs)
    assert who.started(344, "insmod", clock.monotonic_usec - 20_000_000, None, brief=False).exited
    assert not who.started(344, "insmod", clock.monotonic_usec, None, brief=False).exited


def test_capture_when_a_thread_then_its_process(procfs: Procfs) -> None:
    procfs.process(344, "loader", 320, b"loader\0", uid=7, at=99.0)
    procfs.thread(345, 344)
    who, clock = actors(procfs)
    actor, _ = who.capture(345, clock.monotonic_usec)
    assert (actor.process.pid, actor.uid) == (344, 7)


def test_capture_when_it_was_seen_to_start_then_its_exit_takes_nothing(procfs: Procfs) -> None:
    procfs.process(344, "insmod", 320, b"insmod\0x.ko\0", uid=1000, at=99.0)
    who, clock = actors(procfs)
    who.started(344, "insmod", clock.monotonic_usec, None, brief=False)
    procfs.exit(344)
    actor, _ = who.capture(344, clock.monotonic_usec + 5000)
    assert actor.uid == 1000 and not actor.exited
    procfs.process(344, "other", 320, b"other\0", uid=7, at=99.0)
    seen = who.snapshots([344])
    assert who.capture(344, clock.monotonic_usec, seen[344])[0].uid == 7


def test_started_when_brief_then_what_the_snapshot_says_until_it_loads_a_module(procfs: Procfs) -> None:
    procfs.process(344, "modprobe", 2, b"/sbin/modprobe\0-q\0--\0fs-x\0", at=99.0)
    procfs.process(345, "insmod", 320, b"insmod\0x.ko\0", uid=7, at=99.0)
    procfs.process(346, "modprobe", 320, b"modprobe\0fs-x\0", at=99.0)
    who, clock = actors(procfs)
    seen = who.snapshots([344, 345, 346])
    assert [seen[tid].of_kernel for tid in (344, 345, 346)] == [True, False, False]
    actor = who.started(344, "modprobe", clock.monotonic_usec, seen[344], brief=True)
    assert (actor.process.exe, actor.parents, actor.process.cmdline) == (
        None,
        (),
        ("/sbin/modprobe", "-q", "--", "fs-x"),
    )
    assert who.capture(344, clock.monotonic_usec + 5000, None) == (actor, "fs-x")
    loading, requested_name = who.capture(344, clock.monotonic_usec, seen[344])
    assert (loading.process.exe, requested_name) == ("/usr/bin/kmod", "fs-x")


def test_capture_when_it_exits_after_the_glance_then_its_uid_is_known(procfs: Procfs) -> None:
    procfs.process(344, "rmmod", 320, b"rmmod\0", uid=1000, at=99.0)
    who, clock = actors(procfs)
    seen = who.snapshots([344])
    procfs.exit(344)
    actor, _ = who.capture(344, clock.monotonic_usec, seen[344])
    assert actor.uid == 1000 and not actor.exited and actor.process.cmdline == ("rmmod",)


def test_capture_when_the_glance_was_at_an_earlier_task_of_that_id_then_it_does_not_count(procfs: Procfs) -> None:
    procfs.process(344, "insmod", 320, b"insmod\0", uid=1000, at=99.0)
    who, clock = actors(procfs)
    seen = who.snapshots([344])
    procfs.exit(344)
    clock.advance(5.0)
    assert who.capture(344, clock.monotonic_usec, seen[344])[0].exited


def test_capture_when_a_tool_has_a_megabyte_of_arguments_then_little_of_it_is_kept(
    procfs: Procfs,
) -> None:
    procfs.process(344, "insmod", 320, b"insmod\0" + b"x" * (1 << 20), uid=1000, at=99.0)
    who, clock = actors(procfs)
    seen = who.snapshots([344])
    actor, _ = who.capture(344, clock.monotonic_usec, seen[344])
    assert actor.process.cmdline is not None and sum(map(len, actor.process.cmdline)) < 1000


def test_capture_when_the_kernels_modprobe_then_what_it_was_asked_for(procfs: Procfs) -> None:
    procfs.process(400, "kworker/u4:1", 2, b"")
    procfs.process(344, "modprobe", 400, b"/sbin/modprobe\0-q\0--\0fs-kmodlabfs\0", at=99.0)
    who, clock = actors(procfs)
    assert who.capture(344, clock.monotonic_usec)[1] == "fs-kmodlabfs"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"insmod\0x.ko\0psk=hunter2\0level=5\0", ("insmod", "x.ko", "psk=<redacted>", "level=5")),
        (b"tool\0--token\0abc\0--verbose\0", ("tool", "--token", "<redacted>", "--verbose")),
        (b"modprobe\0wifi.api_key=1\0", ("modprobe", "wifi.api_key=<redacted>")),
        (b"insmod\0keyboard=us\0", ("insmod", "keyboard=us")),
        (b"sh\0-c\0insmod x.ko psk=topsecret\0", ("sh", "-c", "insmod x.ko psk=<redacted>")),
        (b"sh\0-c\0insmod x.ko psk=a\\ b level=1\0", ("sh", "-c", "insmod x.ko psk=<redacted> level=1")),
        (b"curl\0-u\0bob:\xff\0", ("curl", "-u", "bob:<redacted>")),
        (b"insmod\0\xff\n.ko\0", ("insmod", "\\xff\\x0a.ko")),
    ],
)
def test_capture_when_arguments_hold_secrets_then_redacted(procfs: Procfs, given: bytes, kept: tuple[str, ...]) -> None:
    procfs.process(344, "insmod", 320, given, at=99.0)
    who, clock = actors(procfs)
    assert who.capture(344, clock.monotonic_usec)[0].process.cmdline == kept


@pytest.mark.parametrize(
    "tail", [b"https://bob:topsecret@h/", b"psk='a topsecret'", b"psk=topsecret", b"-H 'Cookie: topsecret topsecret'"]
)
def test_capture_when_the_arguments_are_cut_in_a_secret_then_its_head_is_not_shown(procfs: Procfs, tail: bytes) -> None:
    who, clock = actors(procfs)
    head = b"sh\0" + b"a" * 100 + b"\0" + b"-c\0"
    for cut in range(1, len(tail)):
        script = b"x" * (4096 - len(head) - 100 - cut)
        procfs.process(344, "sh", 320, head + script + b"\0" + b"y" * 98 + b" " + tail + b"\0", at=99.0)
        cmdline = who.capture(344, clock.monotonic_usec)[0].process.cmdline
        assert cmdline is not None and "tops" not in " ".join(cmdline)


def test_capture_when_it_has_parents_then_they_are_names_only_unless_wanted(procfs: Procfs) -> None:
    procfs.process(321, "deploy", 320, b"deploy\0--level\0" + b"1\0--token\0topsecret\0")
    procfs.process(344, "insmod", 321, b"insmod\0x.ko\0", at=99.0)
    who, clock = actors(procfs)
    actor, _ = who.capture(344, clock.monotonic_usec)
    assert actor.process.cmdline == ("insmod", "x.ko")
    assert [(parent.comm, parent.cmdline) for parent in actor.parents] == [
        ("deploy", None), ("bash", None), ("systemd", None),
    ]  # fmt: skip
    who, clock = actors(procfs, build_settings({"actor.parents_arguments": True}))
    actor, _ = who.capture(344, clock.monotonic_usec)
    assert actor.parents[0].cmdline == ("deploy", "--level", "1", "--token", "<redacted>")
    who, clock = actors(procfs, build_settings({"actor.parents_arguments": True, "actor.arguments": False}))
    assert who.capture(344, clock.monotonic_usec)[0].parents[0].cmdline is None


def test_capture_when_arguments_are_many_then_bounded(procfs: Procfs) -> None:
    procfs.process(344, "insmod", 320, b"x" * 1000 + b"\0" + b"a\0" * 100, at=99.0)
    who, clock = actors(procfs)
    cmdline = who.capture(344, clock.monotonic_usec)[0].process.cmdline
    assert cmdline is not None and len(cmdline) == 33 and max(map(len, cmdline)) == 256


def test_capture_when_arguments_are_not_wanted_then_none_but_what_was_asked_for(procfs: Procfs) -> None:
    procfs.process(344, "modprobe", 320, b"/sbin/modprobe\0-q\0--\0dummy\0", at=99.0)
    who, clock = actors(procfs, build_settings({"actor.arguments": False}))
    actor, requested_name = who.capture(344, clock.monotonic_usec)
    assert actor.process.cmdline is None and requested_name == "dummy"


def test_capture_when_switched_off_then_the_event_alone(procfs: Procfs) -> None:
    procfs.process(344, "insmod", 320, b"insmod\0", at=99.0)
    who, clock = actors(procfs, build_settings({"actor.enabled": False}))
    actor, _ = who.capture(344, clock.monotonic_usec)
    assert (actor.process.comm, actor.uid, actor.exited) == (None, None, False)
    assert who.started(344, "insmod", clock.monotonic_usec, None, brief=False).process == Process(
        pid=344, comm="insmod"
    )


def test_capture_when_procfs_is_of_another_pid_namespace_then_nobody_is_blamed(procfs: Procfs) -> None:
    procfs.process(2, "sleep", 1, b"sleep\0")
    procfs.process(344, "insmod", 320, b"insmod\0", at=99.0)
    who, clock = actors(procfs)
    assert who.capture(344, clock.monotonic_usec)[0].uid is None
