r"""tracefs: lines of trace_pipe for events/module and events/initcall, and the clocks of trace_clock.

Interface: include/trace/events/{module,initcall}.h, kernel/trace/trace_output.c `trace_print_context`
(Documentation/trace/ftrace.rst). The mount is 0700 root. Absent: kernel without CONFIG_TRACING; the directory is empty
when the kernel was booted under lockdown=confidentiality.

A line is ``%16s-%-7d [(tgid)] [%03d] FLAGS SECONDS.MICROSECONDS: event: text``. Two fields of it have two widths:

- The pid is padded to 7 since Linux kernel commit 795d6379a47b ("tracing: Make the space reserved for the pid wider")
  (in v5.9), and to 5 before; the tgid alike.
- FLAGS has 5 characters since Linux kernel commit 54357f0c9149 ("tracing: Add migrate-disabled counter to tracing
  output.") (in v5.15), and 4 before.

Facts the code below is written from:

- comm (`<...>` when the kernel forgot it) has up to 15 bytes of any kind, newline included, padded to 16 on the left.
  Names of modules and, chosen by users without privilege, of requests have up to 55, newline included. So a chunk is
  cut at *heads*, not at newlines, and a head is accepted only with all its paddings: it takes at least 61 bytes with
  `module_free: `, more than a name can hold. A name that ends like a loss marker stays ambiguous.
- module_load prints flags in the order P O F C E and all other taint bits as hex: `OCE0x48000`; untainted is a blank.
- The pid is a thread's, in the initial pid namespace. module_load comes before init(): a load that fails in init() has
  one too, followed by module_free. The task is the one that loads.
- initcall_finish, which exists since Linux kernel commit 4ee7c60de83a ("init, tracing: Add initcall trace events"),
  comes for a module's init() too, in the task that loads, with the return value: a negative one means that the load
  has failed. A module without init() has none.
- `CPU:1 [LOST 12 EVENTS]` lines stand between events where the ring buffer was overwritten before it was read.

Decoding trace_pipe_raw instead would be exact for every name, at the price of a page decoder and of polling each CPU.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from kmodmon.kernel.selection import parse_selection
from kmodmon.kernel.taint import parse_letters
from kmodmon.types.text import bounded, safe_text

UNKNOWN_COMM = "<...>"
_TEXT_MAX = 256  # characters
# The pid is padded to 5 or 7 columns, FLAGS has 4 or 5 characters, see above; a sixth is accepted.
_HEAD = re.compile(
    rb"(?:\A|(?<=\n))([\s\S]{16})-(?=[\d ]{6})(\d{1,10}) +(?:\(([ \d-]{5,10})\) )?\[(\d{3,5})\] (?:\S{4,6})? "
    rb"([ \d]{4}\d{1,12})\.(\d{6}): (\w{1,64}): "
)
_LOST = re.compile(rb"CPU:\d{1,5} \[LOST (?:(\d{1,20}) )?EVENTS\]")
_LOAD = re.compile(rb"(.*) ([A-Za-z?]*)(?:0x([0-9a-f]{1,16}))?", re.DOTALL)
_REQUEST = re.compile(rb"(.*) wait=[01] call_site=[^\n]*", re.DOTALL)
_CLOCK = re.compile(rb"[\w-]{1,32}")
_RETURN = re.compile(rb".* ret=(-?\d{1,11})", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEvent:
    """One event of tracefs; all texts are safe texts."""

    event: str  # module_load, module_free, module_request, initcall_finish, sched_process_exec, …
    comm: str | None  # at most 15 bytes; None: the kernel forgot it (`<...>`)
    tid: int  # thread id in the initial pid namespace
    tgid: int | None  # process id there; None: options/record-tgid is off, or the kernel forgot it
    cpu: int
    trace_usec: int  # microseconds of the clock that trace_clock names
    module: str | None  # name; of module_request the alias requested; None: not an event of modules
    taints: int | None = None  # of module_load: all taint bits; None: another event
    unknown_taints: str = ""  # of module_load: letters that no flag has
    ret: int | None = None  # of initcall_finish: what init() returned; None: another event


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceChunk:
    """The contents of a chunk of trace_pipe. Nothing is dropped silently."""

    events: tuple[TraceEvent, ...] = ()
    lost: int = 0  # events that the kernel reports as overwritten
    lost_uncounted: int = 0  # loss markers without a number
    skipped: tuple[bytes, ...] = ()  # text that is no event, verbatim


def split_stream(data: bytes) -> tuple[bytes, bytes]:
    """Cut the bytes read so far into whole lines, for `parse_trace`, and the rest to keep for the next read."""
    at = data.rfind(b"\n") + 1
    return data[:at], data[at:]


def parse_trace(chunk: bytes) -> TraceChunk:
    """Read whole lines of trace_pipe. Raises nothing: text that is no event is `skipped`."""
    heads = list(_HEAD.finditer(chunk))
    events: list[TraceEvent] = []
    skipped: list[bytes] = []
    ends = [*(head.start() for head in heads), len(chunk)]
    before, lost = _without_losses(b"\n" + chunk[: ends[0]].removesuffix(b"\n"))
    skipped += [before[1:]] if before.strip() else []
    for head, end in zip(heads, ends[1:], strict=True):
        text, more = _without_losses(chunk[head.end() : end].removesuffix(b"\n"))
        lost += more
        event = _event(head, text)
        if event is None:
            skipped.append(head[0] + text)
        else:
            events.append(event)
    return TraceChunk(
        events=tuple(events),
        lost=sum(count for count in lost if count is not None),
        lost_uncounted=sum(count is None for count in lost),
        skipped=tuple(skipped),
    )


def parse_trace_clock(raw: bytes) -> str:
    """Return the clock in use, which trace_clock shows in brackets among all clocks; raises ParseError."""
    return parse_selection(raw, "trace_clock", _CLOCK)[0]


def _without_losses(text: bytes) -> tuple[bytes, list[int | None]]:
    # The kernel prints a loss marker before the next event, so it stands behind the text of the event before.
    lost: list[int | None] = []
    end = len(text)
    while (at := text.rfind(b"\n", 0, end)) >= 0 and (marker := _LOST.fullmatch(text, at + 1, end)) is not None:
        lost.append(int(marker[1]) if marker[1] else None)
        end = at
    return text[:end], lost


def _event(head: re.Match[bytes], text: bytes) -> TraceEvent | None:
    comm, tid, tgid, cpu, seconds, usec, name = head.groups()
    task = safe_text(comm.lstrip(b" "))
    event = TraceEvent(
        event=name.decode(),
        comm=None if task == UNKNOWN_COMM else task,
        tid=int(tid),
        tgid=int(tgid) if tgid and tgid.strip().isdigit() else None,
        cpu=int(cpu),
        trace_usec=int(seconds) * 1_000_000 + int(usec),
        module=None,
    )
    return _with_text(event, text)


def _with_text(event: TraceEvent, text: bytes) -> TraceEvent | None:
    # None: an event of modules whose text does not have the kernel's format.
    match event.event:
        case "module_load":
            return _load(event, text)
        case "module_free":
            return replace(event, module=_name(text))
        case "module_request":
            match = _REQUEST.fullmatch(text)
            return match and replace(event, module=_name(match[1]))
        case "initcall_finish":
            match = _RETURN.fullmatch(text)
            return match and replace(event, ret=int(match[1]))
        case _:
            return event


def _load(event: TraceEvent, text: bytes) -> TraceEvent | None:
    match = _LOAD.fullmatch(text)
    if match is None:
        return None
    bits, unknown = _letters(match[2])
    rest = int(match[3], 16) if match[3] else 0
    return replace(event, module=_name(match[1]), taints=bits | rest, unknown_taints=unknown)


@lru_cache(maxsize=64)
def _letters(raw: bytes) -> tuple[int, str]:
    letters = parse_letters(raw.decode())
    return letters.value, letters.unknown


def _name(raw: bytes) -> str:
    return bounded(safe_text(raw), _TEXT_MAX)
