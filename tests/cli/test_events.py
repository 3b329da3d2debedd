import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kmodmon.__main__ import main
from kmodmon.events.kinds.daemon import Started
from kmodmon.store.database import FILE
from kmodmon.store.interface import SealCause
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.types.units import Usec
from tests.store.making import BOOT, SECOND, START, event, filled

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[SqliteHistory]:
    open_history = filled(tmp_path, 150)
    open_history.append([event(151, kind=Started.kind.type, module=None)])
    yield open_history
    open_history.close()


class CommandResult:
    """Exit code and output of `kmodmon events`."""

    def __init__(self, capsys: pytest.CaptureFixture[str], words: Sequence[str], directory: Path) -> None:
        self.code = main(["events", "--state-dir", str(directory), *words])
        self.out, self.err = capsys.readouterr()

    @property
    def lines(self) -> list[str]:
        """Lines of standard output."""
        return self.out.splitlines()

    @property
    def ids(self) -> list[int]:
        """The ids that --json gave."""
        return [json.loads(line)["id"] for line in self.lines]


def test_newest_hundred_are_shown_oldest_first(
    history: SqliteHistory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = CommandResult(capsys, [], tmp_path)
    assert (result.code, len(result.lines), result.err) == (0, 100, "")
    assert result.lines[-1].endswith("info      Started           kmodmon started")
    assert "info      ModuleLoaded      Module e1000e was loaded" in result.lines[0]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ([], list(range(1, 152))),
        (["--limit", "3"], [149, 150, 151]),
        (["--limit", "0", "--type", "moduleloaded", "--since", f"@{START // SECOND + 148}"], [148, 149, 150]),
        (["--type", "Started"], [151]),
        (["--type", "Started", "--type", "ModuleLoaded", "--since", f"@{START // SECOND + 150}"], [150, 151]),
        (["--module", "e1000e", "--until", f"@{START // SECOND + 3}"], [1, 2]),
        (["--module", "never_loaded"], []),
    ],
)
def test_json_gives_one_event_a_line(
    history: SqliteHistory, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], ids: list[int]
) -> None:
    assert CommandResult(capsys, ["--json", *words], tmp_path).ids == ids


