import logging
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kmodmon.events.event import Severity
from kmodmon.events.kinds.source import SourceLost, SourceRecovered
from kmodmon.events.query import EventQuery
from kmodmon.store.backend import KEPT_QUARANTINED, MemoryBackend
from kmodmon.store.database import FILE
from kmodmon.store.error import StoreError, Trouble
from kmodmon.store.interface import RetentionLimits
from kmodmon.store.reader import SqliteReader
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.store.writer import HistoryWriter
from kmodmon.types.units import JsonObject
from tests.fake_clock import FakeClock
from tests.store.making import BOOT, SECOND, START, event, filled
from tests.store.watching import BRISK, PATIENCE, Faulty, Watched, on_disk, until

FULL = StoreError(Trouble.FULL, None, "database or disk is full")


def numbers(directory: Path) -> list[int]:
    reader = SqliteReader.open(directory)
    assert list(reader.verify()) == []
    values = [stored.event.fields.get("number", -1) for stored in reader.events()]
    reader.close()
    return [number if isinstance(number, int) else -1 for number in values]


def test_acknowledged_events_are_in_the_file(tmp_path: Path) -> None:
    watched = Watched(on_disk(tmp_path))
    watched.put(event(1), event(2), cursor={"seq": 2})
    stored = list(watched.acknowledged(2))
    reader = watched.writer.reader()
    assert list(reader.events()) == stored
    reader.close()
    assert watched.writer.stats.events == 2 and watched.writer.stats.healthy
    watched.close()
    again = Watched(on_disk(tmp_path))
    assert again.remembered == {"cursor": {"seq": 2}}
    again.close()


def test_close_writes_what_waits(tmp_path: Path) -> None:
    watched = Watched(on_disk(tmp_path), replace(BRISK, pause=3600.0, checkpoint_delay=3600.0))
    watched.put(event(1))
    watched.acknowledged(1)
    for number in range(2, 100):
        watched.put(event(number), cursor={"seq": number})
    watched.close()
    assert [stored.id for stored in watched.stored] == list(range(1, 100))
    assert numbers(tmp_path) == list(range(1, 100))


def test_events_after_close_are_lost_and_counted(tmp_path: Path) -> None:
    watched = Watched(on_disk(tmp_path))
    watched.close()
    watched.put(event(1))
    assert watched.lost == [event(1)] and watched.writer.stats.lost == 1


@pytest.mark.parametrize("severity", [Severity.CRITICAL, Severity.ERROR])
def test_grave_event_does_not_wait_for_the_pause(tmp_path: Path, severity: Severity) -> None:
    watched = Watched(on_disk(tmp_path), replace(BRISK, pause=3600.0))
    watched.put(event(1))
    watched.acknowledged(1)
    watched.put(event(2))
    watched.put(event(3, severity=severity))
    assert [stored.event for stored in watched.acknowledged(3)] == [event(1), event(2), event(3, severity=severity)]
    watched.close()


def test_checkpoint_alone_is_written_after_its_delay(tmp_path: Path) -> None:
    watched = Watched(on_disk(tmp_path), replace(BRISK, checkpoint_delay=0.01))
    watched.put(cursor={"seq": 7})
    reader = SqliteReader.open(tmp_path)
    before = reader.changed()
    until(lambda: reader.changed() != before)
    reader.close()
    watched.close()
    history = SqliteHistory(tmp_path, BOOT)
    assert history.load_checkpoints(BOOT) == {"cursor": {"seq": 7}}
    history.close()


def test_failed_batch_is_written_once_when_the_disk_is_well_again(caplog: pytest.LogCaptureFixture) -> None:
    place = Faulty(at_append=[FULL] * 5)
    caplog.set_level(logging.INFO)
    watched = Watched(place)
    watched.put(event(1), event(2), cursor={"seq": 2})
    assert [stored.event for stored in watched.acknowledged(2)] == [event(1), event(2)]
    watched.close()
    assert place.appended == [((event(1), event(2)), {"cursor": {"seq": 2}})]
    stats = watched.writer.stats
    assert (stats.write_errors, stats.lost, stats.healthy) == (5, 0, True)
    assert "full" in caplog.text
    levels = [record.levelname for record in caplog.records if record.name == "kmodmon.store.writer"]
    assert levels == ["ERROR", "INFO"]  # transitions, not each try


