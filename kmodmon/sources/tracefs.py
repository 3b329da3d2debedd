"""A tracefs instance of kmodmon's own: made or adopted, set up for the module loader's events, read, removed.

Interface: kernel/trace/trace.c (Documentation/trace/ftrace.rst, "Instances"). The mount is 0700 root; the packaged unit
hands the instance over to the daemon's user. Absent: kernel without CONFIG_TRACING, tracefs not mounted, or empty
(booted under lockdown=confidentiality; set at run time, opening fails with EPERM but what is open goes on).

Facts the code below is written from:

- mkdir in instances/ allocates a buffer of 1408 KiB for each CPU, which is shrunk at once. rmdir fails while a file is
  open in it.
- Reading consumes. trace_pipe has one reader since Linux kernel commit c2489bb7e6be ("tracing: Introduce pipe_cpumask
  to avoid race on trace_pipes") (in v6.6, and in 5.10 and 6.1 stable); before, a second open succeeds, so the file is
  locked too. Nothing keeps root from reading trace_pipe_raw beside kmodmon.
- The buffer outlives the daemon: what was traced after a crash is read by the next start. A clean stop removes the
  instance.
- poll() of trace_pipe_raw waits for `buffer_percent` of the buffer unless that is 0. The file exists since Linux kernel
  commit 03329f993978 ("tracing: Add tracefs file buffer_percentage"); setting it fails silently where it is absent.
  Who waits for a part of the buffer waits in another queue, and epoll enters a queue once, when a file is added.
- The clock `mono` is CLOCK_MONOTONIC; setting the clock empties the buffer.
- insmod may have exited before its event is read. Its exec is traced too, which comes some milliseconds earlier, and
  names who ran a load that is refused without a trace event. Only kmod's tools in the usual directories are traced,
  not every program that is started.
"""

import errno
import fcntl
import logging
import os
import sys

from kmodmon.kernel.trace import TraceLayout, make_layout, parse_trace_clock
from kmodmon.kernel.trace_format import EventFormat, parse_event_format, parse_header_page
from kmodmon.system.root import Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Absent, Failed, Read

log = logging.getLogger(__name__)

_TOOLS = ("insmod", "modprobe", "rmmod", "kmod")
_DIRECTORIES = ("/sbin", "/usr/sbin", "/bin", "/usr/bin")
_EXEC_FILTER = " || ".join(f'filename == "{place}/{tool}"' for place in _DIRECTORIES for tool in _TOOLS)
_NEEDED = (b"module/module_load", b"module/module_free")
_EXEC, _INIT = b"sched/sched_process_exec", b"initcall/initcall_finish"
_EXTRA = (b"module/module_request", _INIT, _EXEC)
_FORMAT_MAX = 1 << 16  # bytes of a file that says how something is laid out


