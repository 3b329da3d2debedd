"""The daemon is killed (SIGKILL) at random system calls, while records come through a pipe in place of /dev/kmsg.

A pipe gives what is written only once, a ring gives all that it holds to everybody who opens it: so each life of the
daemon has a pipe of its own, into which all records are written again from the first one on.
"""

import fcntl
import json
import os
import random
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kmodmon.events.event import EventType, StoredEvent
from kmodmon.events.query import EventQuery
from kmodmon.store import open_reader
from kmodmon.store.error import StoreError
from tests.blocked import BlockedHost, make_host
from tests.kmsg_maker import WARNING, record
from tests.runtime.test_hung_daemon import PATIENCE, Process

SEED = 20261201
_SOURCE = Path(__file__).with_name("kill_at.c")
_SLOTS = 1 << 20  # bytes of the pipe; each record takes a page of it
_LONGEST = 4.0  # seconds of a life that makes fewer system calls than it may
_LEVELS = {6: ("info", "kernel"), 4: ("warning", "kernel"), 12: ("warning", "user")}  # of the priorities used here
_EVENTS = "/api/v1/events?limit=1000"


class Ring:
    """All records since the boot; those of a report have a module of its own."""

    def __init__(self, dice: random.Random) -> None:
        self.records: list[bytes] = []
        self.reports = 0
        self._dice = dice

    def grow(self) -> None:
        """Write a few records, and now and then a report."""
        for _ in range(self._dice.randint(1, 8)):
            priority = self._dice.choice((6, 6, 4, 12))
            self._add(b"text %d" % self._dice.getrandbits(32), priority)
        if self._dice.random() < 0.05:
            self.reports += 1
            for line in WARNING:
                self._add(line.replace(b"warn_mod", self.module(self.reports).encode()), 4)

    @staticmethod
    def module(number: int) -> str:
        """Name of the module that report number ... is about."""
        return f"broken{number}"

    def _add(self, text: bytes, priority: int) -> None:
        self.records.append(record(len(self.records), text, priority=priority, usec=time.monotonic_ns() // 1000))


class Life:
    """One life of the daemon, from its start to its end."""

    def __init__(self, host: BlockedHost, state: Path, ring: Ring, wrapper: tuple[str, ...] = ()) -> None:
        self.ring = ring
        self.acknowledged: dict[int, tuple[str, int]] = {}  # id -> type and time, of the events that it served
        self._reading, self._writing = os.pipe2(os.O_DIRECT | os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl.fcntl(self._writing, fcntl.F_SETPIPE_SZ, _SLOTS)
        device = host.tree / "dev/kmsg"
        device.unlink(missing_ok=True)
        device.symlink_to(f"/proc/{os.getpid()}/fd/{self._reading}")
        self.daemon = Process(host, state, wrapper=wrapper)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._feed, self._ask)]
        for thread in self._threads:
            thread.start()

    def _feed(self) -> None:
        written = 0
        while not self._ended.is_set():
            if written == len(self.ring.records):
                self.ring.grow()
                time.sleep(0.005)
            try:
                while written < len(self.ring.records):
                    os.write(self._writing, self.ring.records[written])
                    written += 1
            except BlockingIOError:
                time.sleep(0.001)

    def _ask(self) -> None:
        while not self._ended.wait(0.05):
            log = self.daemon.log
            if "serves on " not in log:
                continue
            self.daemon.address = log.partition("serves on ")[2].split()[0]
            try:
                with urllib.request.urlopen(f"http://{self.daemon.address}{_EVENTS}", timeout=PATIENCE) as answer:
                    self.acknowledged |= {row["id"]: (row["type"], row["realtime"]) for row in json.load(answer)}
            except (OSError, ValueError):
                continue  # it was killed meanwhile

    def end(self) -> None:
        """Stop to write and to ask; the daemon has ended, or will be asked for what it knows."""
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._writing)
        os.close(self._reading)


def stored(state: Path) -> Mapping[int, StoredEvent]:
    """The events in the history, by id; empty: there is none yet."""
    try:
        reader = open_reader(state)
    except StoreError:
        return {}
    try:
        return {each.id: each for each in reader.events(EventQuery(limit=100_000))}
    finally:
        reader.close()


