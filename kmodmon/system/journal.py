"""The log of the daemon, and one structured journal entry for each event.

If stderr is the journal ($JOURNAL_STREAM is its device and inode, systemd.exec(5)), entries are sent by journald's
native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram of fields, or a sealed memfd when that is too long.
`journalctl KMODMON_MODULE=ext4` or `journalctl -t kmodmon -o verbose` shows them. If stderr is a terminal, entries are
plain lines; otherwise lines with a syslog level in front (`<4>…`, sd-daemon(3)).

Nothing here blocks: what the journal, a pipe or a terminal does not take at once is dropped, and counted in `lost`.
"""

import errno
import fcntl
import logging
import os
import select
import socket
import struct
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from kmodmon.events.codec import ShapeError, canonical_json
from kmodmon.events.event import Actor, Event, StoredEvent
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.events.sentence import actor_words, sentence_of
from kmodmon.types.text import printable
from kmodmon.types.units import JsonObject

IDENTIFIER = "kmodmon"
SOCKET = "/run/systemd/journal/socket"
NOTICE = 25  # between logging's INFO and WARNING
LINE_BYTES = 4096  # PIPE_BUF: a pipe that poll(2) reports as writable takes this much without blocking
_COLOURS = {0: "31;1", 1: "31;1", 2: "31;1", 3: "31", 4: "33", 5: "1"}  # SGR by syslog level
_WORDS = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

Fields: TypeAlias = Iterable[tuple[str, str]]


class LogSink(Protocol):
    """Takes log entries from any thread; `write` never blocks and never raises."""

    lost: int  # entries that were dropped

    def write(self, priority: int, message: str, fields: Fields) -> None:
        """Write one entry; `priority` is a syslog level."""
        ...


class _DropCounter:
    # The number of dropped entries, counted by any thread.

    def __init__(self) -> None:
        self.lost = 0
        self._lock = threading.Lock()

    def _count_drop(self) -> None:
        with self._lock:
            self.lost += 1


class NativeSink(_DropCounter):
    """Sends entries to the socket of journald."""

    def __init__(self, address: str = SOCKET) -> None:
        super().__init__()
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def write(self, priority: int, message: str, fields: Fields) -> None:
        """Send one entry with all its fields."""
        head = (("MESSAGE", message), ("PRIORITY", str(priority)), ("SYSLOG_IDENTIFIER", IDENTIFIER))
        data = encode((*head, *fields))
        try:
            self._send(data)
        except OSError:
            self._count_drop()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._address)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_file(data)

    def _send_file(self, data: bytes) -> None:
        descriptor = os.memfd_create("kmodmon-journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)  # journald maps only a sealed memfd
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))]
            self._socket.sendmsg([], rights, 0, self._address)
        finally:
            os.close(descriptor)


class StreamSink(_DropCounter):
    """Writes entries as lines to a terminal, a pipe or a file."""

    def __init__(self, descriptor: int, *, terminal: bool, colour: bool) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._terminal = terminal
        self._colour = colour
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, priority: int, message: str, fields: Fields) -> None:
        """Write each line of the message, without the fields."""
        try:
            if not all([self._line(priority, line) for line in message.splitlines() or [""]]):
                self._count_drop()
        except OSError:
            self._count_drop()

    def _line(self, priority: int, text: str) -> bool:
        ready = self._poll.poll(0)
        if not ready or not ready[0][1] & select.POLLOUT:
            return False
        line = (self._framed(priority, printable(text))).encode("utf-8", "backslashreplace")
        if len(line) >= LINE_BYTES:
            line = line[: LINE_BYTES - 4].decode("utf-8", "ignore").encode() + "…".encode()
        os.write(self._descriptor, line + b"\n")
        return True

    def _framed(self, priority: int, text: str) -> str:
        if not self._terminal:
            return f"<{priority}>{text}"
        word = _WORDS[priority]
        if self._colour and priority in _COLOURS:
            word = f"\x1b[{_COLOURS[priority]}m{word}\x1b[0m"
        return f"{time.strftime('%H:%M:%S')} {word}: {text}"


def encode(fields: Fields) -> bytes:
    """Encode fields for the native protocol; a value that contains a newline is preceded by its length."""
    out = bytearray()
    for name, value in fields:
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            out += name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
        else:
            out += name.encode() + b"=" + data + b"\n"
    return bytes(out)


