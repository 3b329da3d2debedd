"""`kmodmon events --verify`: checks the history by itself, and against what is known outside it.

The chain alone shows that a part was changed. That the whole was is shown by the journal (--journal), by a hash that
somebody noted or Prometheus has (--expect), and by seals (--seal-key). What retention removed cannot be compared.
"""

import argparse
import getpass
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from kmodmon.cli import UsageError
from kmodmon.cli.output import Screen, Tint, Tinted
from kmodmon.events.event import EventType
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.store import StoreError, Trouble
from kmodmon.store.chain import Problem, ProblemKind
from kmodmon.store.database import KEY_FILE
from kmodmon.store.outside import SHORT_DIGITS, Claim, Compared
from kmodmon.store.reader import SqliteReader
from kmodmon.store.seal import KEY_BYTES, SealCheck, read_key, set_up
from kmodmon.system.journal_reader import journal_events

BROKEN = 1
JOURNAL = "-"  # of --journal without a file
_HEX = frozenset("0123456789abcdef")
_VERB = "kmodmon events"


def verify(screen: Screen, reader: SqliteReader, args: argparse.Namespace) -> int:
    """Print what is wrong with the history; 0, or 1 when something is."""
    remarks: list[str] = []
    # What the journal and the arguments say is read first: what they know is then in the history, also while it grows.
    expected = [_expectation(text) for text in args.expect]
    secret = None if args.seal_key is None else _secret(args.seal_key)
    held = None if args.journal is None else list(journal_claims(args.journal))
    problems = list(reader.verify())
    ends = reader.ends()
    if ends.thinned_events:
        remarks.append(f"{ends.thinned_events} events thinned by retention: users can cause any number of such events")
    problems += Compared("as expected", ends, reader.hash_of).problems(expected)
    if held is not None:
        problems += compare_journal(reader, held, remarks)
    if secret is not None:
        problems += _check_seals(reader, secret, remarks)
    return _print(screen, reader, problems, remarks, as_json=args.json)


def set_up_seals(directory: Path, *, again: bool) -> int:
    """Begin to seal the history, and print the verification key, which is stored nowhere."""
    secret = set_up(directory, again=again)
    print(secret)
    print(
        "This is the verification key. It is stored nowhere: keep it off this host, and give it to\n"
        "`kmodmon events --verify --seal-key FILE` (or `-`: standard input). The daemon seals from its next round on,\n"
        "at the latest after history.seal_interval, at once if it is started anew.",
        file=sys.stderr,
    )
    return 0


def _expectation(text: str) -> Claim:
    number, _, digits = text.partition(":")
    digits = digits.lower()
    if not (number.isascii() and number.isdigit() and len(number) < 19 and _HEX.issuperset(digits)):
        raise UsageError(_VERB, f"--expect {text}: write ID:HASH, the hash in hex")
    if not SHORT_DIGITS <= len(digits) <= 64:
        raise UsageError(_VERB, f"--expect {text}: write at least the first {SHORT_DIGITS} digits of the hash")
    return Claim(int(number), digits, aged=False)


def _secret(path: str) -> bytes:
    try:
        if path != "-":
            text = Path(path).read_text("ascii")
        elif sys.stdin.isatty():
            text = getpass.getpass("Verification key: ")
        else:
            text = sys.stdin.readline(4 * KEY_BYTES)
        secret = bytes.fromhex(text.strip())
    except OSError as error:
        raise UsageError(_VERB, f"--seal-key {path}: {error.strerror}") from None
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise UsageError(_VERB, f"--seal-key {path}: it holds no verification key, which is {2 * KEY_BYTES} hex digits")
    return secret


def journal_claims(saved: str) -> Iterator[Claim]:
    """What the journal says of events, read from this host or from a file; raises JournalError."""
    for entry in journal_events(None if saved == JOURNAL else Path(saved)):
        kind = EVENT_KINDS.get(EventType(entry.type))
        yield Claim(entry.id, entry.hash, removable=kind is None or kind.provokable)


def compare_journal(reader: SqliteReader, held: list[Claim], remarks: list[str]) -> Iterator[Problem]:
    """Compare the history with what the journal holds; adds to `remarks` how much that was."""
    compared = Compared("the journal has it", reader.ends(), reader.hash_of)
    yield from compared.problems(held)
    if not held:
        text = "the journal holds no event of kmodmon, so nothing can be compared with it"
        yield Problem(kind=ProblemKind.OUTSIDE, first=0, last=0, text=text)
        return
    newest = max(claim.id for claim in held)
    remarks.append(f"{compared.agreed} events are as in the journal, the newest that it holds is {newest}")


def _check_seals(reader: SqliteReader, secret: bytes, remarks: list[str]) -> Iterator[Problem]:
    check = SealCheck(secret)
    try:
        current = read_key(reader.path.with_name(KEY_FILE))
    except StoreError as error:
        if error.trouble is Trouble.READ_ONLY:
            raise
        current = None
    ends, seals = reader.sealed(check.series)
    yield from check.problems(seals, current, ends)
    yield from Compared("a seal covers it", reader.ends(), reader.hash_of).problems(check.claims)
    if check.newest is None:
        text = "the history has no genuine seal of this key"
        yield Problem(kind=ProblemKind.SEAL, first=0, last=0, text=text)
        return
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(check.newest.realtime_usec / 1e6))
    remarks.append(
        f"{check.seals} seals are genuine, the newest ({check.newest.cause}, {at}) covers event {check.newest.head.id}"
    )
    if check.unclean:
        remarks.append(f"{check.unclean} times the daemon ended without a last seal: killed, power cut, or put back")


def _print(screen: Screen, reader: SqliteReader, problems: list[Problem], remarks: list[str], *, as_json: bool) -> int:
    head, count = reader.newest_link(), reader.summary().events
    head_id, head_hash = (0, "") if head is None else (head.id, head.hash.hex())
    if as_json:
        screen.json({
            "events": count, "head": {"id": head_id, "hash": head_hash}, "thinned": reader.summary().thinned,
            "problems": [{"kind": problem.kind.value, "first": problem.first, "last": problem.last,
                          "text": problem.text} for problem in problems],
            "remarks": list(remarks),
        })  # fmt: skip
        return BROKEN if problems else 0
    for problem in problems:
        screen.line(Tinted(problem.kind.value, Tint.BAD), ": ", problem.text)
    for remark in remarks:
        screen.line(remark)
    verdict = Tinted("broken", Tint.BAD) if problems else Tinted("whole", Tint.GOOD)
    screen.line("The chain of ", f"{count} events is ", verdict, f"; event {head_id} has the hash {head_hash}")
    return BROKEN if problems else 0