def test_outage_loses_what_the_backlog_cannot_hold_and_records_how_much() -> None:
    place = Faulty(broken=FULL)
    watched = Watched(place, replace(BRISK, queue_events=10, batch=4))
    for number in range(1, 26):
        watched.put(event(number))
    until(lambda: watched.writer.stats.write_errors > 1)
    watched.put(event(99, severity=Severity.CRITICAL))
    stats = watched.writer.stats
    assert (stats.lost, watched.queued, stats.healthy) == (16, 10, False)
    assert len(watched.lost) == 16
    watched.clock.advance(60)
    place.broken = None
    watched.acknowledged(11)
    watched.close()
    notice = watched.stored[0].event
    assert (notice.type, notice.severity) == (SourceRecovered.kind.type, Severity.WARNING)
    assert notice.fields == {"source": "history", "why": FULL.why, "lost": 16, "seconds": 60}
    assert [stored.event for stored in watched.stored[1:]][-1].severity is Severity.CRITICAL
    assert {stored.event.fields["number"] for stored in watched.stored[1:]} & {
        lost.fields["number"] for lost in watched.lost
    } == set()


def test_flood_that_the_backlog_cannot_hold_is_recorded_as_well() -> None:
    place = Faulty(hung=threading.Event())
    watched = Watched(place, replace(BRISK, queue_events=10))
    watched.put(*(event(number) for number in range(1, 31)))
    assert place.hung is not None
    place.hung.set()
    watched.acknowledged(10)
    watched.put(event(31))
    stored_events = watched.acknowledged(12)
    watched.close()
    notices = [
        stored.event.fields["lost"] for stored in stored_events if stored.event.type == SourceRecovered.kind.type
    ]
    assert notices == [20] and len(watched.lost) == 20


def test_history_that_cannot_be_opened_at_start_is_opened_later() -> None:
    place = Faulty(at_open=[StoreError(Trouble.READ_ONLY, None, "Read-only file system")] * 3)
    watched = Watched(place)
    at_start = watched.writer.stats
    watched.put(event(1))
    watched.acknowledged(1)
    assert (watched.remembered, at_start.healthy, watched.writer.stats.healthy) == ({}, False, True)
    watched.close()


@pytest.mark.parametrize("trouble", [Trouble.FULL, Trouble.READ_ONLY])
def test_history_that_can_be_read_but_not_written_at_start_is_remembered(trouble: Trouble) -> None:
    place = Faulty(at_open=[StoreError(trouble, None, "as told")] * 3)
    place.history.append((), {"taint": {"value": "1"}})
    watched = Watched(place)
    assert watched.remembered == {"taint": {"value": "1"}}
    watched.put(event(1), log={"seq": 7})
    watched.acknowledged(1)
    watched.close()
    assert place.appended[0][1] == {"taint": {"value": "1"}, "log": {"seq": 7}}


def test_history_that_is_there_only_later_is_recalled_before_it_is_written(tmp_path: Path) -> None:
    away, home = tmp_path / "away", tmp_path / "home"
    earlier = SqliteHistory(away, BOOT)
    earlier.append((event(1),), {"taint": {"value": "1"}, "log": {"seq": 3}})
    earlier.close()
    home.write_text("no directory yet")
    writer = HistoryWriter(on_disk(home), FakeClock(), call_soon=lambda call: call(), on_stored=lambda events: None)
    recalled: list[Mapping[str, JsonObject]] = []
    writer.on_recalled = recalled.append
    assert writer.start(BOOT) == {}
    home.unlink()
    away.rename(home)
    writer.submit((event(2),), {"log": {"seq": 9}})
    assert writer.close(PATIENCE)
    assert recalled == [{"taint": {"value": "1"}, "log": {"seq": 3}}]
    reader = SqliteReader.open(home)
    assert reader.load_checkpoints(BOOT) == {"taint": {"value": "1"}, "log": {"seq": 9}}
    assert [stored.id for stored in reader.events()][:2] == [1, 2] and list(reader.verify()) == []
    reader.close()


