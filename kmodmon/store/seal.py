"""Forward-secure seals: what the history was is proven by keys that are not on the host any more.

The daemon seals the history at its start, at its end, and every `history.seal_interval`: it writes an HMAC-SHA256 over
the head of the chain, and over the newest event that is not provokable, to the table `seal`. Then it replaces its key
by a one-way function of it, so each *epoch* has a key of its own, and the keys of earlier epochs are forgotten. Whoever
becomes root later has the key of the present epoch only: he can neither change what was sealed nor seal it again. The
*verification key*, from which all the others follow, is printed once by `kmodmon events --setup-seal` and stored
nowhere; the design is that of `journalctl --setup-keys`.

The key is not in the database, whose free pages and write-ahead log keep what was overwritten, but in a file of its
own, in two slots that are overwritten in place, one after the other, each synced: at every moment one of them is whole.
What overwriting does on the medium is not in kmodmon's hands: a copy-on-write file system, snapshots, and an SSD may
keep the old block, and the key was in the memory of the daemon. Whoever reads the raw medium may find it.

Seals are never removed (three megabytes a year): their numbers have no gap unless somebody made one.
"""

import hashlib
import hmac
import os
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from kmodmon.store.chain import GENESIS, Link, Problem, ProblemKind
from kmodmon.store.database import KEY_FILE
from kmodmon.store.error import StoreError, Trouble, of_system
from kmodmon.store.interface import SealCause
from kmodmon.store.links import Ends
from kmodmon.store.outside import Claim

KEY_BYTES = 32
_SLOT = 4096  # a block of the file system, so that writing one slot does not touch the other
_LAYOUT = struct.Struct(">8s8sQ32s")  # magic, series, epoch, key; a SHA-256 over these follows
_MAGIC = b"kmodseal"
_MOST_EPOCHS = 10_000_000  # a seal every 15 minutes for 285 years


class SealKey(NamedTuple):
    """The key of one epoch; the first epoch is 1."""

    series: bytes  # which verification key it follows from, as `series_of` gives it
    epoch: int
    key: bytes

    def next(self) -> "SealKey":
        """The key of the next epoch; nobody computes this one from it."""
        return SealKey(self.series, self.epoch + 1, hmac.digest(self.key, b"kmodmon seal: next key", "sha256"))


class Seal(NamedTuple):
    """One row of the table `seal`."""

    series: bytes
    epoch: int
    realtime_usec: int
    cause: str
    head: Link
    kept: Link  # the newest event that is not provokable; it outlives the head if that one is
    anchor: int  # up to this event, retention has removed all
    thinned: int  # up to this event, retention has removed the provokable ones
    mac: bytes = b""

    def signed(self, key: SealKey) -> "Seal":
        """This seal with the code that the key gives it."""
        text = f"{self.epoch} {self.realtime_usec} {self.cause} {self.head.id} {self.head.hash.hex()} "
        text += f"{self.kept.id} {self.kept.hash.hex()} {self.anchor} {self.thinned}"
        return self._replace(mac=hmac.digest(key.key, b"kmodmon seal: " + text.encode(), "sha256"))


def series_of(secret: bytes) -> bytes:
    """The public name of a verification key."""
    return hashlib.sha256(b"kmodmon seal series" + secret).digest()[:8]


def first_key(secret: bytes) -> SealKey:
    """The key of the first epoch; the verification key itself is that of no epoch."""
    return SealKey(series_of(secret), 0, secret).next()


def read_key(path: Path) -> SealKey | None:
    """The newest key in the file; None: there is no file. Raises StoreError when it can not be read or has no key."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise of_system(error, path) from None
    keys = [key for start in (0, _SLOT) if (key := _unpacked(raw[start : start + _SLOT])) is not None]
    if not keys:
        raise StoreError(Trouble.BROKEN, path, "holds no key for seals")
    return max(keys, key=lambda key: key.epoch)


def write_key(path: Path, key: SealKey) -> None:
    """Overwrite the key in both slots; raises StoreError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for start in (_SLOT, 0):
                os.pwrite(descriptor, _packed(key), start)
                os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise of_system(error, path) from None


