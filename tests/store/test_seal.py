"""Seals: made by the daemon, checked with a key that the host does not have, and true after a crash at any moment."""

import logging
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from kmodmon.store.chain import Problem, ProblemKind
from kmodmon.store.database import FILE, KEY_FILE
from kmodmon.store.error import StoreError, Trouble
from kmodmon.store.interface import RetentionLimits, SealCause
from kmodmon.store.reader import SqliteReader
from kmodmon.store.seal import SealCheck, SealKey, first_key, read_key, set_up, write_key
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.types.units import Usec
from tests.store.making import BOOT, SECOND, START, event, filled
from tests.store.test_sqlite import prune_all, raw
from tests.store.watching import BRISK, Watched, on_disk, until


def checked(directory: Path, secret: str) -> tuple[SealCheck, list[Problem]]:
    """What the verification says of the seals."""
    check = SealCheck(bytes.fromhex(secret))
    reader = SqliteReader.open(directory)
    current = read_key(directory / KEY_FILE)
    ends, seals = reader.sealed(check.series)
    problems = list(check.problems(seals, current, ends))
    reader.close()
    return check, problems


def seal(history: SqliteHistory, cause: SealCause = SealCause.INTERVAL) -> None:
    assert history.seal(cause, Usec(START))


def test_daemon_when_sealing_is_set_up_then_it_seals_start_interval_and_end(tmp_path: Path) -> None:
    secret = set_up(tmp_path)
    watched = Watched(on_disk(tmp_path), replace(BRISK, seal_every=0.01))
    watched.put(event(1))
    watched.acknowledged(1)
    until(lambda: (key := read_key(tmp_path / KEY_FILE)) is not None and key.epoch > 4)
    watched.close()
    check, problems = checked(tmp_path, secret)
    assert problems == [] and check.seals >= 4 and check.unclean == 0
    assert check.newest is not None and (check.newest.cause, check.newest.head.id) == (SealCause.STOP, 1)
    reader = SqliteReader.open(tmp_path)
    causes = [entry.cause for entry in reader.sealed(check.series)[1]]
    reader.close()
    assert causes == [SealCause.START, *[SealCause.INTERVAL] * (len(causes) - 2), SealCause.STOP]


def test_daemon_when_it_was_killed_then_the_next_start_counts_as_unclean(tmp_path: Path) -> None:
    secret = set_up(tmp_path)
    for _ in range(3):
        history = SqliteHistory(tmp_path, BOOT)
        seal(history, SealCause.START)
        history.close()  # without a seal of its end
    check, problems = checked(tmp_path, secret)
    assert (problems, check.unclean) == ([], 2)


def test_daemon_when_sealing_is_not_set_up_then_there_is_no_seal(tmp_path: Path) -> None:
    history = filled(tmp_path, 3)
    assert not history.seal(SealCause.START, Usec(START))
    history.close()
    assert not (tmp_path / KEY_FILE).exists()


def test_set_up_when_done_then_the_key_it_gives_is_not_in_any_file(tmp_path: Path) -> None:
    secret = bytes.fromhex(set_up(tmp_path))
    history = filled(tmp_path, 3)
    seal(history)
    keys = [first_key(secret)]
    for _ in range(3):
        seal(history)
        keys.append(keys[-1].next())
        found = [path.name for path in tmp_path.iterdir() for key in (secret, *(old.key for old in keys))
                 if key in path.read_bytes() or key.hex().encode() in path.read_bytes()]  # fmt: skip
        assert found == []  # neither the database, nor its log, nor a slot of the key file
    history.close()
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.lock", KEY_FILE, FILE]


def test_set_up_when_there_is_a_key_then_only_again_replaces_it(tmp_path: Path) -> None:
    first = set_up(tmp_path)
    history = filled(tmp_path, 3)
    seal(history)
    with pytest.raises(StoreError, match="sealed with another key") as caught:
        set_up(tmp_path)
    assert caught.value.trouble is Trouble.REFUSED
    second = set_up(tmp_path, again=True)
    seal(history)
    history.close()
    assert checked(tmp_path, second)[1] == []
    _, problems = checked(tmp_path, first)
    assert [problem.text for problem in problems] == ["seal 2: history.seal follows from another verification key"]


def test_crash_when_between_the_seal_and_the_new_key_then_the_next_seal_goes_on(tmp_path: Path) -> None:
    secret = set_up(tmp_path)
    history = filled(tmp_path, 3)
    seal(history, SealCause.START)
    before = (tmp_path / KEY_FILE).read_bytes()
    history.append([event(4)])
    seal(history)
    (tmp_path / KEY_FILE).write_bytes(before)  # the seal is on disk, the new key is not
    assert checked(tmp_path, secret)[1] == []
    history.append([event(5)])
    seal(history)
    check, problems = checked(tmp_path, secret)
    assert problems == [] and check.seals == 3
    assert [claim.id for claim in check.claims] == [3, 4, 5]
    history.close()


