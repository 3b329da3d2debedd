"""tracefs per_cpu/cpuN/trace_pipe_raw of an instance: pages of every CPU, and their events in the order of time.

Interface: kernel/trace/trace.c `tracing_buffers_read` and `tracing_buffers_poll` (Documentation/trace/ftrace.rst).
Permissions and absence are those of `tracefs`.

Facts the code below is written from:

- A read() gives one page, as far as it is written, if the buffer that it is given has room for a page. With less room
  the rest of a page would come later, without its head; so a page of any other size than expected is not taken.
- The rest of a page that was read before comes alone, however much there is behind it: a page that is not full says
  nothing about what follows, only EAGAIN does.
- per_cpu has a directory for each CPU that the machine could have. A CPU that was never online has no buffer, and
  read() fails with ENODEV; it gets one when it comes online, and keeps it when it goes offline.
- There is no EBUSY for a second reader. trace_pipe of the instance has it, and is held open for that alone.
"""

import errno
import math
import os
import select
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kmodmon.kernel.trace import TraceChunk, TraceEvent, parse_trace_page
from kmodmon.sources.trace_queue import TracedEvent
from kmodmon.sources.tracefs import Instance
from kmodmon.system.clock import Clock
from kmodmon.system.progress import note_progress

_READS = 64  # pages in one turn of reading, of all CPUs
_READS_ALL = 1 << 16  # pages of a CPU's whole buffer, at start, at a check and at the end
_ROOM_MIN = 1 << 16  # bytes
_HELD_MAX = 4096  # events that wait for others that may be older


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceTurn:
    """What one turn of reading gave."""

    events: tuple[TraceEvent, ...] = ()  # in the order of CPUs
    lost: int = 0
    unreadable: int = 0  # pages
    pages: int = 0  # that were read, also those without an event
    complete_until: float = math.inf  # nanoseconds: no event before it is unread; inf: nothing is


class TraceBuffer:
    """The open files of one instance; for one thread at a time, except `interrupt`."""

    def __init__(self, instance: Instance, clock: Clock) -> None:
        """Open the buffers of all CPUs; raises OSError, EBUSY when another process reads the instance."""
        self._instance = instance
        self._clock = clock
        self._layout = instance.layout()
        # Twice a page: were the kernel's pages larger now, what it gives would not have the size of a page.
        self._room = bytearray(max(_ROOM_MIN, 2 * self._layout.page.page_size))
        self._cpus: dict[int, bytes] = {}  # by descriptor
        self.interrupted = False  # as `wait` and `pause` have seen it
        self._pipe = instance.open_pipe()
        self._epoll = select.epoll()
        self._interrupt = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._interrupt, select.EPOLLIN)
        try:
            self.open_new_cpus()
        except BaseException:
            self.close()  # an open pipe would make the next attempt fail with EBUSY
            raise

    def open_new_cpus(self) -> None:
        """Open the buffers that are not open yet, and let each event end `wait` from now on; raises OSError."""
        self._instance.wake_for_every_event()
        for fd in self._cpus:
            self._epoll.modify(fd, select.EPOLLIN)  # asks the file again, in case that somebody had set it otherwise
        for cpu in sorted(set(self._instance.cpus()) - set(self._cpus.values())):
            fd = self._instance.open_cpu(cpu)
            self._cpus[fd] = cpu
            self._epoll.register(fd, select.EPOLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait so long for something to read; False: nothing came, or `interrupt` was called."""
        note_progress(b"", lasts=max(0.0, seconds))
        ready = [fd for fd, _ in self._epoll.poll(max(0.0, seconds))]
        self.interrupted |= self._interrupt in ready
        return bool(ready) and not self.interrupted

    def pause(self, seconds: float) -> None:
        """Wait so long, or until `interrupt` is called."""
        note_progress(b"", lasts=seconds)
        poll = select.poll()
        poll.register(self._interrupt, select.POLLIN)
        self.interrupted |= bool(poll.poll(seconds * 1000))

    def interrupt(self) -> None:
        """End `wait` and `pause` from another thread, for good."""
        os.eventfd_write(self._interrupt, 1)

    def read(self, *, everything: bool = False) -> TraceTurn:
        """Read what is there, or until nothing is left in any buffer; raises OSError."""
        now = self._clock.now().monotonic_usec * 1000
        if everything:
            ready: Sequence[int] = tuple(self._cpus)
        else:
            # Asked for again, because since `wait` returned others may have become ready.
            ready = [fd for fd, _ in self._epoll.poll(0) if fd in self._cpus]
        limit = _READS_ALL if everything else max(1, _READS // max(1, len(ready)))
        chunks: list[TraceChunk] = []
        until: float = now
        for fd in ready:
            pages, drained = self._read_cpu(fd, limit, everything=everything)
            chunks += pages
            if not drained:
                until = min(until, pages[-1].last_nsec)
        return TraceTurn(
            events=tuple(event for chunk in chunks for event in chunk.events),
            lost=sum(chunk.lost + chunk.lost_uncounted for chunk in chunks),
            unreadable=sum(chunk.unreadable for chunk in chunks),
            pages=len(chunks),
            complete_until=until if chunks else math.inf,
        )

    def close(self) -> None:
        """Close all files; a second call does nothing."""
        for fd in (*self._cpus, self._pipe, self._interrupt):
            if fd >= 0:
                os.close(fd)
        self._cpus.clear()
        self._pipe = self._interrupt = -1
        self._epoll.close()

    def _read_cpu(self, fd: int, limit: int, *, everything: bool) -> tuple[list[TraceChunk], bool]:
        # Pages, and whether nothing was left. Unless all is asked for, a page that is not full is the last: to be told
        # EAGAIN would cost time in which the task may exit.
        chunks: list[TraceChunk] = []
        path = self._instance.pages_of(self._cpus[fd])
        for _ in range(limit):
            note_progress(path)
            try:
                size = os.readv(fd, (self._room,))
            except BlockingIOError:
                return chunks, True
            except OSError as error:
                if error.errno != errno.ENODEV:
                    raise
                self._forget(fd)
                return chunks, True
            if not size:
                return chunks, True
            chunks.append(parse_trace_page(bytes(memoryview(self._room)[:size]), self._layout))
            if not everything and not chunks[-1].is_full:
                break
        return chunks, False

    def _forget(self, fd: int) -> None:
        # Its CPU was never online. `open_new_cpus` tries again.
        del self._cpus[fd]
        os.close(fd)  # which removes it from the epoll instance


class TimeOrder:
    """Gives events of all CPUs in the order of time.

    A CPU that was read a moment before another may have had an older event since. So an event that is newer than what
    is known to be read of every CPU is held until the next turn, which follows at once.
    """

    def __init__(self) -> None:
        self._held: list[TracedEvent] = []

    @property
    def holds(self) -> bool:
        """Whether an event is held."""
        return bool(self._held)

    def release(self, events: Iterable[TracedEvent], until: float) -> tuple[TracedEvent, ...]:
        """Add events of one turn, and give those of this and earlier turns that are not newer than `until`.

        Where the time is another clock's than ours, all would be newer: a turn without an event, for which `until` is
        infinite, or too many of them, releases them all.
        """
        ordered = sorted((*self._held, *events), key=lambda traced: traced.event.trace_nsec)
        if len(ordered) > _HELD_MAX:
            until = math.inf
        released = tuple(traced for traced in ordered if traced.event.trace_nsec <= until)
        self._held = ordered[len(released) :]
        return released
