"""Reads from the journal which events it holds, with their hashes.

Any user may write an entry with fields KMODMON_EVENT_ID and KMODMON_EVENT_HASH (logger --journald). Fields that begin
with an underscore are written by journald alone (systemd.journal-fields(7)), so only entries whose _SYSTEMD_UNIT is
kmodmon's unit count. A unit of that name under a user's own service manager has _SYSTEMD_UNIT=user@UID.service.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from kmodmon.types.error import KmodmonError

UNIT = "kmodmon.service"
_FIELDS = ("KMODMON_EVENT", "KMODMON_EVENT_ID", "KMODMON_EVENT_HASH", "_SYSTEMD_UNIT")
COMMAND = (
    "journalctl", "--system", "--no-pager", "--output=json", f"--output-fields={','.join(_FIELDS)}",
    f"_SYSTEMD_UNIT={UNIT}",
)  # fmt: skip
_MOST_DIGITS = 19  # of 2**63


class JournalError(KmodmonError):
    """The journal cannot be read."""


class JournalEvent(NamedTuple):
    """One event as the journal holds it."""

    id: int
    hash: str  # in hex
    type: str


def journal_events(saved: Path | None = None) -> Iterator[JournalEvent]:
    """Give the events in the journal of this host, or in the saved output of COMMAND; raises JournalError."""
    if saved is not None:
        try:
            with saved.open("rb") as file:
                yield from events_of(file)
        except OSError as error:
            raise JournalError(f"{saved}: {error.strerror}") from None
        return
    try:
        process = subprocess.Popen(COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except OSError as error:
        raise JournalError(f"journalctl: {error.strerror}; give a file with its saved output instead") from None
    with process:
        assert process.stdout is not None
        yield from events_of(process.stdout)
    if process.returncode:
        raise JournalError(f"journalctl ended with {process.returncode}")


def events_of(lines: Iterable[bytes]) -> Iterator[JournalEvent]:
    """Give the events in lines of `journalctl --output=json`; entries that are not the daemon's are left out."""
    for line in lines:
        try:
            entry: object = json.loads(line)
        except (ValueError, RecursionError):
            continue
        match entry:
            case {
                "_SYSTEMD_UNIT": str(unit), "KMODMON_EVENT": str(kind),
                "KMODMON_EVENT_ID": str(number), "KMODMON_EVENT_HASH": str(row_hash),
            } if unit == UNIT and number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS:  # fmt: skip
                yield JournalEvent(int(number), row_hash, kind)
            case _:
                continue
