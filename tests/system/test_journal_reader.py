import json
from pathlib import Path

import pytest

from kmodmon.system.journal_reader import JournalError, JournalEvent, events_of, journal_events

HASH = "ab" * 32
GENUINE = {"_SYSTEMD_UNIT": "kmodmon.service", "KMODMON_EVENT": "ModuleLoaded", "KMODMON_EVENT_ID": "7",
           "KMODMON_EVENT_HASH": HASH}  # fmt: skip


def read(*entries: object) -> list[JournalEvent]:
    return list(events_of(json.dumps(entry).encode() for entry in entries))


def test_entry_when_the_daemon_wrote_it_then_it_counts() -> None:
    assert read(GENUINE) == [JournalEvent(7, HASH, "ModuleLoaded")]


@pytest.mark.parametrize(
    "change",
    [
        {"_SYSTEMD_UNIT": "user@1000.service", "_SYSTEMD_USER_UNIT": "kmodmon.service"},
        {"_SYSTEMD_UNIT": "session-3.scope", "UNIT": "kmodmon.service", "OBJECT_SYSTEMD_UNIT": "kmodmon.service"},
        {"_SYSTEMD_UNIT": None},
        {"_SYSTEMD_UNIT": ["kmodmon.service", "kmodmon.service"]},
        {"KMODMON_EVENT_ID": ["7", "8"]},
        {"KMODMON_EVENT_ID": "-7"},
        {"KMODMON_EVENT_ID": "\u0667"},
        {"KMODMON_EVENT_ID": "9" * 400},
        {"KMODMON_EVENT_HASH": None},
    ],
)
def test_entry_when_anybody_else_wrote_it_or_it_is_malformed_then_it_does_not_count(change: dict[str, object]) -> None:
    assert read({**GENUINE, **change}, GENUINE) == [JournalEvent(7, HASH, "ModuleLoaded")]


def test_journal_when_recorded_on_debian_12_then_its_events_and_not_what_a_user_forged() -> None:
    recorded = Path(__file__).parent / "journals/debian12-6.1.json"
    found = list(journal_events(recorded))
    assert '"KMODMON_EVENT_HASH":"00"' in recorded.read_text()  # by logger --journald, as uid 65534
    assert [event.id for event in found] == list(range(1, len(found) + 1)) and len(found) > 10
    assert {len(event.hash) for event in found} == {64}
    assert [event.type for event in found[:3]] == ["Started", "Stopped", "Started"]


def test_lines_when_they_are_no_objects_then_they_are_left_out() -> None:
    lines = [b"", b"-- No entries --", b"[]", b"[" * 100_000, b"7", json.dumps(GENUINE).encode()]
    assert list(events_of(lines)) == [JournalEvent(7, HASH, "ModuleLoaded")]


def test_file_when_it_is_not_there_then_journal_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        list(journal_events(tmp_path / "none"))