def test_refused_event_is_lost_alone_and_the_rest_is_written(tmp_path: Path) -> None:
    watched = Watched(on_disk(tmp_path), replace(BRISK, pause=0.05))
    bad = event(2, module="bad\nname")
    watched.put(event(1), bad, event(3), bad_one={"x": float("nan")}, good={"x": 1})
    notice = watched.acknowledged(3)[0].event
    watched.close()
    assert watched.lost == [bad]
    assert numbers(tmp_path) == [-1, 1, 3]
    assert notice.fields["lost"] == 1 and "safe text" in str(notice.fields["why"])
    assert watched.writer.stats.lost == 1 and watched.writer.stats.write_errors == 2
    again = Watched(on_disk(tmp_path))
    assert again.remembered == {"good": {"x": 1}}
    again.close()


def test_hung_disk_does_not_hold_the_loop_or_the_end() -> None:
    place = Faulty(hung=threading.Event())
    watched = Watched(place)
    watched.put(event(1))
    for number in range(2, 2000):
        watched.put(event(number))  # returns
    assert not watched.writer.close(0.01)
    assert place.hung is not None
    place.hung.set()
    watched.close()
    assert len(watched.stored) == 1999


def test_broken_disk_is_opened_anew() -> None:
    place = Faulty(at_append=[StoreError(Trouble.BROKEN, None, "disk I/O error")])
    watched = Watched(place)
    watched.put(event(1))
    watched.acknowledged(1)
    watched.close()
    assert place.opened == 2


def test_unexpected_defect_costs_a_retry_not_the_history(caplog: pytest.LogCaptureFixture) -> None:
    place = Faulty(defects=[ZeroDivisionError("a defect")])
    watched = Watched(place)
    watched.put(event(1))
    assert [stored.event for stored in watched.acknowledged(1)] == [event(1)]
    assert "a defect" in caplog.text
    watched.close()


def test_corrupt_file_at_start_is_moved_aside_and_a_new_one_goes_on(tmp_path: Path) -> None:
    filled(tmp_path, 5).close()
    with (tmp_path / FILE).open("r+b") as file:
        file.write(b"garbage!" * 8)
    watched = Watched(on_disk(tmp_path))
    watched.put(event(6))
    first, second = watched.acknowledged(2)
    assert (first.event.type, first.event.severity) == (SourceLost.kind.type, Severity.ERROR)
    (quarantined,) = tmp_path.glob(FILE + ".corrupt-*")
    assert first.event.fields["moved_to"] == str(quarantined)
    assert quarantined.read_bytes().startswith(b"garbage!")
    assert second.event == event(6)
    watched.close()
    assert numbers(tmp_path) == [-1, 6]


def test_file_that_becomes_corrupt_is_moved_aside_and_ids_rise(tmp_path: Path) -> None:
    watched = Watched(on_disk(tmp_path))
    watched.put(event(1), event(2), cursor={"seq": 2}, ledger={"x": 1})
    watched.acknowledged(2)
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("DELETE FROM chain")
    other.close()
    watched.put(event(3), cursor={"seq": 3})
    stored = watched.acknowledged(4)
    assert [each.id for each in stored] == [1, 2, 3, 4]
    assert (stored[2].event.type, stored[3].event) == (SourceLost.kind.type, event(3))
    assert stored[2].prev_hash == stored[1].hash
    watched.close()
    assert numbers(tmp_path) == [-1, 3]
    again = Watched(on_disk(tmp_path))
    assert again.remembered == {"cursor": {"seq": 3}, "ledger": {"x": 1}}
    again.close()


def test_damaged_files_do_not_pile_up(tmp_path: Path) -> None:
    for _ in range(KEPT_QUARANTINED + 3):
        (tmp_path / FILE).write_bytes(b"garbage!" * 600)
        watched = Watched(on_disk(tmp_path))
        watched.clock.advance(5)
        watched.put(event(1))
        watched.acknowledged(2)
        watched.close()
    assert len(list(tmp_path.glob(FILE + ".corrupt-*"))) == KEPT_QUARANTINED