class Instance:
    """The tracefs instance of this daemon; `adopted`: it existed before."""

    def __init__(self, root: Root, path: bytes, buffer_bytes: int) -> None:
        self._root = root
        self._path = path
        self._readable: frozenset[str] = frozenset()
        self._kib = max(1, buffer_bytes // 1024)
        self.adopted = not root.make_directory(path)
        if not self.adopted:
            self._try(b"buffer_size_kb", b"%d" % self._kib)

    def readable_clock(self) -> bool:
        """Whether the clock of an adopted buffer is CLOCK_MONOTONIC, so that the events in it can be dated."""
        return self._clock() == "mono"

    def open_pipe(self) -> int:
        """Open trace_pipe for us alone; raises OSError, EBUSY when another process has it open."""
        path = self._path + b"/trace_pipe"
        fd = self._root.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), os.fsdecode(path)) from None
        return fd

    def wake_for_every_event(self) -> None:
        """Let poll() of what `open_cpu` gives end with the first event; to be called before it is polled."""
        self._try(b"buffer_percent", b"0")

    def cpus(self) -> tuple[bytes, ...]:
        """Names of the directories in per_cpu, one for each CPU that the machine could have; raises OSError."""
        path = self._path + b"/per_cpu"
        match self._root.directories(path):
            case Read(names):
                return names
            case outcome:
                raise _error(outcome, path)

    def open_cpu(self, cpu: bytes) -> int:
        """Open the pages of one CPU without blocking; raises OSError."""
        return self._root.open(self.pages_of(cpu), os.O_RDONLY | os.O_NONBLOCK)

    def pages_of(self, cpu: bytes) -> bytes:
        """Path of the pages of one CPU."""
        return self._path + b"/per_cpu/" + cpu + b"/trace_pipe_raw"

    def layout(self) -> TraceLayout:
        """Read how pages and events are laid out; raises OSError when they cannot be read, or not be understood."""
        try:
            page = parse_header_page(self._bytes(b"events/header_page"), sys.byteorder)
            formats = [self._format(event) for event in _NEEDED]
            formats += [form for event in _EXTRA if (form := self._format_if_possible(event)) is not None]
            layout = make_layout(page, formats)
        except ParseError as error:
            raise OSError(errno.EPROTO, str(error)) from error
        self._readable = frozenset(form.name for form in formats)
        return layout

    def set_up(self) -> None:
        """Enable the events of which `layout` knows the format; raises OSError when they are not and cannot be."""
        if not self.readable_clock():
            self._write(b"trace_clock", b"mono")
        if self.adopted and self._number(b"buffer_size_kb") > 4 * self._kib:
            self._try(b"buffer_size_kb", b"%d" % self._kib)
        for event in _NEEDED:
            self._enable(event)
        self._try(_file(_EXEC, b"filter"), _EXEC_FILTER.encode())
        for event in _EXTRA:
            self._enable_if_possible(event)
        self.switch_on()

    def is_intact(self) -> bool:
        """Whether the needed events are enabled, and dated; a file that cannot be read is taken to be as it should."""
        switches = (b"tracing_on", *(_file(event, b"enable") for event in _NEEDED))
        return all(self._number(name) != 0 for name in switches) and self._clock() in ("mono", None)

    def switch_on(self) -> None:
        """Enable tracing_on; raises OSError."""
        if self._number(b"tracing_on") != 1:
            self._write(b"tracing_on", b"1")

    def switch_off(self) -> None:
        """Disable tracing_on; the events in the buffer stay."""
        self._try(b"tracing_on", b"0")

    def remove(self) -> None:
        """Remove the instance; one that root made for the daemon's user stays, because rmdir is not permitted."""
        try:
            self._root.remove_directory(self._path)
        except OSError as error:
            log.debug("%s stays: %s", os.fsdecode(self._path), error)

    def _enable(self, event: bytes) -> None:
        name = _file(event, b"enable")
        if self._number(name) != 1:
            self._write(name, b"1")

    def _enable_if_possible(self, event: bytes) -> None:
        if event.rpartition(b"/")[2].decode() not in self._readable:
            return
        if event == _EXEC and not self._text(_file(_EXEC, b"filter")).startswith("filename =="):
            return  # without its filter it would record every program that is started
        try:
            self._enable(event)
        except OSError as error:
            log.debug("trace event %s is not recorded: %s", event.decode(), error)

    def _format(self, event: bytes) -> EventFormat:
        return parse_event_format(self._bytes(_file(event, b"format")))

    def _format_if_possible(self, event: bytes) -> EventFormat | None:
        try:
            return self._format(event)
        except (OSError, ParseError) as error:
            log.debug("trace event %s is not read: %s", event.decode(), error)
            return None

    def _bytes(self, name: bytes) -> bytes:
        path = self._path + b"/" + name
        match self._root.read(path, limit=_FORMAT_MAX):
            case Read(raw):
                return raw
            case outcome:
                raise _error(outcome, path)

    def _clock(self) -> str | None:
        outcome = self._root.read(self._path + b"/trace_clock")
        try:
            return parse_trace_clock(outcome.value) if isinstance(outcome, Read) else None
        except ParseError:
            return None

    def _text(self, name: bytes) -> str:
        return self._root.text(self._path + b"/" + name) or ""

    def _number(self, name: bytes) -> int:
        word = self._text(name).partition(" ")[0]
        return int(word) if word.isdecimal() else -1

    def _write(self, name: bytes, text: bytes) -> None:
        self._root.write(self._path + b"/" + name, text)

    def _try(self, name: bytes, text: bytes) -> None:
        try:
            self._write(name, text)
        except OSError as error:
            log.debug("%s could not be set to %s: %s", os.fsdecode(self._path + b"/" + name), text.decode(), error)


def _file(event: bytes, name: bytes) -> bytes:
    return b"events/" + event + b"/" + name


def _error(outcome: Absent | Failed, path: bytes) -> OSError:
    number = outcome.errno if isinstance(outcome, Failed) and outcome.errno is not None else errno.ENOENT
    return OSError(number, outcome.why, os.fsdecode(path))
