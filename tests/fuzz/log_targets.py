"""Targets of kmodmon/savedlog and kmodmon/reports: the kernel's log, live and saved."""

import re
from collections.abc import Iterable
from dataclasses import replace

from kmodmon.events.event import Event
from kmodmon.events.kinds.log import LogForged, LogLost
from kmodmon.kernel.kmsg import parse_prefix, split_records
from kmodmon.reports import body, frame
from kmodmon.reports.explain import explain_line
from kmodmon.reports.live_log import LogReaderState, LogResult, process_records, process_timeout
from kmodmon.reports.opening import read_opening
from kmodmon.reports.prefilter import Prefilter, is_relevant
from kmodmon.reports.saved_log import explain_log
from kmodmon.reports.signatures import table
from kmodmon.reports.signatures.table import judge_line
from kmodmon.savedlog import logjournal
from kmodmon.savedlog.logprefix import strip_prefix
from kmodmon.savedlog.savedlog import read_saved_log
from kmodmon.subjects.log import LogAccount, LogRead
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text
from kmodmon.types.units import Instant, Usec
from tests.fuzz.inputs import tried

_NUMBERED = re.compile(rb"[0-9]*,[0-9]*,")
AT = Instant(realtime_usec=Usec(1_700_000_000_000_000), monotonic_usec=Usec(100_000_000))
LATER = Instant(realtime_usec=Usec(1_700_000_900_000_000), monotonic_usec=Usec(1_000_000_000))


def saved_log(data: bytes) -> object:
    """Line numbers are those of the file; in a log that is printed backwards a report ends above its begin."""
    last = data.count(b"\n") + data.count(b"\r") + 1
    reports = explain_log(data, include_all=True)
    for report in reports:
        assert 1 <= min(report.first_line, report.last_line) <= max(report.first_line, report.last_line) <= last, report
    assert set(explain_log(data)) <= set(reports)
    return reports


def log_formats(data: bytes) -> object:
    """Each format's reader gives lines of the file or says that it is another format."""
    count = sum(1 for _ in read_saved_log(data))
    for read in (logjournal.read_dmesg, logjournal.read_pretty, logjournal.read_verbose):
        read(data)
    if logjournal.is_export(data):
        assert sum(1 for _ in logjournal.read_export(data)) <= len(data) + 1
    text = data.decode("utf-8", "surrogateescape")
    logjournal.read_json(text)
    strip_prefix(text)
    assert count <= len(data) + 1
    return count


def log_line(data: bytes) -> object:
    """One line by every rule for lines; the fast search for signatures finds what the simple one finds."""
    text = data.decode("utf-8", "surrogateescape")
    match, simple = table.match_line(text), table.match_line_naive(text)
    assert (match and match.signature.name) == (simple and simple.signature.name)
    for kind in (body.LineKind.FOREIGN, body.LineKind.MODULES, body.LineKind.TASK):
        body.kind_of(text, kind)
    body.parse_task(text)
    body.parse_modules(text)
    body.arch_of(text)
    frame.parse_frame(text)
    frame.first_of_arm(text)
    frame.parse_inline(text)
    frame.parse_pointer(text)
    found = explain_line(text)
    return None if found is None else found.subject


def live_log(data: bytes) -> object:
    """Records give the same events and, after a pause, the same account, however they are divided into batches.

    The first byte is the number of records in a batch.
    """
    records = _ascending(split_records(data[1:]))
    whole = _processed([records])
    size = 1 + data[0] % 8 if data else 1
    divided = _processed([records[start : start + size] for start in range(0, len(records), size)])
    assert _told(divided[1]) == _told(whole[1])
    assert replace(divided[0].account, clock=whole[0].account.clock) == whole[0].account
    return [(event.type, event.module) for event in whole[1]]


def _ascending(records: Iterable[bytes]) -> tuple[bytes, ...]:
    """The records without those that the kernel cannot give: their number is not above the one before, or is none."""
    kept: list[bytes] = []
    newest = -1
    for record in records:
        prefix = tried(ParseError, parse_prefix, record)
        if (prefix is None and _NUMBERED.match(record) is None) or (prefix is not None and prefix[1] > newest):
            kept.append(record)
            newest = newest if prefix is None else prefix[1]
    return tuple(kept)


def _told(events: Iterable[Event]) -> list[object]:
    """Events without the summaries of what was lost and forged, which follow the batches."""
    return [event.details for event in events if not isinstance(event.details, LogLost | LogForged)]


def _processed(batches: Iterable[tuple[bytes, ...]]) -> tuple[LogResult, list[Event]]:
    result = process_records(LogAccount(), None, LogRead(records=()), AT)
    events: list[Event] = [*result.events]
    for batch in batches:
        result = process_records(result.account, result.log_memory, LogRead(records=batch, end=True), AT)
        events += result.events
    result = process_timeout(result.account, result.log_memory, LATER)
    return result, [*events, *result.events]


def replayed_log(data: bytes) -> object:
    """A restart in the middle reports nothing twice: what the second process says anew, a single one has said too."""
    records = _ascending(split_records(data[1:]))
    middle = data[0] * len(records) // 255 if data else 0
    first = process_records(LogAccount(), None, LogRead(records=records[:middle], end=True), AT)
    again = process_records(first.account, None, LogRead(records=records, end=True), AT)
    ended = process_timeout(again.account, again.log_memory, LATER)
    assert isinstance(ended.log_memory, LogReaderState)
    assert ended.account.next_seq == again.account.next_seq
    return len(again.events)


def prefilter(data: bytes) -> object:
    """A batch is filtered as its records are one by one, and learning what is irrelevant changes no choice."""
    records = split_records(data)
    wanted = tuple(index for index, record in enumerate(records) if is_relevant(record))
    learning = Prefilter()
    for _ in range(2):
        assert tuple(learning.select(records).hits) == wanted
    return len(wanted)


def opening(data: bytes) -> object:
    """What follows a line feed opens nothing, whatever it is, in a record whose beginning opens nothing."""
    text = safe_text(data)
    found = read_opening(text)
    assert found.match is None or found.match == judge_line(found.text.lstrip(" "))[0]
    behind = read_opening(f"tmpfs: Unknown parameter 'x\n{text}'")
    assert behind.match is None, behind
    return found.text, found.rest
