"""What is remembered across boots, and what is not."""

from pathlib import Path

from kmodmon.clock import FakeClock
from kmodmon.store import HistoryWriter, OnDisk
from kmodmon.store.sqlite import SqliteHistory

OLD_BOOT, NEW_BOOT = "11111111-0000-0000-0000-000000000000", "22222222-0000-0000-0000-000000000000"


def remembered(directory: Path, boot: str, lasting: tuple[str, ...]) -> dict[str, object]:
    place = OnDisk(directory=directory, boot_id=boot)
    writer = HistoryWriter(place, FakeClock(), call_soon=lambda call: call(), on_stored=lambda events: None)
    found: dict[str, object] = {**writer.start(boot, lasting)}
    assert writer.close(10)
    return found


def test_start_when_the_machine_was_rebooted_then_only_lasting_sections_are_given(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, OLD_BOOT)
    history.append((), {"reports": {"a": 1}, "log": {"b": 2}})
    history.close()
    assert remembered(tmp_path, OLD_BOOT, ("reports",)) == {"reports": {"a": 1}, "log": {"b": 2}}
    assert remembered(tmp_path, NEW_BOOT, ("reports",)) == {"reports": {"a": 1}}
    assert remembered(tmp_path, NEW_BOOT, ()) == {}