def test_anybody_can_check_a_hash_with_standard_tools(
    history: SqliteHistory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in CommandResult(capsys, ["--json", "--limit", "5"], tmp_path).lines:
        document = json.loads(line)
        expected = document.pop("hash")
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == expected


def test_whole_chain_is_said_to_be_whole_with_its_head(
    history: SqliteHistory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, last = history.events()
    result = CommandResult(capsys, ["--verify"], tmp_path)
    assert (result.code, result.out) == (0, f"The chain of 151 events is whole; event 151 has the hash {last.hash}\n")


def test_broken_chain_is_named_and_gives_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, 20).close()
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("UPDATE event SET realtime_usec = 0 WHERE id = 3")
        other.execute("DELETE FROM event WHERE id IN (7, 8)")
    other.close()
    result = CommandResult(capsys, ["--verify"], tmp_path)
    assert result.code == 1
    assert result.lines[:2] == [
        "edited: event 3: its content or hash was changed",
        "removed: events 7 to 8: not there any more",
    ]
    assert "is broken" in result.lines[2]
    document = json.loads(CommandResult(capsys, ["--verify", "--json"], tmp_path).out)
    assert [(problem["kind"], problem["first"], problem["last"]) for problem in document["problems"]] == [
        ("edited", 3, 3),
        ("removed", 7, 8),
    ]


def test_verify_when_a_hash_is_expected_then_it_is_compared(
    history: SqliteHistory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes = {stored.id: stored.hash for stored in history.events()}
    right = [f"--expect=7:{hashes[7]}", f"--expect=151:{hashes[151][:12].upper()}"]
    assert CommandResult(capsys, ["--verify", *right], tmp_path).code == 0
    wrong = CommandResult(capsys, ["--verify", f"--expect=8:{hashes[7]}", f"--expect=152:{hashes[7]}"], tmp_path)
    assert (wrong.code, wrong.lines[:2]) == (1, [
        "edited: event 8: as expected: had another hash than in the history",
        "tail cut: event 152: as expected: newer than the newest of the history",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--verify", "--expect", "7"], "write at least the first 12 digits"),
        (["--verify", "--expect", "7:xyz"], "write ID:HASH"),
        (["--verify", "--expect", "7:0123456789a"], "write at least the first 12 digits"),
        (["--verify", "--seal-key", "/nowhere"], "No such file"),
        (["--journal"], "go with --verify"),
    ],
)
def test_verify_when_it_is_asked_wrongly_then_two_and_a_sentence(
    history: SqliteHistory, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    result = CommandResult(capsys, words, tmp_path)
    assert result.code == 2 and why in result.err


def test_seals_when_set_up_and_checked_by_the_command_then_it_says_what_they_cover(
    history: SqliteHistory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key"
    set_up = CommandResult(capsys, ["--setup-seal"], tmp_path)
    assert set_up.code == 0 and len(set_up.out.strip()) == 64 and "stored nowhere" in set_up.err
    key.write_text(set_up.out)
    without = CommandResult(capsys, ["--verify", "--seal-key", str(key)], tmp_path)
    assert without.code == 1 and "seal: the history has no genuine seal of this key" in without.lines
    history.seal(SealCause.START, Usec(START))
    sealed = CommandResult(capsys, ["--verify", "--seal-key", str(key)], tmp_path)
    assert (sealed.code, sealed.lines[0]) == (
        0, "1 seals are genuine, the newest (start, 2023-11-14T22:13:20Z) covers event 151",
    )  # fmt: skip
    assert CommandResult(capsys, ["--setup-seal"], tmp_path).code != 0


def test_history_that_is_not_there_gives_three_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = CommandResult(capsys, [], tmp_path / "nowhere")
    assert (result.code, result.out) == (3, "")
    assert "history.sqlite3: No such file or directory; check the directory" in result.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--since", "soon"], "--since: 'soon' is no moment"),
        (["--type", "Nonsense"], "there is no such type; there are ModuleLoaded"),
        (["--limit", "-1"], "--limit -1"),
        (["--limit", "1_0"], "not a whole number"),
        (["--limit", "٣"], "not a whole number"),
    ],
)
def test_nonsense_gives_two_and_a_sentence(
    history: SqliteHistory, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    result = CommandResult(capsys, words, tmp_path)
    assert result.code == 2 and why in result.err


def test_unreadable_event_is_remarked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, 3).close()
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("UPDATE event SET body = x'00' WHERE id = 2")
    other.close()
    result = CommandResult(capsys, [], tmp_path)
    assert (result.code, len(result.lines)) == (0, 2)
    assert "1 events cannot be read by this version" in result.err


def heed_interrupts() -> None:
    """A shell that runs the tests in the background has them, and what they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_follow_shows_what_is_written_and_survives_a_new_file(tmp_path: Path) -> None:
    history = filled(tmp_path, 15)
    follower = subprocess.Popen(
        [sys.executable, "-m", "kmodmon", "events", "--follow", "--json", "--limit", "2", "--state-dir", str(tmp_path)],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TZ": "UTC"},
        preexec_fn=heed_interrupts,
    )  # fmt: skip
    assert follower.stdout is not None

    def next_id() -> int:
        assert follower.stdout is not None
        event_id = json.loads(follower.stdout.readline())["id"]
        assert isinstance(event_id, int)
        return event_id

    assert [next_id(), next_id()] == [14, 15]
    history.append([event(16), event(17)])
    assert [next_id(), next_id()] == [16, 17]
    history.close()
    for path in tmp_path.glob(FILE + "*"):
        path.unlink()
    again = SqliteHistory(tmp_path, BOOT)
    again.append([event(1), event(2)])
    assert [next_id(), next_id()] == [1, 2]
    again.close()
    follower.send_signal(signal.SIGINT)
    _, errors = follower.communicate(timeout=30)
    assert follower.returncode == 0
    assert "started anew" in errors and "Traceback" not in errors