def test_vanished_directory_is_made_again_and_ids_rise(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    watched = Watched(on_disk(directory))
    watched.put(event(1), cursor={"seq": 1})
    watched.acknowledged(1)
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    watched.put(event(2))
    stored = watched.acknowledged(3)
    assert [each.id for each in stored] == [1, 2, 3]
    assert stored[1].event.type == SourceLost.kind.type and stored[1].event.fields["events"] == 1
    watched.close()
    assert numbers(directory) == [-1, 2]
    again = Watched(on_disk(directory))
    assert again.remembered == {"cursor": {"seq": 1}}
    again.close()


def test_locked_file_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(on_disk(tmp_path))
    watched.put(event(1))
    watched.acknowledged(1)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    watched.put(event(2))
    until(lambda: watched.writer.stats.write_errors > 0)
    assert not watched.writer.stats.healthy
    until(lambda: "locked" in caplog.text)  # it is logged after it is counted
    other.execute("ROLLBACK")
    other.close()
    assert [stored.id for stored in watched.acknowledged(2)] == [1, 2]
    watched.close()


def test_newer_history_is_never_touched_and_events_are_lost_in_the_end(tmp_path: Path) -> None:
    filled(tmp_path, 1).close()
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    before = (tmp_path / FILE).read_bytes()
    watched = Watched(on_disk(tmp_path))
    watched.put(event(2))
    until(lambda: watched.writer.stats.write_errors > 2)
    watched.close()
    assert watched.lost == [event(2)] and (tmp_path / FILE).read_bytes() == before
    assert list(tmp_path.glob("*corrupt*")) == []


def test_retention_runs_while_events_come(tmp_path: Path) -> None:
    options = replace(BRISK, retention=RetentionLimits(size_bytes=1 << 20), prune_after=500)
    watched = Watched(on_disk(tmp_path), options)
    for start in range(1, 12_000, 400):
        watched.put(*(event(number) for number in range(start, start + 400)))
        watched.acknowledged(start + 399)
    watched.close()
    assert watched.writer.stats.events < 8000
    assert (tmp_path / FILE).stat().st_size < 3 << 20
    assert numbers(tmp_path)[-1] == 12_000


def test_changed_retention_is_in_force_at_the_next_round(tmp_path: Path) -> None:
    watched = Watched(on_disk(tmp_path), replace(BRISK, prune_after=1))
    watched.put(*(event(number) for number in range(1, 51)))
    watched.acknowledged(50)
    watched.writer.retain(RetentionLimits(size_bytes=1), 900.0)
    watched.put(event(51))
    until(lambda: watched.writer.stats.events == 1)
    watched.close()
    assert numbers(tmp_path) == [51]


def test_age_waits_until_the_clock_was_steady_for_an_hour(tmp_path: Path) -> None:
    watched = Watched(on_disk(tmp_path), replace(BRISK, retention=RetentionLimits(age_usec=SECOND), prune_after=1))
    watched.clock.realtime_usec = START + 10**15  # all is old, if that is true
    for number in range(1, 6):
        watched.put(event(number))
        watched.acknowledged(number)
    until(lambda: watched.writer.stats.events == 5)
    watched.clock.advance(1800)
    watched.put(event(6))
    watched.acknowledged(6)
    watched.clock.advance(1801)
    watched.put(event(7))
    watched.acknowledged(7)
    until(lambda: watched.writer.stats.events == 1)
    watched.close()


def test_without_a_directory_all_is_the_same_but_for_the_disk() -> None:
    watched = Watched(MemoryBackend(boot_id=BOOT, capacity=3))
    watched.put(*(event(number) for number in range(1, 6)), cursor={"seq": 5})
    assert [stored.id for stored in watched.acknowledged(5)] == [1, 2, 3, 4, 5]
    reader = watched.writer.reader()
    assert [stored.id for stored in reader.events(EventQuery(newest_first=True))] == [5, 4, 3]
    assert list(reader.verify()) == []
    assert (watched.writer.stats.events, watched.writer.stats.bytes, watched.writer.stats.healthy) == (3, 0, True)
    watched.close()


def test_loop_that_has_ended_does_not_stop_the_writer(tmp_path: Path) -> None:
    watched = Watched(on_disk(tmp_path))

    def closed(call: object) -> None:
        raise RuntimeError("Event loop is closed")

    watched.writer._call_soon = closed
    watched.put(event(1))
    watched.close()
    assert numbers(tmp_path) == [1]


def test_stored_when_whoever_is_told_fails_then_the_history_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(events: object) -> None:
        raise ValueError("a defect")

    writer = HistoryWriter(on_disk(tmp_path), FakeClock(), call_soon=lambda call: call(), on_stored=broken)
    writer.start(BOOT)
    writer.submit((event(1),), {})
    until(lambda: writer.stats.events == 1)
    writer.submit((event(2),), {})
    assert writer.close(PATIENCE)
    assert numbers(tmp_path) == [1, 2]
    assert writer.stats.write_errors == 0 and "could not be told" in caplog.text