def seals_of(series: bytes, rows: Iterable[tuple[object, ...]]) -> Iterator[Seal]:
    """Give the rows of a table as seals; one with values that kmodmon never writes becomes one that is not genuine."""
    for values in rows:
        match values:
            case (
                int(epoch), int(at), str(cause), int(head), bytes(head_hash), int(kept), bytes(kept_hash),
                int(anchor), int(thinned), bytes(mac),
            ):  # fmt: skip
                ends = Link(head, head_hash), Link(kept, kept_hash)
                yield Seal(series, epoch, at, cause, *ends, anchor, thinned, mac)
            case (int(epoch), *_):
                yield Seal(series, epoch, 0, "", GENESIS, GENESIS, 0, 0)
            case _:
                yield Seal(series, 0, 0, "", GENESIS, GENESIS, 0, 0)


def _insert(connection: sqlite3.Connection, seal: Seal) -> None:
    """Write the row of a seal."""
    connection.execute(
        "INSERT OR REPLACE INTO seal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*seal[:4], *seal.head, *seal.kept, seal.anchor, seal.thinned, seal.mac),
    )


def rows_of(connection: sqlite3.Connection, series: bytes, epoch: int = 0) -> list[tuple[object, ...]]:
    """The rows of a series from an epoch on, for `seals_of`."""
    return connection.execute(
        "SELECT epoch, realtime_usec, cause, head, head_hash, kept, kept_hash, anchor, thinned, mac FROM seal "
        "WHERE series = ? AND epoch >= ? ORDER BY epoch", (series, epoch)
    ).fetchall()  # fmt: skip