def killed(tmp_path: Path, times: int, seed: int) -> None:
    """Kill it so often, then let it live, and compare what it knows with what was written."""
    program = tmp_path / "kill_at"
    subprocess.run(("gcc", "-O1", "-o", program, _SOURCE), check=True)
    dice = random.Random(seed)
    host, state, ring = make_host(tmp_path), tmp_path / "state", Ring(dice)
    # A warning sets no bit that is set, and these kernels count none: nothing can contradict the reports.
    (host.tree / "proc/sys/kernel/tainted").write_text(f"{1 << 9}\n")
    for name in ("warn_count", "oops_count"):
        (host.tree / "sys/kernel" / name).unlink(missing_ok=True)
    known: Mapping[int, StoredEvent] = {}
    ends: Counter[str] = Counter()
    for _ in range(times):
        life = Life(host, state, ring, (str(program), str(dice.randrange(1, 40_000))))
        try:
            life.daemon.process.wait(_LONGEST)
        except subprocess.TimeoutExpired:
            life.daemon.kill()
        life.end()
        life.close()
        ends[life.daemon.said.strip() or "its time was over"] += 1
        assert "status" not in life.daemon.said, f"seed {seed}: {life.daemon.said} {life.daemon.log}"
        now = stored(state)
        acknowledged = {id: (now[id].event.type, now[id].event.at.realtime_usec) for id in life.acknowledged}
        assert acknowledged == life.acknowledged, f"seed {seed}: what was served is not what is kept"
        assert all(now[id] == event for id, event in known.items()), f"seed {seed}: events have changed"
        known = now
    print(f"seed {seed}: {times} kills, at {dict(ends.most_common())}")
    life = Life(host, state, ring)
    try:
        life.daemon.address = life.daemon.until_it_serves()
        time.sleep(1)
        life.end()  # it has been written to until now
        compare(life, known)
    finally:
        life.daemon.kill()
        life.close()


def compare(life: Life, known: Mapping[int, StoredEvent]) -> None:
    """Every record was counted once, every report told once, and no event is gone."""
    records = life.ring.records
    expected = Counter(_LEVELS[int(raw.partition(b",")[0])] for raw in records)
    end = time.monotonic() + PATIENCE
    while (counted := _counted(life)) != expected or len(_reports(life)) < life.ring.reports:
        assert time.monotonic() < end, (counted, expected, len(_reports(life)), life.ring.reports)
        time.sleep(0.2)
    told = Counter(_reports(life))
    assert told == Counter({Ring.module(number): 1 for number in range(1, life.ring.reports + 1)})
    now = stored(life.daemon.state)
    assert all(now[id] == event for id, event in known.items())
    print(f"{len(records)} records, {life.ring.reports} reports, {len(known)} events before the last life")


def _counted(life: Life) -> Counter[tuple[str, str]]:
    families = text_string_to_metric_families(life.daemon.get("/metrics").decode())
    samples = [sample for family in families for sample in family.samples]
    assert [sample.value for sample in samples if sample.name == "kmodmon_kernel_log_lost_total"] == [0]
    return Counter(
        {
            (sample.labels["level"], sample.labels["origin"]): int(sample.value)
            for sample in samples
            if sample.name == "kmodmon_kernel_log_records_total" and sample.value
        }
    )


def _reports(life: Life) -> list[str]:
    reader = open_reader(life.daemon.state)
    try:
        rows = reader.events(EventQuery(types=(EventType("KernelReport"),), limit=100_000))
        return [str(row.event.module) for row in rows]
    finally:
        reader.close()


def test_daemon_when_killed_at_random_system_calls_then_every_record_is_counted_once(tmp_path: Path) -> None:
    killed(tmp_path, 4, SEED)


@pytest.mark.soak
def test_daemon_when_killed_200_times_then_every_record_is_counted_once(tmp_path: Path) -> None:
    killed(tmp_path, 200, int(os.environ.get("KMODMON_SEED", SEED)))