def open_sink(environ: Mapping[str, str] = os.environ, descriptor: int = 2, address: str = SOCKET) -> LogSink:
    """Open the sink that fits what stderr (`descriptor`) is: the journal, a terminal, or another stream."""
    if _is_journal(environ.get("JOURNAL_STREAM", ""), descriptor):
        return NativeSink(address)
    terminal = os.isatty(descriptor)
    colour = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return StreamSink(descriptor, terminal=terminal, colour=colour)


def _is_journal(stream: str, descriptor: int) -> bool:
    device, _, inode = stream.partition(":")
    if not (device.isdecimal() and inode.isdecimal()):
        return False
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (int(device), int(inode))


class JournalHandler(logging.Handler):
    """Writes the records of Python's logging to a sink."""

    def __init__(self, sink: LogSink) -> None:
        super().__init__()
        self.sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, and after its message the traceback if there is one."""
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            message += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        fields = (
            ("LOGGER", record.name),
            ("CODE_FILE", record.pathname),
            ("CODE_LINE", str(record.lineno)),
            ("CODE_FUNC", record.funcName or ""),
        )
        self.sink.write(syslog_level(record.levelno), message, fields)


def syslog_level(level: int) -> int:
    """Translate a level of Python's logging to a syslog level."""
    for least, priority in ((50, 2), (40, 3), (30, 4), (NOTICE, 5), (20, 6)):
        if level >= least:
            return priority
    return 7


def set_up_logging(sink: LogSink | None = None) -> None:
    """Send the log of this process to `sink` (None: stderr or the journal): kmodmon's from INFO on, others' WARNING."""
    logging.addLevelName(NOTICE, "NOTICE")
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(JournalHandler(sink or open_sink()))
    root.setLevel(logging.WARNING)
    logging.getLogger("kmodmon").setLevel(logging.INFO)


def log_sink() -> LogSink | None:
    """The sink of :func:`set_up_logging`, whose `lost` counts as well; None: it was not called."""
    handlers = logging.getLogger().handlers
    return next((handler.sink for handler in handlers if isinstance(handler, JournalHandler)), None)


class Journal:
    """Writes events as journal entries, or as lines where stderr is not the journal."""

    def __init__(self, sink: LogSink | None = None) -> None:
        self.sink = sink or open_sink()

    @property
    def lost(self) -> int:
        """How many entries were dropped."""
        return self.sink.lost

    def log_event(self, event: StoredEvent | Event) -> None:
        """Write one event; an Event, which the history could not store, has neither id nor hash."""
        plain = event.event if isinstance(event, StoredEvent) else event
        self.sink.write(plain.severity.priority, sentence_of(plain), event_fields(event))


def event_fields(event: StoredEvent | Event) -> Fields:
    """The journal fields of an event; KMODMON_EVIDENCE may occur several times."""
    plain = event.event if isinstance(event, StoredEvent) else event
    yield "MESSAGE_ID", EVENT_KINDS[plain.type].message_id
    yield "KMODMON_EVENT", plain.type
    yield "KMODMON_SEVERITY", plain.severity.value
    yield "KMODMON_REALTIME_USEC", str(plain.at.realtime_usec)
    if isinstance(event, StoredEvent):
        yield "KMODMON_EVENT_ID", str(event.id)
        yield "KMODMON_EVENT_HASH", event.hash
        yield "KMODMON_BOOT_ID", event.boot_id
    if plain.module is not None:
        yield "KMODMON_MODULE", plain.module
    if plain.actor is not None:
        yield from _actor_fields(plain.actor)
    for line in plain.evidence:
        yield "KMODMON_EVIDENCE", line
    if plain.fields:
        yield "KMODMON_FIELDS", _json_text(plain.fields)


def _json_text(fields: JsonObject) -> str:
    try:
        return canonical_json(fields).decode()
    except ShapeError:  # the history refuses such an event; the journal shows it all the same
        return str(dict(fields))


def _actor_fields(actor: Actor) -> Fields:
    process = actor.process
    texts = {
        "PID": str(process.pid),
        "COMM": process.comm,
        "EXE": process.exe,
        "CMDLINE": None if process.cmdline is None else " ".join(process.cmdline),
        "UID": None if actor.uid is None else str(actor.uid),
        "LOGIN_UID": None if actor.login_uid is None else str(actor.login_uid),
        "UNIT": actor.unit,
        "CGROUP": actor.cgroup,
        "CONTAINER": actor.container,
        "REQUESTER": None if actor.requester is None else actor_words(actor.requester),
    }
    for name, value in texts.items():
        if value is not None:
            yield f"KMODMON_ACTOR_{name}", value
