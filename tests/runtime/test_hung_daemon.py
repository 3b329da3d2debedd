"""The daemon as a process, on hosts whose files do not answer or that has no file descriptor left."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmodmon.events.query import EventQuery
from kmodmon.store import open_reader
from kmodmon.types.source_name import SourceName
from tests.blocked import BlockedHost, kinds, make_host, opened

PATIENCE = 60.0  # seconds
_PATHS = {
    "procfs": "proc",
    "sysfs": "sys",
    "rootfs": "",
    "tracefs": "sys/kernel/tracing",
    "securityfs": "sys/kernel/security",
    "debugfs": "sys/kernel/debug",
    "dev": "dev",
    "modules": "lib/modules",
    "efivars": "sys/firmware/efi/efivars",
    "pstore": "sys/fs/pstore",
    "kallsyms": "proc/kallsyms",
}


class Process:
    """`kmodmon run` on a host of `tests.blocked`."""

    def __init__(self, host: BlockedHost, state: Path, *flags: str, wrapper: Sequence[str] = ()) -> None:
        self.state = state
        state.mkdir(exist_ok=True)
        paths = [word for name, path in _PATHS.items() for word in (f"--path.{name}", str(host.tree / path))]
        rules = [f"--{what}.file={host.tree}/etc/kmodmon/{what}.toml" for what in ("policy", "baseline")]
        (state / "kmodmon.toml").write_text("[files]\nenabled = false\n[parameters]\nread_timeout = '50ms'\n")
        command = (
            *wrapper, sys.executable, "-m", "kmodmon", "run", "--config", str(state / "kmodmon.toml"),
            "--listen", "127.0.0.1:0", *paths, *rules, *flags,
        )  # fmt: skip
        self._log = state / "log"
        environment = {**os.environ, "STATE_DIRECTORY": str(state)}
        self._output = state / "output"
        with self._log.open("w") as log, self._output.open("w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=log, env=environment)
        self.address = ""  # until it serves

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text()

    @property
    def said(self) -> str:
        """What it, or its wrapper, has printed."""
        return self._output.read_text()

    def kill(self) -> None:
        """Kill it, if it runs."""
        self.process.kill()
        self.process.wait()

    def until_it_serves(self) -> str:
        """Wait until it listens, and give the address."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if "serves on " in (log := self._log.read_text()):
                return log.partition("serves on ")[2].split()[0]
            assert self.process.poll() is None, log
            time.sleep(0.02)
        raise AssertionError(self._log.read_text())

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=PATIENCE) as answer:
            body: bytes = answer.read()
        return body

    def sources(self) -> Mapping[str, Mapping[str, object]]:
        return {str(source["source"]): source for source in json.loads(self.get("/api/v1/sources"))}

    def until(self, field: str, *names: SourceName) -> Mapping[str, Mapping[str, object]]:
        """Wait until these sources are `hung` or `up`."""
        end = time.monotonic() + PATIENCE
        while not all((sources := self.sources())[name][field] for name in names):
            assert time.monotonic() < end, (names, sources)
            time.sleep(0.1)
        return sources

    def terminate(self) -> float:
        """Ask it to stop; the seconds that it took, and its exit code is 0."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self._log.read_text()
        return time.monotonic() - begun

    def events(self) -> Sequence[tuple[str, str]]:
        """Types and sources of the events in its history."""
        reader = open_reader(self.state)
        try:
            stored = list(reader.events(EventQuery(limit=1000)))
        finally:
            reader.close()
        return [(one.event.type, str(one.event.fields.get("source", ""))) for one in stored]


@contextmanager
def running(host: BlockedHost, state: Path, *flags: str) -> Iterator[Process]:
    daemon = Process(host, state, *flags)
    try:
        daemon.address = daemon.until_it_serves()
        yield daemon
    finally:
        daemon.kill()


def test_daemon_when_started_while_files_do_not_answer_then_it_serves_says_so_and_stops(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    names = ("proc/modules", "proc/sys/kernel/tainted", "etc/kmodmon/policy.toml", "proc/sys/kernel/random/boot_id")
    os.mkfifo(host.tree / "dev/kmsg")
    with host.without_answer(*(host.tree / name for name in names)), running(host, tmp_path / "state") as daemon:
        assert b"kmodmon_source_present" in daemon.get("/metrics")
        hung = (SourceName.MODULES, SourceName.TAINT, SourceName.POLICY, SourceName.CROSSVIEW)
        sources = daemon.until("hung", *hung)
        assert {name for name, source in sources.items() if source["hung"]} == set(hung)
        assert sources["posture"]["up"] and sources["kernel"]["up"]
        assert b'kmodmon_source_hung{source="modules"} 1' in daemon.get("/metrics")
        assert daemon.get("/-/ready")
        daemon.terminate()
        events = daemon.events()
    assert events[0][0] == "Started" and events[-1][0] == "Stopped"
    assert {source for kind, source in events if kind == "SourceLost"} >= set(hung)


def test_daemon_when_a_file_stops_answering_and_comes_back_then_hung_and_up_again(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    with running(host, tmp_path / "state", "--poll.taint=1s") as daemon:
        daemon.until("up", SourceName.TAINT)
        with host.without_answer(host.tree / "proc/sys/kernel/tainted"):
            daemon.until("hung", SourceName.TAINT)
            assert b"\nkmodmon_kernel_tainted 308225" in daemon.get("/metrics")  # what is known stays
        daemon.until("up", SourceName.TAINT)
        daemon.terminate()
        assert [kind for kind, source in daemon.events() if source == "taint"] == ["SourceLost", "SourceRecovered"]


def test_daemon_when_no_descriptor_is_left_then_sources_fail_and_recover_and_nothing_is_forgotten(
    tmp_path: Path,
) -> None:
    host = make_host(tmp_path)
    with running(
        host, tmp_path / "state", *(f"--poll.{name}=1s" for name in ("taint", "modules", "posture"))
    ) as daemon:
        before = daemon.until("up", SourceName.TAINT, SourceName.MODULES, SourceName.LOCKDOWN, SourceName.CROSSVIEW)
        known = daemon.get("/api/v1/modules")
        soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (3, hard))
        end = time.monotonic() + PATIENCE
        while not {"taint", "modules", "lockdown"} <= lost(daemon):
            assert time.monotonic() < end, lost(daemon)
            time.sleep(0.1)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        sources = daemon.until("up", *(SourceName(name) for name, source in before.items() if source["up"]))
        assert daemon.get("/api/v1/modules") == known
        assert not any(source["hung"] for source in sources.values())
        daemon.terminate()
        kinds_of_events = {kind for kind, _ in daemon.events()}
    assert not kinds_of_events & {"ModuleUnloaded", "PostureChanged", "TaintCleared"}


def lost(daemon: Process) -> set[str]:
    return {source for kind, source in daemon.events() if kind == "SourceLost"}


@pytest.mark.soak
def test_daemon_when_each_file_in_turn_does_not_answer_then_it_serves_says_so_and_stops(tmp_path: Path) -> None:
    first = make_host(tmp_path)
    files = {path.relative_to(first.tree): sources for path, sources in opened(first).items()}
    chosen = {path.relative_to(first.tree) for path in kinds(opened(first)).values()}
    if os.environ.get("KMODMON_EVERY_FILE"):  # also those that differ in the name of the module or parameter only
        chosen = set(files)

    def tried(number_and_path: tuple[int, Path]) -> float:
        number, path = number_and_path
        place = tmp_path / str(number)
        place.mkdir()
        host = make_host(place)
        with host.without_answer(host.tree / path), running(host, place / "state") as daemon:
            sources = daemon.sources()
            for name in files[path]:
                if name in (SourceName.MODPROBE, SourceName.PARAMETERS):
                    assert daemon.until("unreadable", name)[name]["up"]
                else:
                    sources = daemon.until("hung", name)
            wrong = {name for name, source in sources.items() if source["hung"] and name not in files[path]}
            assert wrong <= {"watch"}, (path, wrong)  # it reads the kernel's release as well
            assert daemon.get("/-/ready")
            return daemon.terminate()

    with ThreadPoolExecutor(max_workers=6) as pool:
        seconds = list(pool.map(tried, enumerate(sorted(chosen))))
    print(f"{len(seconds)} files, each without an answer in turn: stopped within {max(seconds):.1f} s")
    assert max(seconds) < 10