@pytest.mark.parametrize("torn", [0, 4096])
@pytest.mark.parametrize("size", [0, 7, 40, 4096])
def test_crash_when_a_slot_of_the_key_is_torn_then_the_other_is_used(tmp_path: Path, torn: int, size: int) -> None:
    set_up(tmp_path)
    path = tmp_path / KEY_FILE
    old = read_key(path)
    assert old is not None
    whole = path.read_bytes()
    write_key(path, old.next())
    new = path.read_bytes()
    order = {4096: (whole[:4096], new[4096:]), 0: (new[:4096], new[4096:])}[torn]  # slot 1 is written first
    damaged = bytearray(b"".join(order))
    damaged[torn : torn + size] = os.urandom(size)
    path.write_bytes(bytes(damaged))
    key = read_key(path)
    expected = old if torn == 4096 and size else old.next()
    assert key == expected


def test_key_file_when_it_is_nonsense_then_the_history_is_written_and_pruned_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = set_up(tmp_path)
    history = filled(tmp_path, 50)
    seal(history)
    (tmp_path / KEY_FILE).write_bytes(b"nonsense")
    with caplog.at_level(logging.ERROR):
        assert history.seal(SealCause.INTERVAL, Usec(START))
        assert prune_all(history, RetentionLimits(age_usec=10 * SECOND), START + 50 * SECOND) == 1
    assert "holds no key for seals" in caplog.text
    assert [stored.id for stored in history.events()] == list(range(40, 51))
    history.close()
    write_key(tmp_path / KEY_FILE, SealKey(bytes(8), 1, bytes(32)))
    assert {problem.kind for problem in checked(tmp_path, secret)[1]} == {ProblemKind.SEAL, ProblemKind.ANCHOR}


def test_retention_when_it_removes_events_then_it_seals_that_it_did(tmp_path: Path) -> None:
    secret = set_up(tmp_path)
    history = filled(tmp_path, 3000)
    seal(history, SealCause.START)
    assert prune_all(history, RetentionLimits(age_usec=500 * SECOND), START + 3000 * SECOND) == 3
    seal(history)
    check, problems = checked(tmp_path, secret)
    assert problems == [] and check.seals == 5
    history.close()
    other = raw(tmp_path)
    other.executescript(
        "DELETE FROM event WHERE id <= 2600;"
        "UPDATE chain SET id = 2600, hash = (SELECT prev_hash FROM event WHERE id = 2601) WHERE name LIKE 'anchor%'"
    )
    other.close()
    reader = SqliteReader.open(tmp_path)
    assert list(reader.verify()) == []  # the chain cannot tell it from retention
    reader.close()
    problems = checked(tmp_path, secret)[1]
    assert [(problem.kind, problem.first, problem.last) for problem in problems] == [(ProblemKind.ANCHOR, 2499, 2600)]


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("DELETE FROM seal WHERE epoch = 2", "seal 2: not there any more"),
        ("DELETE FROM seal WHERE epoch >= 3", "seals 3 to 4: not there any more, these were the newest"),
        ("UPDATE seal SET head = 1 WHERE epoch = 2", "seal 2: was not made with the key of its epoch"),
        ("UPDATE seal SET cause = 'stop' WHERE epoch = 4", "seal 4: was not made with the key of its epoch"),
        ("UPDATE seal SET mac = 'x' WHERE epoch = 1", "seal 1: was not made with the key of its epoch"),
        ("UPDATE seal SET epoch = 1000000000000 WHERE epoch = 4", "seal 1000000000000: no epoch has this number"),
        ("DELETE FROM seal", "seals 1 to 4: not there any more, these were the newest"),
    ],
)
def test_seals_when_one_is_changed_then_it_is_named(tmp_path: Path, statement: str, text: str) -> None:
    secret = set_up(tmp_path)
    history = SqliteHistory(tmp_path, BOOT)
    for number in range(1, 5):
        history.append([event(number)])
        seal(history)
    history.close()
    other = raw(tmp_path)
    other.execute(statement)
    other.close()
    assert text in [problem.text for problem in checked(tmp_path, secret)[1]]


def test_seals_when_the_key_file_is_gone_then_it_is_a_problem(tmp_path: Path) -> None:
    secret = set_up(tmp_path)
    history = filled(tmp_path, 3)
    seal(history)
    history.close()
    (tmp_path / KEY_FILE).unlink()
    (problem,) = checked(tmp_path, secret)[1]
    assert problem.text == "seal 2: history.seal is not there, so whether newer seals were cut is not known"
