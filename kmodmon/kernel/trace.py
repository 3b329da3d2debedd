"""tracefs: the module loader's events in the pages of trace_pipe_raw, and the clocks of trace_clock.

Interface: include/trace/events/{module,initcall,sched}.h, laid out as `trace_format` says. The mount is 0700 root.
Absent: kernel without CONFIG_TRACING; the directory is empty when the kernel was booted under
lockdown=confidentiality.

Facts the code below is written from:

- A name of a module, and of a request, which any user can choose, is bytes behind a length in a record of its own.
  In the text of trace_pipe, a newline in it could begin a line that looks like another event.
- Of the task a record has the id of the thread, in the initial pid namespace, and no name. sched_process_exec has the
  file name of the program, of which the kernel has just made the task's name.
- module_load comes before init(): a load that fails in init() has one too, followed by module_free. The task is the
  one that loads. Its taints are the kernel's bits, those without a letter in the event's text as well.
- initcall_finish, which exists since Linux kernel commit 4ee7c60de83a ("init, tracing: Add initcall trace events"),
  comes for a module's init() too, in the task that loads, with the return value: a negative one means that the load
  has failed. A module without init() has none.
- Other ids are of events that somebody else enabled in the instance, or wrote into its trace_marker; they are left out.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kmodmon.kernel.ring_buffer import INTERFACE, Record, parse_page
from kmodmon.kernel.selection import parse_selection
from kmodmon.kernel.trace_format import ByteOrder, EventFormat, Field, PageLayout
from kmodmon.types.error import ParseError
from kmodmon.types.text import bounded, safe_text

_TEXT_MAX = 256  # characters
_COMM_MAX = 15  # bytes
_FORMAT = "events/<system>/<event>/format"
_DATA_LOC, _REL_LOC = "__data_loc", "__rel_loc"
_LOCATION = 4  # bytes of a field that says where a string is
# The fields that are read of each event, beside those that all have.
_READ: Mapping[str, tuple[str, ...]] = {
    "module_load": ("name", "taints"),
    "module_free": ("name",),
    "module_request": ("name",),
    "initcall_finish": ("ret",),
    "sched_process_exec": ("filename",),
}
_STRINGS = frozenset({"name", "filename"})
_CLOCK = re.compile(rb"[\w-]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEvent:
    """One event of tracefs; all texts are safe texts."""

    event: str  # module_load, module_free, module_request, initcall_finish, sched_process_exec
    tid: int  # thread id in the initial pid namespace
    trace_nsec: int  # nanoseconds of the clock that trace_clock names
    module: str | None = None  # name; of module_request the alias requested; None: not an event of modules
    taints: int | None = None  # of module_load: all taint bits; None: another event
    ret: int | None = None  # of initcall_finish: what init() returned; None: another event
    comm: str | None = None  # of sched_process_exec: the task's name from now on; None: another event

    @property
    def trace_usec(self) -> int:
        """Microseconds of the clock that trace_clock names."""
        return self.trace_nsec // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceChunk:
    """The contents of a page. Nothing is dropped silently."""

    events: tuple[TraceEvent, ...] = ()
    lost: int = 0  # events that the kernel reports as overwritten
    lost_uncounted: int = 0  # times that it reports some, and not how many
    unreadable: int = 0  # pages in which a length or a number does not hold
    last_nsec: int = 0  # no event that follows on this CPU is older; 0: unknown, because the page is unreadable
    is_full: bool = False  # more than half of the page is in use, so there may be another one behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLayout:
    """How this kernel lays out pages and the events that are enabled."""

    page: PageLayout
    events: Mapping[int, EventFormat]  # by id
    type: Field  # common_type, the same in every record


def make_layout(page: PageLayout, formats: Iterable[EventFormat]) -> TraceLayout:
    """Put together what is needed to read pages; raises ParseError when an event lacks a field that is read."""
    events = {event.id: event for event in formats}
    types = {event.fields.get("common_type") for event in events.values()}
    common = types.pop() if len(types) == 1 else None
    if common is None:
        raise ParseError(_FORMAT, b"", "no common_type, or not the same one for all events")
    for event in events.values():
        _check(event)
    return TraceLayout(page=page, events=events, type=common)


def _check(event: EventFormat) -> None:
    if event.name not in _READ:
        raise ParseError(_FORMAT, event.name.encode(), "an event that is not read")
    for name in ("common_pid", *_READ[event.name]):
        field = event.fields.get(name)
        if field is None or field.size > 8:
            raise ParseError(_FORMAT, event.name.encode(), f"no field {name} of a known size")
        if name in _STRINGS and (field.size != _LOCATION or not field.type.startswith((_DATA_LOC, _REL_LOC))):
            raise ParseError(_FORMAT, event.name.encode(), f"{name} is no string but {field.type}")


def parse_trace_page(raw: bytes, layout: TraceLayout) -> TraceChunk:
    """Read one page of trace_pipe_raw. Raises nothing: a page that does not hold is `unreadable` as a whole."""
    try:
        page = parse_page(raw, layout.page)
        events = tuple(event for record in page.records if (event := _event(raw, record, layout)) is not None)
    except ParseError:
        return TraceChunk(unreadable=1)
    return TraceChunk(
        events=events,
        lost=page.lost,
        lost_uncounted=int(page.lost_uncounted),
        last_nsec=page.last_nsec,
        is_full=2 * page.used > layout.page.data.size,
    )


def parse_trace_clock(raw: bytes) -> str:
    """Return the clock in use, which trace_clock shows in brackets among all clocks; raises ParseError."""
    return parse_selection(raw, "trace_clock", _CLOCK)[0]


def _event(raw: bytes, record: Record, layout: TraceLayout) -> TraceEvent | None:
    nsec, start, end = record
    order = layout.page.byteorder
    if end - start < layout.type.end:
        raise ParseError(INTERFACE, raw[start:end], "a record without a type")
    form = layout.events.get(_integer(raw, start, layout.type, order))
    if form is None:
        return None
    if end - start < form.size:
        raise ParseError(INTERFACE, raw[start:end], f"too short for {form.name}")
    fields = form.fields
    tid = _integer(raw, start, fields["common_pid"], order)
    if tid < 0:
        raise ParseError(INTERFACE, raw[start:end], f"thread id {tid}")
    name, module, taints, ret, comm = form.name, None, None, None, None
    if name == "initcall_finish":
        ret = _integer(raw, start, fields["ret"], order)
    elif name == "sched_process_exec":
        program = _string(raw, record, fields["filename"], order).rpartition(b"/")[2]
        comm = safe_text(program[:_COMM_MAX])
    else:
        module = bounded(safe_text(_string(raw, record, fields["name"], order)), _TEXT_MAX)
        taints = _integer(raw, start, fields["taints"], order) if name == "module_load" else None
    return TraceEvent(event=name, tid=tid, trace_nsec=nsec, module=module, taints=taints, ret=ret, comm=comm)


def _integer(raw: bytes, start: int, field: Field, order: ByteOrder) -> int:
    at = start + field.offset
    return int.from_bytes(raw[at : at + field.size], order, signed=field.signed)


def _string(raw: bytes, record: Record, field: Field, order: ByteOrder) -> bytes:
    _, start, end = record
    at = start + field.offset
    location = int.from_bytes(raw[at : at + field.size], order)
    length, offset = location >> 16, location & 0xFFFF
    if field.type.startswith(_REL_LOC):
        offset += field.end
    text = raw[start + offset : start + offset + length]
    if offset < field.end or start + offset + length > end or not text.endswith(b"\0"):
        raise ParseError(INTERFACE, raw[start:end], f"a string of {length} bytes at {offset}")
    return text.partition(b"\0")[0]
