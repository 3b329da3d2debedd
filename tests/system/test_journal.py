import array
import logging
import os
import pty
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.event import Actor, Event, EventType, Process, Severity, recorded_event
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.events.kinds.daemon import Started
from kmodmon.events.kinds.module import ModuleLoaded
from kmodmon.store.memory import MemoryHistory
from kmodmon.system.journal import (
    LINE_BYTES,
    NOTICE,
    Journal,
    JournalHandler,
    NativeSink,
    StreamSink,
    encode,
    event_fields,
    log_sink,
    open_sink,
    set_up_logging,
    syslog_level,
)
from kmodmon.types.units import Instant, JsonObject, Usec
from tests.events.event_strategies import EVENTS

TAKEN_APART = list[tuple[str, bytes]]


def take_apart(data: bytes) -> TAKEN_APART:
    """Read the native protocol as journald does (journald-native.c)."""
    fields: TAKEN_APART = []
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if equals:
            fields.append((name.decode(), value))
            data = rest
        else:
            (length,) = struct.unpack("<Q", rest[:8])
            fields.append((name.decode(), rest[8 : 8 + length]))
            assert rest[8 + length : 9 + length] == b"\n"
            data = rest[9 + length :]
    return fields


class Journald:
    """A journal that listens on a socket of its own."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(10)

    def entry(self) -> dict[str, list[str]]:
        """The next entry."""
        data, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        for level, kind, content in ancillary:
            assert (level, kind, data) == (socket.SOL_SOCKET, socket.SCM_RIGHTS, b"")
            (descriptor,) = array.array("i", content)
            data = self.sealed(descriptor)
        entry: dict[str, list[str]] = {}
        for name, value in take_apart(data):
            entry.setdefault(name, []).append(value.decode())
        return entry

    def sealed(self, descriptor: int) -> bytes:
        """What is in a memfd, which must not change any more."""
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"x", 0)
        with os.fdopen(descriptor, "rb") as file:
            file.seek(0)
            return file.read()


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    listening = Journald(tmp_path / "socket")
    yield listening
    listening.socket.close()


def happened(kind: EventType = ModuleLoaded.kind.type, **fields: str) -> Event:
    return recorded_event(
        type=kind,
        at=Instant(realtime_usec=Usec(1_700_000_000_000_000), monotonic_usec=Usec(5)),
        severity=Severity.WARNING,
        module="vboxdrv",
        actor=Actor(process=Process(pid=411, comm="modprobe", cmdline=("modprobe", "vboxdrv")), uid=0, login_uid=1000),
        evidence=("/proc/modules", "uevent"),
        fields={"signature": "unsigned", **fields},
    )


FIELD = st.tuples(st.from_regex(r"[A-Z][A-Z0-9_]{0,10}", fullmatch=True), st.text(max_size=60))


@given(st.lists(FIELD, max_size=6))
def test_any_text_goes_through_the_native_protocol(fields: list[tuple[str, str]]) -> None:
    assert take_apart(encode(fields)) == [(name, text.encode("utf-8", "backslashreplace")) for name, text in fields]


@given(EVENTS)
def test_any_event_has_fields_that_journald_takes(event: Event) -> None:
    fields = take_apart(encode(event_fields(event)))
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name) for name, _ in fields)
    assert dict(fields)["MESSAGE_ID"] == EVENT_KINDS[event.type].message_id.encode()


def test_event_is_an_entry_with_all_its_fields(journald: Journald) -> None:
    sink = NativeSink(journald.path)
    (stored,) = MemoryHistory("boot").append([happened()])
    Journal(sink).log_event(stored)
    assert journald.entry() == {
        "MESSAGE": ["Module vboxdrv was loaded by modprobe[411] (uid 0), signature unsigned"],
        "PRIORITY": ["4"],
        "SYSLOG_IDENTIFIER": ["kmodmon"],
        "MESSAGE_ID": [EVENT_KINDS[ModuleLoaded.kind.type].message_id],
        "KMODMON_EVENT": ["ModuleLoaded"],
        "KMODMON_SEVERITY": ["warning"],
        "KMODMON_REALTIME_USEC": ["1700000000000000"],
        "KMODMON_EVENT_ID": ["1"],
        "KMODMON_EVENT_HASH": [stored.hash],
        "KMODMON_BOOT_ID": ["boot"],
        "KMODMON_MODULE": ["vboxdrv"],
        "KMODMON_ACTOR_PID": ["411"],
        "KMODMON_ACTOR_COMM": ["modprobe"],
        "KMODMON_ACTOR_CMDLINE": ["modprobe vboxdrv"],
        "KMODMON_ACTOR_UID": ["0"],
        "KMODMON_ACTOR_LOGIN_UID": ["1000"],
        "KMODMON_EVIDENCE": ["/proc/modules", "uevent"],
        "KMODMON_FIELDS": ['{"signature":"unsigned"}'],
    }
    sink.close()


def test_event_that_was_not_stored_is_an_entry_without_id(journald: Journald) -> None:
    sink = NativeSink(journald.path)
    broken: JsonObject = {"x": float("nan")}
    Journal(sink).log_event(recorded_event(type=Started.kind.type, at=happened().at, fields=broken))
    entry = journald.entry()
    assert "KMODMON_EVENT_ID" not in entry and entry["KMODMON_FIELDS"] == ["{'x': nan}"]
    sink.close()


def test_entry_too_long_for_a_datagram_goes_as_a_sealed_file(journald: Journald) -> None:
    sink = NativeSink(journald.path)
    trace = "\n".join(f"frame {number}" for number in range(100_000))
    sink.write(3, "oops", [("KMODMON_EVIDENCE", trace)])
    entry = journald.entry()
    assert (entry["KMODMON_EVIDENCE"], sink.lost) == ([trace], 0)
    sink.close()


def test_journal_that_does_not_read_or_is_gone_costs_entries_not_time(journald: Journald, tmp_path: Path) -> None:
    sink = NativeSink(journald.path)
    while sink.lost == 0:
        sink.write(6, "hello", [])
    assert sink.lost == 1
    sink.close()
    sink = NativeSink(str(tmp_path / "nowhere"))
    sink.write(6, "hello", [])
    assert sink.lost == 1
    sink.close()


def test_line_of_our_own_log_that_is_not_taken_is_counted_with_the_events(tmp_path: Path) -> None:
    sink = NativeSink(str(tmp_path / "nobody"))
    handlers, level, own = (
        logging.getLogger().handlers[:],
        logging.getLogger().level,
        logging.getLogger("kmodmon").level,
    )
    set_up_logging(sink)
    try:
        journal = Journal(log_sink())
        logging.getLogger("kmodmon.test").warning("lost")
        journal.log_event(happened())
        assert journal.lost == 2
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
        logging.getLogger("kmodmon").setLevel(own)
        sink.close()


def test_log_record_is_an_entry_with_its_place_and_traceback(journald: Journald) -> None:
    sink = NativeSink(journald.path)
    logger = logging.Logger("kmodmon.sources.kmsg")  # noqa: LOG001  # of its own, so that nothing else hears it
    logger.addHandler(JournalHandler(sink))
    logger.warning("lost %d records", 7)
    entry = journald.entry()
    assert (entry["MESSAGE"], entry["PRIORITY"], entry["LOGGER"]) == (
        ["lost 7 records"],
        ["4"],
        ["kmodmon.sources.kmsg"],
    )
    assert entry["CODE_FILE"] == [__file__]
    try:
        raise ValueError("the cause")
    except ValueError:
        logger.exception("it broke")
    (message,) = journald.entry()["MESSAGE"]
    assert message.startswith("it broke\nTraceback") and message.endswith("ValueError: the cause")
    sink.close()


@pytest.mark.parametrize(
    ("level", "priority"), [(50, 2), (40, 3), (30, 4), (NOTICE, 5), (20, 6), (10, 7), (35, 4), (0, 7)]
)
def test_levels_of_logging_become_those_of_syslog(level: int, priority: int) -> None:
    assert syslog_level(level) == priority


def test_stderr_that_is_the_journal_is_recognised_by_device_and_inode(tmp_path: Path) -> None:
    file = tmp_path / "stderr"
    with file.open("w") as stderr:
        status = os.fstat(stderr.fileno())
        right = open_sink({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, stderr.fileno())
        assert isinstance(right, NativeSink)
        right.close()
        for stream in (f"{status.st_dev}:{status.st_ino + 1}", "", "nonsense", "1:2:3"):
            assert isinstance(open_sink({"JOURNAL_STREAM": stream}, stderr.fileno()), StreamSink)


def test_other_streams_get_lines_with_a_syslog_level(tmp_path: Path) -> None:
    file = tmp_path / "stderr"
    with file.open("wb") as stderr:
        sink = open_sink({}, stderr.fileno())
        Journal(sink).log_event(happened())
        sink.write(3, "two\nlines \x1b[31m red\udc80", [])
    assert file.read_text().splitlines() == [
        "<4>Module vboxdrv was loaded by modprobe[411] (uid 0), signature unsigned",
        "<3>two",
        "<3>lines \\x1b[31m red\\xed\\xb2\\x80",
    ]


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_terminal_gets_plain_lines(environ: dict[str, str], coloured: bool) -> None:
    ours, theirs = pty.openpty()
    sink = open_sink(environ, theirs)
    sink.write(4, "something", [])
    line = os.read(ours, 1000).decode()
    assert re.fullmatch(r"\d\d:\d\d:\d\d (\x1b\[33m)?warning(\x1b\[0m)?: something\r\n", line)
    assert ("\x1b" in line) is coloured
    os.close(ours)
    os.close(theirs)


def test_pipe_that_nobody_reads_costs_lines_not_time() -> None:
    reading, writing = os.pipe()
    sink = open_sink({}, writing)
    while sink.lost == 0:
        sink.write(6, "x" * 100, [])
    assert sink.lost == 1
    os.close(reading)
    sink.write(6, "nobody is left", [])
    assert sink.lost == 2
    os.close(writing)


def test_line_is_never_longer_than_a_pipe_takes_at_once(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("wb") as stderr:
        open_sink({}, stderr.fileno()).write(6, "ä" * 5000, [])
    written = (tmp_path / "stderr").read_bytes()
    assert len(written) <= LINE_BYTES and written.decode().endswith("ä…\n")


def test_logging_is_set_up_once_and_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, ours = logging.getLogger(), logging.getLogger("kmodmon")
    monkeypatch.setattr(root, "handlers", [*root.handlers])
    before = root.level, ours.level
    try:
        with (tmp_path / "stderr").open("wb") as stderr:
            set_up_logging(open_sink({}, stderr.fileno()))
            set_up_logging(open_sink({}, stderr.fileno()))
            logging.getLogger("kmodmon.runtime.daemon").info("started")
            logging.getLogger("kmodmon.runtime.daemon").debug("detail")
            logging.getLogger("other").info("chatter")
            logging.getLogger("kmodmon.runtime.daemon").log(NOTICE, "recovered")
        assert (tmp_path / "stderr").read_text() == "<6>started\n<5>recovered\n"
        assert logging.getLevelName(NOTICE) == "NOTICE"
    finally:
        root.setLevel(before[0])
        ours.setLevel(before[1])


def test_journal_costs_no_import_of_sqlite_or_asyncio() -> None:
    code = (
        "import sys, kmodmon.system.journal, kmodmon.system.sd_notify; print({'sqlite3', 'asyncio'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "set()\n"
