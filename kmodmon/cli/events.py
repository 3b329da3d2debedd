"""`kmodmon events`: the events in the history that the daemon keeps, also while it runs; oldest first.

`--json` prints one event on a line, so that a large history can be piped. `--follow` asks SQLite four times a second
whether another process wrote (`PRAGMA data_version`), which takes no measurable time.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from kmodmon.cli import UsageError
from kmodmon.cli.options import settings_of, whole_number
from kmodmon.cli.output import Screen, Tint, Tinted, local_time
from kmodmon.cli.when import moment
from kmodmon.events.event import EventType, Severity, StoredEvent
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.events.query import EventQuery
from kmodmon.events.sentence import sentence_of
from kmodmon.store import HistoryReader, StoreError, Trouble, open_reader
from kmodmon.system.clock import SystemClock

_SHOWN = 100  # events that are shown when no option selects any
_BEFORE_FOLLOWING = 10  # the same with --follow
_POLL_SECONDS = 0.25
_TINTS = {
    Severity.CRITICAL: Tint.BAD, Severity.ERROR: Tint.BAD, Severity.WARNING: Tint.WARN, Severity.NOTICE: Tint.STRONG,
    Severity.INFO: Tint.FAINT,
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    parser.add_argument("--since", metavar="WHEN", help="Not older: a span (1h, 2d), a date and time, or @SECONDS.")
    parser.add_argument("--until", metavar="WHEN", help="Older than that.")
    parser.add_argument("--type", metavar="TYPE", action="append", default=[], help="Only of this type; repeatable.")
    parser.add_argument("--module", metavar="NAME", help="Only those of one module.")
    parser.add_argument("--limit", metavar="N", type=whole_number, help="At most the newest N; 0: all.")
    parser.add_argument("--follow", "-f", action="store_true", help="Go on with what happens from now on.")
    parser.add_argument("--verify", action="store_true", help="Check that no event was edited, removed or added.")
    parser.add_argument(
        "--journal",
        metavar="FILE",
        nargs="?",
        const="-",
        help="With --verify: compare with the events in the journal, or in the saved output of `journalctl -o json`.",
    )
    parser.add_argument(
        "--expect",
        metavar="ID:HASH",
        action="append",
        default=[],
        help="With --verify: an event must have this hash, of which 12 digits are enough; repeatable.",
    )
    parser.add_argument(
        "--seal-key", metavar="FILE", help="With --verify: check the seals with the key in a file; -: standard input."
    )
    parser.add_argument(
        "--setup-seal", action="store_true", help="Seal the history from now on, and print the verification key, once."
    )
    parser.add_argument("--again", action="store_true", help="With --setup-seal: also if it is sealed already.")
    parser.add_argument("--state-dir", metavar="DIR", type=Path, help="Where the history is. Default: as configured.")


def run(args: argparse.Namespace) -> int:
    """Print events; 0, or 1 when --verify finds something wrong. Raises StoreError when there is nothing to read."""
    if not args.verify and (args.journal or args.expect or args.seal_key):
        raise UsageError("kmodmon events", "--journal, --expect and --seal-key go with --verify")
    screen = Screen.of(args)
    query = _query(args)
    directory: Path = args.state_dir or settings_of(args).history.directory
    if args.setup_seal:
        from kmodmon.cli.verify import set_up_seals  # what few commands need is not imported by all

        return set_up_seals(directory, again=args.again)
    with closing(open_reader(directory)) as reader:
        _remark(reader.note)
        if args.verify:
            from kmodmon.cli.verify import verify

            return verify(screen, reader, args)
        head = reader.newest_link()
        last = _print_all(screen, _oldest_first(reader, query), 0 if head is None else head.id, as_json=args.json)
        if reader.unreadable:
            _remark(f"{reader.unreadable} events cannot be read by this version; `kmodmon events --verify` tells more")
    if args.follow:
        _follow(screen, directory, query, last, as_json=args.json)
    return 0


def _query(args: argparse.Namespace) -> EventQuery:
    now = SystemClock().now().realtime_usec
    if args.limit is not None and args.limit < 0:
        raise UsageError("kmodmon events", f"--limit {args.limit}: write how many, or 0 for all")
    narrowed = args.since or args.until or args.type or args.module or args.json
    shown = _BEFORE_FOLLOWING if args.follow else _SHOWN
    default = None if narrowed else shown
    return EventQuery(
        since_usec=_moment("--since", args.since, now),
        until_usec=_moment("--until", args.until, now),
        types=tuple(dict.fromkeys(_type(name) for name in args.type)),
        module=args.module,
        limit=(args.limit or None) if args.limit is not None else default,
        newest_first=True,
    )


def _moment(flag: str, text: str | None, now_usec: int) -> int | None:
    try:
        return None if text is None else moment(text, now_usec)
    except ValueError as error:
        raise UsageError("kmodmon events", f"{flag}: {error}") from None


def _type(name: str) -> EventType:
    for event_type in EVENT_KINDS:
        if event_type.lower() == name.lower():
            return event_type
    raise UsageError("kmodmon events", f"--type {name}: there is no such type; there are {', '.join(EVENT_KINDS)}")


def _print_all(screen: Screen, events: Iterable[StoredEvent], last: int, *, as_json: bool) -> int:
    """Print events; gives the highest id of these and `last`, where --follow continues."""
    for event in events:
        _print(screen, event, as_json=as_json)
        last = max(last, event.id)
    screen.stream.flush()
    return last


def _oldest_first(reader: HistoryReader, query: EventQuery) -> Iterator[StoredEvent]:
    if query.limit is None:
        yield from reader.events(_ascending(query))
    else:
        yield from reversed(list(reader.events(query)))


def _ascending(query: EventQuery, after_id: int = 0) -> EventQuery:
    return replace(query, after_id=after_id, limit=None, newest_first=False)


def _follow(screen: Screen, directory: Path, query: EventQuery, last: int, *, as_json: bool) -> None:
    """Print what is written after event `last`, until Ctrl-C; waits for a history that is replaced or locked."""
    try:
        while True:
            try:
                last = _follow_file(screen, directory, query, last, as_json=as_json)
            except StoreError as error:
                if error.trouble not in (Trouble.MISSING, Trouble.LOCKED):
                    raise
                time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        return


def _follow_file(screen: Screen, directory: Path, query: EventQuery, last: int, *, as_json: bool) -> int:
    with closing(open_reader(directory)) as reader:
        head = reader.newest_link()
        if head is not None and head.id < last:
            _remark("the history was started anew")
            last = 0
        version: int | None = None
        while (newest_version := reader.changed()) != version:
            version = newest_version
            last = _print_all(screen, reader.events(_ascending(query, last)), last, as_json=as_json)
            while reader.live and reader.changed() == version:
                time.sleep(_POLL_SECONDS)
        time.sleep(_POLL_SECONDS)  # this reader does not see what is written later: the caller opens another
        return last


def _print(screen: Screen, event: StoredEvent, *, as_json: bool) -> None:
    if as_json:
        screen.json_line(event.to_json())
        return
    at = event.event.at.realtime_usec
    stamp = f"{local_time(at)}.{at // 1000 % 1000:03d}"
    severity = event.event.severity
    screen.line(
        Tinted(stamp, Tint.FAINT), "  ", Tinted(f"{severity.value:8}", _TINTS[severity]), "  ",
        f"{event.event.type:16}  {sentence_of(event.event)}",
    )  # fmt: skip


def _remark(text: str) -> None:
    if text:
        print(f"kmodmon events: {text}", file=sys.stderr)
