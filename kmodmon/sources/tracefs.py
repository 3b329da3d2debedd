"""A tracefs instance of kmodmon's own: made or adopted, set up for the module loader's events, read, removed.

Interface: kernel/trace/trace.c (Documentation/trace/ftrace.rst, "Instances"). The mount is 0700 root; the packaged unit
hands the instance over to the daemon's user. Absent: kernel without CONFIG_TRACING, tracefs not mounted, or empty
(booted under lockdown=confidentiality; set at run time, opening fails with EPERM but an open trace_pipe goes on).

Facts the code below is written from:

- mkdir in instances/ allocates a buffer of 1408 KiB for each CPU, which is shrunk at once. rmdir fails while a file is
  open in it.
- Reading trace_pipe consumes. A second reader gets EBUSY since Linux kernel commit c2489bb7e6be ("tracing: Introduce
  pipe_cpumask to avoid race on trace_pipes") (in v6.6, and in 5.10 and 6.1 stable); before, a second open succeeds.
- The buffer outlives the daemon: what was traced after a crash is read by the next start. A clean stop removes the
  instance.
- poll() waits for `buffer_percent` of the buffer unless that is 0. The file exists since Linux kernel commit
  03329f993978 ("tracing: Add tracefs file buffer_percentage"); setting it fails silently where it is absent.
- The clock `mono` is CLOCK_MONOTONIC; setting the clock empties the buffer.
- insmod may have exited before its event is read. Its exec is traced too, which comes some milliseconds earlier, and
  names who ran a load that is refused without a trace event. Only kmod's tools in the usual directories are traced: a
  file name that others could choose would let them write lines of their own into trace_pipe.
"""

import logging
import os

from kmodmon.kernel.trace import parse_trace_clock
from kmodmon.system.root import Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Read

log = logging.getLogger(__name__)

_TOOLS = ("insmod", "modprobe", "rmmod", "kmod")
_DIRECTORIES = ("/sbin", "/usr/sbin", "/bin", "/usr/bin")
_EXEC_FILTER = " || ".join(f'filename == "{place}/{tool}"' for place in _DIRECTORIES for tool in _TOOLS)
_NEEDED = (b"module/module_load", b"module/module_free")
_EXEC, _INIT = b"sched/sched_process_exec", b"initcall/initcall_finish"
_EXTRA = (b"module/module_request", _INIT, _EXEC)


class Instance:
    """The tracefs instance of this daemon; `adopted`: it existed before."""

    def __init__(self, root: Root, path: bytes, buffer_bytes: int) -> None:
        self._root = root
        self._path = path
        self._kib = max(1, buffer_bytes // 1024)
        self.adopted = not root.make_directory(path)
        if not self.adopted:
            self._try(b"buffer_size_kb", b"%d" % self._kib)

    def readable_clock(self) -> bool:
        """Whether the clock of an adopted buffer is CLOCK_MONOTONIC, so that the events in it can be dated."""
        return self._clock() == "mono"

    def open_pipe(self) -> int:
        """Open trace_pipe without blocking; raises OSError, EBUSY when another process reads it."""
        return self._root.open(self._path + b"/trace_pipe", os.O_RDONLY | os.O_NONBLOCK)

    def set_up(self) -> None:
        """Enable the events; raises OSError when they are not enabled and cannot be."""
        if not self.readable_clock():
            self._write(b"trace_clock", b"mono")
        self._try(b"buffer_percent", b"0")
        if self.adopted and self._number(b"buffer_size_kb") > 4 * self._kib:
            self._try(b"buffer_size_kb", b"%d" % self._kib)
        for event in _NEEDED:
            self._enable(event)
        self._try(b"events/" + _EXEC + b"/filter", _EXEC_FILTER.encode())
        for event in _EXTRA:
            self._enable_if_possible(event)
        self.switch_on()

    def is_intact(self) -> bool:
        """Whether tracing and the needed events are still enabled; a switch that cannot be read counts as enabled."""
        switches = (b"tracing_on", *(b"events/" + event + b"/enable" for event in _NEEDED))
        return all(self._number(name) != 0 for name in switches)

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
        name = b"events/" + event + b"/enable"
        if self._number(name) != 1:
            self._write(name, b"1")

    def _enable_if_possible(self, event: bytes) -> None:
        if event == _EXEC and not self._text(b"events/" + _EXEC + b"/filter").startswith("filename =="):
            return  # without its filter it would record every program that is started
        try:
            self._enable(event)
        except OSError as error:
            log.debug("trace event %s is not recorded: %s", event.decode(), error)

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
