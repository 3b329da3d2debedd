"""Disks that are full, read-only or somebody else's, and processes that are killed: each in a process of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodmon.store.database import FILE
from tests.store.making import event, filled
from tests.store.restricted_process import AS_NOBODY, REPOSITORY, python


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users may enter (those of tmp_path they may not)."""
    with tempfile.TemporaryDirectory(prefix="kmodmon-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_killed_a_hundred_times_no_acknowledged_event_is_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.killing", str(tmp_path), "100", "20261123"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["problems"] == []
    assert result["rounds"] == 100
    assert 500 < result["acknowledged"] <= result["stored"]


def test_full_disk_loses_only_what_is_counted_and_recovers(tmp_path: Path) -> None:
    # A limit on the size of files is the full disk that needs no mount: write() gives EFBIG instead of ENOSPC.
    code = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
watched = Watched(on_disk(directory), replace(BRISK, queue_events=100, batch=50))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
number = 0
while watched.writer.stats.write_errors < 3 or not watched.writer.stats.lost:
    number += 1
    watched.put(event(number, module=f"m{number}"))
    until(lambda: watched.queued < 50 or watched.writer.stats.write_errors > 0)
acknowledged = len(watched.stored)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
watched.acknowledged(acknowledged + watched.queued)
watched.close()
reader = open_reader(directory)
ids = {stored.event.fields.get("number") for stored in reader.events()}
lost = {lost.fields["number"] for lost in watched.lost}
accounted = len((ids - {None}) | lost) == number
print(json.dumps([
    [problem.text for problem in reader.verify()], acknowledged, sorted(ids & lost), accounted,
    watched.writer.stats.lost == len(watched.lost), watched.writer.stats.healthy]))
"""
    before = "import json\nfrom dataclasses import replace\n"
    problems, acknowledged, both, all_accounted, counted, healthy = json.loads(python(code, tmp_path, before))
    assert (problems, both, all_accounted, counted, healthy) == ([], [], True, True, True)
    assert acknowledged > 100


def test_directory_that_may_not_be_written_is_survived(open_directory: Path) -> None:
    open_directory.chmod(0o555)
    code = """
logging.basicConfig(stream=sys.stdout, format="%(message)s")
watched = Watched(on_disk(directory))
watched.put(event(1))
until(lambda: watched.writer.stats.write_errors > 2)
print(watched.writer.stats.healthy, watched.queued)
watched.close()
print(watched.writer.stats.lost)
"""
    logged, during, logged_at_end, lost = python(code, open_directory, f"import logging\n{AS_NOBODY}").splitlines()
    assert logged.startswith("history") and "Permission denied" in logged and "check the mount" in logged
    assert (during, logged_at_end.partition(":")[0], lost) == ("False 1", "1 events are lost", "1")


READ = """
reader = open_reader(directory)
print(sum(1 for _ in reader.events()), len(list(reader.verify())), reader.summary().events, repr(reader.note))
"""


def test_other_user_reads_while_the_daemon_writes(open_directory: Path) -> None:
    history = filled(open_directory, 50)
    for path in open_directory.iterdir():
        path.chmod(0o644)
    assert python(READ, open_directory, AS_NOBODY) == "50 0 50 ''"
    history.close()


def test_other_user_reads_after_the_daemon_stopped(open_directory: Path) -> None:
    filled(open_directory, 50).close()
    (open_directory / FILE).chmod(0o644)
    open_directory.chmod(0o555)
    assert python(READ, open_directory, AS_NOBODY) == "50 0 50 ''"


def test_other_user_is_told_when_the_log_may_not_be_read(open_directory: Path) -> None:
    history = filled(open_directory, 500)
    history._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    history.append([event(501)])
    (open_directory / FILE).chmod(0o644)
    open_directory.chmod(0o555)
    output = python(READ, open_directory, AS_NOBODY)
    assert output.startswith("500 0 500") and "the newest events are missing" in output
    history.close()


def test_file_that_may_not_be_read_says_so(open_directory: Path) -> None:
    filled(open_directory, 1).close()
    (open_directory / FILE).chmod(0o600)
    code = """
try:
    open_reader(directory)
except StoreError as error:
    print(error)
"""
    output = python(code, open_directory, AS_NOBODY)
    assert FILE in output
