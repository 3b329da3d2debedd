"""What is remembered across boots, and what is not."""

from pathlib import Path

from kmodmon.store.backend import DiskBackend
from kmodmon.store.checkpoints import load_checkpoints
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.store.writer import HistoryWriter
from tests.fake_clock import FakeClock

OLD_BOOT, NEW_BOOT = "11111111-0000-0000-0000-000000000000", "22222222-0000-0000-0000-000000000000"


def remembered(directory: Path, boot: str, lasting: tuple[str, ...]) -> dict[str, object]:
    place = DiskBackend(directory=directory, boot_id=boot)
    writer = HistoryWriter(place, FakeClock(), call_soon=lambda call: call(), on_stored=lambda events: None)
    checkpoints: dict[str, object] = {**writer.start(boot, lasting)}
    assert writer.close(10)
    return checkpoints


def test_start_when_the_machine_was_rebooted_then_only_lasting_sections_are_given(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, OLD_BOOT)
    history.append((), {"reports": {"a": 1}, "log": {"b": 2}})
    history.close()
    assert remembered(tmp_path, OLD_BOOT, ("reports",)) == {"reports": {"a": 1}, "log": {"b": 2}}
    assert remembered(tmp_path, NEW_BOOT, ("reports",)) == {"reports": {"a": 1}}
    assert remembered(tmp_path, NEW_BOOT, ()) == {}


def test_remembered_when_a_writer_is_at_work_then_attended_and_not_after_it_closed(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, NEW_BOOT)
    history.append((), {"hidden": {"a": 1}})
    checkpoints = load_checkpoints(tmp_path, NEW_BOOT)
    assert (dict(checkpoints.saved), checkpoints.daemon_running, checkpoints.why) == ({"hidden": {"a": 1}}, True, "")
    assert not load_checkpoints(tmp_path, OLD_BOOT).daemon_running  # nothing is known of that boot
    history.close()
    checkpoints = load_checkpoints(tmp_path, NEW_BOOT)
    assert (dict(checkpoints.saved), checkpoints.daemon_running) == ({"hidden": {"a": 1}}, False)
    SqliteHistory(tmp_path, NEW_BOOT).close()  # looking did not keep the lock


def test_remembered_when_there_is_no_history_then_says_why(tmp_path: Path) -> None:
    checkpoints = load_checkpoints(tmp_path / "none", NEW_BOOT)
    assert not checkpoints.saved and not checkpoints.daemon_running and str(tmp_path) in checkpoints.why
