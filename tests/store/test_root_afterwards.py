"""Root, after the fact, changes the history: which of the four witnesses shows it.

The history is one that the daemon kept: it was sealed, scraped, and written to the journal. The attacker has every file
of the host and the tools of kmodmon, so he computes every hash again and has the key of the present epoch. He has not:
the journal of another host, what Prometheus scraped, and the verification key.

==================================================  =====  =======  ======  ====
attack                                              chain  journal  metric  seal
==================================================  =====  =======  ======  ====
edit a row and its hash                             x      x        -       -
edit a row, compute all hashes again                -      x        x       x
cut the newest, set the head                        -      x        x       x
cut the write-ahead log                             -      x        x       x
replace the file with an older copy                 -      x        x       x
replace it with a fresh chain                       -      x        x       x
replace it with a fresh chain that is longer        -      x        x       x
call a load thinned                                 x      x        -       -
call a load thinned, compute all hashes again       -      x        x       x
insert a row and renumber, compute all hashes       -      x        x       x
remove the oldest and move the anchor               -      -        -       x
edit a row, compute again, delete the seals after   -      x        x       x
edit a row, compute again, seal with today's key    -      x        x       x
edit a row, compute again, seal with a new key      -      x        x       x
put back a backup of history and key                -      x        x       -
==================================================  =====  =======  ======  ====

`metric`: the id falls, for which HistoryTruncated fires, or `--expect` with a scraped id and hash fails.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kmodmon.cli.verify import compare_journal, journal_claims
from kmodmon.events.event import StoredEvent
from kmodmon.store.chain import GENESIS, Link
from kmodmon.store.database import FILE, KEY_FILE
from kmodmon.store.interface import RetentionLimits, SealCause
from kmodmon.store.outside import Claim, Compared, short_number
from kmodmon.store.reader import SqliteReader
from kmodmon.store.retention import Retention
from kmodmon.store.row import HistoryRow, digest
from kmodmon.store.seal import Seal, read_key, set_up
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.system.journal import event_fields
from kmodmon.system.journal_reader import UNIT
from kmodmon.types.units import Usec
from tests.store.making import BOOT, START, event
from tests.store.test_retention import refused
from tests.store.test_seal import checked

ROUNDS, EACH = 30, 10
EVENTS = ROUNDS * EACH
LOAD = 105  # the event that the attacker does not like: a load


@dataclass(slots=True)
class Lived:
    """A history, and what was recorded of it elsewhere."""

    directory: Path
    secret: str
    scraped: list[tuple[int, int]] = field(default_factory=list)  # the two metrics of the head
    journal: list[str] = field(default_factory=list)  # lines of `journalctl --output=json`


def lived(base: Path) -> Lived:
    """Thirty rounds of events, a seal and a scrape after each; copies of the files after 20, as backup would have."""
    directory = base / "state"
    directory.mkdir()
    host = Lived(directory, set_up(directory))
    history = SqliteHistory(directory, BOOT)
    history.seal(SealCause.START, Usec(START))
    for round_number in range(ROUNDS):
        first = round_number * EACH + 1
        made = [refused(number) if number % 3 == 0 and number != LOAD else event(number) for number in
                range(first, first + EACH)]  # fmt: skip
        stored = history.append(made)
        host.journal += map(journal_line, stored)
        head = Link(stored[-1].id, bytes.fromhex(stored[-1].hash))
        host.scraped.append((head.id, short_number(head)))
        history.seal(SealCause.INTERVAL, Usec(START + round_number))
        if round_number == ROUNDS * 2 // 3:
            (base / "backup").mkdir()
            history._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            other = SqliteReader.open(directory)
            other._connection.execute(f"VACUUM INTO '{base / 'backup' / FILE}'")
            other.close()
            shutil.copy(directory / KEY_FILE, base / "backup" / KEY_FILE)
    retention = Retention(history._connection, RetentionLimits(), None)
    with history._sealed(SealCause.RETENTION, Usec(START)):  # provokable ones up to the middle are gone
        last = max(number for number in range(1, EVENTS // 2) if number % 3 == 0 and number != LOAD)
        count = sum(1 for number in range(1, last + 1) if number % 3 == 0 and number != LOAD)
        row_hash = history.hash_of(last)
        assert row_hash is not None
        retention.thin(Link(last, row_hash), count)
    shutil.copytree(directory, base / "running")  # with the write-ahead log, as a running daemon has it
    history.close()
    return host


def journal_line(stored: StoredEvent) -> str:
    """An entry as `journalctl --output=json` prints it."""
    return json.dumps({**dict(event_fields(stored)), "_SYSTEMD_UNIT": UNIT})


class Attacker:
    """Root, with the files, kmodmon's own code, and today's key."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.directory = base / "state"

    def edit_and_rehash_row(self) -> None:
        """Change one row and its own hash, and nothing else."""
        rows = self.rows()
        self.write([self.innocent(row) if row.id == LOAD else row for row in rows])

    def edit(self) -> None:
        """Change one row, and compute all hashes that follow from it."""
        self.chain([self.innocent(row) if row.id == LOAD else row for row in self.rows()])

    def cut(self) -> None:
        """Remove the newest hundred, and set the head to what is left."""
        self.chain(self.rows()[:-100])

    def cut_log(self) -> None:
        """Empty the write-ahead log of the running daemon's files."""
        shutil.rmtree(self.directory)
        shutil.copytree(self.base / "running", self.directory)
        log = self.directory / (FILE + "-wal")
        assert log.stat().st_size > 0
        log.write_bytes(b"")

    def put_back_database(self) -> None:
        """Replace the database with the copy of a backup."""
        self._remove()
        shutil.copy(self.base / "backup" / FILE, self.directory / FILE)

    def put_back_all(self) -> None:
        """Replace the database and the key with those of a backup."""
        self.put_back_database()
        shutil.copy(self.base / "backup" / KEY_FILE, self.directory / KEY_FILE)

    def fresh(self, count: int = 50) -> None:
        """Replace the history with another one, and let it be sealed."""
        self._remove()
        history = SqliteHistory(self.directory, BOOT)
        history.append([event(number, module="innocent") for number in range(1, count + 1)])
        history.seal(SealCause.START, Usec(START))
        history.close()

    def fresh_and_longer(self) -> None:
        """The same, with more events than there were."""
        self.fresh(EVENTS + 50)

    def thin_only(self) -> None:
        """Remove a load as if it were provokable."""
        history = SqliteHistory(self.directory, BOOT)
        history._connection.execute("DELETE FROM event WHERE id = ?", (LOAD,))
        history._connection.execute("UPDATE chain SET events = events + 1 WHERE name = 'thinned'")
        history.close()

    def thin(self) -> None:
        """Remove a load as if it were provokable, and compute all hashes again."""
        self.chain([row for row in self.rows() if row.id != LOAD])

    def insert(self) -> None:
        """Put an event between two, renumber those after it, and compute all hashes again."""
        rows = self.rows()
        added = next(row for row in rows if row.id == 201)
        self.chain(
            [*(row for row in rows if row.id <= 200), added, *(row._replace(id=row.id + 1) for row in rows
             if row.id > 200)]
        )  # fmt: skip

    def move_anchor(self) -> None:
        """Remove the oldest, as retention would."""
        history = SqliteHistory(self.directory, BOOT)
        row_hash = history.hash_of(200)
        assert row_hash is not None
        with history._transaction():
            Retention(history._connection, RetentionLimits(), None).remove_until(Link(200, row_hash), GENESIS)
        history.close()

    def edit_and_delete_seals(self) -> None:
        """Change a row, and delete every seal that covers it."""
        self.edit()
        history = SqliteHistory(self.directory, BOOT)
        history._connection.execute("DELETE FROM seal WHERE head >= ?", (LOAD,))
        history.close()

    def edit_and_reseal(self) -> None:
        """Change a row, and make each seal fit again with the key of today."""
        self.edit()
        key = read_key(self.directory / KEY_FILE)
        assert key is not None
        history = SqliteHistory(self.directory, BOOT)
        ends = history.ends()
        assert ends.head is not None and ends.head_kept is not None
        _, seals = history.sealed(key.series)
        for old in seals:
            row_hash = history.hash_of(old.head.id) or old.head.hash
            kept_hash = history.hash_of(old.kept.id) or old.kept.hash
            made: Seal = old._replace(
                head=Link(old.head.id, row_hash), kept=Link(old.kept.id, kept_hash)
            ).signed(key)  # fmt: skip
            history._connection.execute(
                "UPDATE seal SET head_hash = ?, kept_hash = ?, mac = ? WHERE epoch = ?",
                (made.head.hash, made.kept.hash, made.mac, old.epoch),
            )
        history.close()

    def edit_and_set_up_anew(self) -> None:
        """Change a row, and seal with a new verification key."""
        self.edit()
        set_up(self.directory, again=True)
        history = SqliteHistory(self.directory, BOOT)
        history._connection.execute("DELETE FROM seal")
        history.seal(SealCause.START, Usec(START))
        history.close()

    def innocent(self, row: HistoryRow) -> HistoryRow:
        """The row with another module, and its own hash made anew."""
        changed = row._replace(module="innocent")
        return changed._replace(hash=digest(changed))

    def rows(self) -> list[HistoryRow]:
        """Every row that there is."""
        reader = SqliteReader.open(self.directory)
        with reader._store_errors():
            found = reader._page("NOT INDEXED", "e.id > ?", (0,), "ASC", 10 * EVENTS)
        reader.close()
        return found

    def chain(self, rows: Sequence[HistoryRow]) -> None:
        """Link rows anew, compute every hash, and write them with ends that fit."""
        linked: list[HistoryRow] = []
        head = kept = GENESIS
        provokable = False
        for row in rows:
            row_id = row.id + 1 if linked and row.id == linked[-1].id else row.id
            gap = row_id != head.id + 1
            prev_hash = row.prev_hash if gap else head.hash
            link = None if kept.hash == prev_hash and not gap and not provokable else kept.hash
            changed = row._replace(id=row_id, prev_hash=prev_hash, prev_kept_hash=link)
            changed = changed._replace(hash=digest(changed))
            head, provokable = Link(changed.id, changed.hash), row.provokable
            kept = kept if row.provokable else head
            linked.append(changed)
        self.write(linked, head, kept)

    def write(self, rows: Sequence[HistoryRow], head: Link | None = None, kept: Link | None = None) -> None:
        """Replace every row, and the ends where they are given."""
        history = SqliteHistory(self.directory, BOOT)
        with history._transaction():
            history._connection.execute("DELETE FROM event")
            links = history.ends()
            history._insert(rows)
            for name, link in (("head", head or links.head), ("head_kept", kept or links.head_kept)):
                assert link is not None
                history._connection.execute("UPDATE chain SET id = ?, hash = ? WHERE name = ?", (*link, name))
        history.close()

    def _remove(self) -> None:
        for path in self.directory.glob(FILE + "*"):
            path.unlink()