class Sealer:
    """Seals a history with the key in a file, which the daemon alone writes after it was set up."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._key = read_key(path)

    def write(self, cause: SealCause, now: int, ends: Ends) -> None:
        """Write the seal of this epoch, in the transaction of the caller; `done` is called once that is committed."""
        key = self._key
        if key is None or ends.head is None or ends.head_kept is None or ends.anchor is None:
            return
        for seal in seals_of(key.series, rows_of(self._connection, key.series, key.epoch)):
            # The daemon was killed after the transaction and before `done`.
            if seal.epoch == key.epoch and hmac.compare_digest(seal.signed(key).mac, seal.mac):
                key = self._key = key.next()
                break
        seal = Seal(
            key.series, key.epoch, now, cause, ends.head, ends.head_kept, ends.anchor.id, ends.thinned.id
        ).signed(key)
        _insert(self._connection, seal)

    def done(self) -> None:
        """Forget the key: replace it by that of the next epoch."""
        if self._key is not None:
            write_key(self._path, self._key.next())


def set_up(directory: Path, *, again: bool = False) -> str:
    """Make the file of a new series and give the verification key in hex; raises StoreError.

    Without `again`, an existing file is not replaced. The file belongs to the owner of the directory.
    """
    path = directory / KEY_FILE
    secret = os.urandom(KEY_BYTES)
    if path.exists() and not again:
        raise StoreError(Trouble.REFUSED, path, "is there already, so the history is sealed with another key")
    new = path.with_name(KEY_FILE + ".new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            owner = directory.stat()
            if os.geteuid() == 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.truncate(descriptor, 2 * _SLOT)
        finally:
            os.close(descriptor)
        write_key(new, first_key(secret))
        os.replace(new, path)
    except OSError as error:
        raise of_system(error, path) from None
    return secret.hex()


def _packed(key: SealKey) -> bytes:
    head = _LAYOUT.pack(_MAGIC, *key)
    return (head + hashlib.sha256(head).digest()).ljust(_SLOT, b"\0")


def _unpacked(raw: bytes) -> SealKey | None:
    head, check = raw[: _LAYOUT.size], raw[_LAYOUT.size : _LAYOUT.size + 32]
    if len(raw) != _SLOT or hashlib.sha256(head).digest() != check:
        return None
    magic, series, epoch, key = _LAYOUT.unpack(head)
    return SealKey(series, epoch, key) if magic == _MAGIC else None


class SealCheck:
    """Checks the seals of one verification key; `newest`, `seals` and `unclean` are known after `problems`."""

    def __init__(self, secret: bytes) -> None:
        self.series = series_of(secret)
        self.seals = 0  # that are genuine
        self.newest: Seal | None = None
        self.unclean = 0  # starts of the daemon before which it did not seal its end
        self.claims: list[Claim] = []  # about the events that genuine seals cover
        self._key = first_key(secret)

    def problems(self, seals: Iterable[Seal], current: SealKey | None, ends: Ends) -> Iterator[Problem]:
        """Give what is wrong with the seals of this series, by epoch.

        `current` is the key in the file, None: there is none; `ends` are those of the history, of the same moment.
        """
        for seal in seals:
            if seal.epoch < self._key.epoch or seal.epoch > _MOST_EPOCHS:
                yield _problem(seal.epoch, seal.epoch, "no epoch has this number")
                continue
            if seal.epoch > self._key.epoch:
                yield _problem(self._key.epoch, seal.epoch - 1, "not there any more")
            self._advance(seal.epoch)
            genuine = hmac.compare_digest(seal.signed(self._key).mac, seal.mac)
            self._advance(seal.epoch + 1)
            if not genuine:
                yield _problem(seal.epoch, seal.epoch, "was not made with the key of its epoch")
                continue
            yield from self._check_order(seal)
            self._took(seal)
        yield from self._check_current(current)
        newest = self.newest
        if newest is not None and ends.anchor is not None:
            yield from _check_removed(newest, ends.anchor.id, ends.thinned.id, "since the newest seal")

    def _check_order(self, seal: Seal) -> Iterator[Problem]:
        before = self.newest
        if before is None:
            return
        if seal.head.id < before.head.id:
            why = f"covers event {seal.head.id}, and an earlier one event {before.head.id}"
            yield _problem(seal.epoch, seal.epoch, why)
        if seal.cause != SealCause.RETENTION:
            yield from _check_removed(before, seal.anchor, seal.thinned, f"before seal {seal.epoch}")

    def _took(self, seal: Seal) -> None:
        if seal.cause == SealCause.START and self.newest is not None and self.newest.cause != SealCause.STOP:
            self.unclean += 1
        self.seals, self.newest = self.seals + 1, seal
        self.claims.append(Claim(seal.head.id, seal.head.hash.hex(), removable=seal.kept != seal.head))
        if seal.kept != seal.head:
            self.claims.append(Claim(seal.kept.id, seal.kept.hash.hex()))

    def _advance(self, epoch: int) -> None:
        while self._key.epoch < epoch:
            self._key = self._key.next()

    def _check_current(self, current: SealKey | None) -> Iterator[Problem]:
        # The key in the file is that of the epoch after the last seal, or of its own epoch if writing it was cut short.
        expected = self._key.epoch
        if current is None:
            yield _problem(expected, expected, f"{KEY_FILE} is not there, so whether newer seals were cut is not known")
        elif current.series != self.series:
            yield _problem(expected, expected, f"{KEY_FILE} follows from another verification key")
        elif current.epoch < expected - 1:
            yield _problem(current.epoch, expected - 1, f"{KEY_FILE} was put back to epoch {current.epoch}")
        elif current.epoch >= expected:
            if current.epoch > expected:
                yield _problem(expected, current.epoch - 1, "not there any more, these were the newest")
            if current.epoch <= _MOST_EPOCHS:
                self._advance(current.epoch)
            if self._key.key != current.key:
                yield _problem(current.epoch, current.epoch, f"the key in {KEY_FILE} is not that of its epoch")


def _check_removed(before: Seal, anchor: int, thinned: int, when: str) -> Iterator[Problem]:
    # Each removal by retention has a seal of its own, in the same transaction.
    if anchor != before.anchor:
        text = f"events up to {anchor} were called removed by retention {when}, which was not kmodmon"
        yield Problem(kind=ProblemKind.ANCHOR, first=before.anchor, last=anchor, text=text)
    if thinned != before.thinned:
        text = f"events up to {thinned} were called removed early by retention {when}, which was not kmodmon"
        yield Problem(kind=ProblemKind.ANCHOR, first=before.thinned, last=thinned, text=text)


def _problem(first: int, last: int, why: str) -> Problem:
    which = f"seal {first}" if first == last else f"seals {first} to {last}"
    return Problem(kind=ProblemKind.SEAL, first=first, last=last, text=f"{which}: {why}")