def witnesses(host: Lived, journal: Path) -> Iterator[str]:
    """Which of the four say that something is wrong, as the command asks them."""
    reader = SqliteReader.open(host.directory)
    if list(reader.verify()):
        yield "chain"
    if list(compare_journal(reader, list(journal_claims(str(journal))), [])):
        yield "journal"
    ends = reader.ends()
    assert ends.head is not None
    fell = ends.head.id < host.scraped[-1][0]
    expected = [Claim(number, f"{digits:012x}", aged=True, removable=True) for number, digits in host.scraped]
    if fell or list(Compared("as expected", ends, reader.hash_of).problems(expected)):
        yield "metric"
    check, problems = checked(host.directory, host.secret)
    if problems or list(Compared("a seal covers it", ends, reader.hash_of).problems(check.claims)):
        yield "seal"
    reader.close()


ATTACKS: tuple[tuple[Callable[[Attacker], None], str], ...] = (
    (Attacker.edit_and_rehash_row, "chain journal"),
    (Attacker.edit, "journal metric seal"),
    (Attacker.cut, "journal metric seal"),
    (Attacker.cut_log, "journal metric seal"),
    (Attacker.put_back_database, "journal metric seal"),
    (Attacker.fresh, "journal metric seal"),
    (Attacker.fresh_and_longer, "journal metric seal"),
    (Attacker.thin_only, "chain journal"),
    (Attacker.thin, "journal metric seal"),
    (Attacker.insert, "journal metric seal"),
    (Attacker.move_anchor, "seal"),
    (Attacker.edit_and_delete_seals, "journal metric seal"),
    (Attacker.edit_and_reseal, "journal metric seal"),
    (Attacker.edit_and_set_up_anew, "journal metric seal"),
    (Attacker.put_back_all, "journal metric"),
)


def test_history_when_nobody_touches_it_then_every_witness_agrees(tmp_path: Path) -> None:
    host = lived(tmp_path)
    assert list(witnesses(host, saved(host, tmp_path))) == []


@pytest.mark.parametrize(("attack", "expected"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_history_when_root_changes_it_afterwards_then_these_witnesses_tell(
    tmp_path: Path, attack: Callable[[Attacker], None], expected: str
) -> None:
    host = lived(tmp_path)
    attack(Attacker(tmp_path))
    assert " ".join(witnesses(host, saved(host, tmp_path))) == expected


def test_table_when_compared_with_the_attacks_then_it_says_what_they_show() -> None:
    assert __doc__ is not None
    lines = __doc__.split("=\nattack", 1)[1].splitlines()[2:]
    marks = [line.split()[-4:] for line in lines[: len(ATTACKS)]]
    for (_, expected), row in zip(ATTACKS, marks, strict=True):
        shown = [name for name, mark in zip(("chain", "journal", "metric", "seal"), row, strict=True) if mark == "x"]
        assert " ".join(shown) == expected, row


def saved(host: Lived, base: Path) -> Path:
    """The journal as a file."""
    path = base / "journal.json"
    path.write_text("\n".join(host.journal) + "\n")
    return path
