r"""tracefs: lines of trace_pipe for events/module, ring buffer statistics and clocks.

Interface: include/trace/events/module.h, kernel/trace/trace_output.c `trace_print_context`. The mount is 0700 root;
absent without CONFIG_TRACING, empty when the kernel was booted under lockdown=confidentiality.

A line is ``%16s-%-7d [(tgid)] [%03d] FLAGS SECONDS.MICROSECONDS: event: text``; FLAGS has 4 characters up to 5.10 and 5
from 6.1, the pid is padded to 5 in old kernels and to 7 in newer ones.

Facts the code below is written from:

- comm (`<...>` when the kernel forgot it) has up to 15 bytes of any kind, newline included, padded to 16 on the left.
  Names of modules and, chosen by users without privilege, of requests have up to 55, newline included. So a chunk is
  cut at *heads*, not at newlines, and a head is believed only with all its paddings: one takes at least 61 bytes with
  `module_free: `, more than a name can hold. What stays ambiguous is a name that ends like a loss marker.
- module_load prints flags in the order P O F C E and all other taint bits as hex: `OCE0x48000`; untainted is a blank.
- The pid is a thread's, in the initial pid namespace. module_load comes before init(): a failing load has one too,
  followed by module_free. The task is the one that loads.
- initcall_finish (include/trace/events/initcall.h) comes for a module's init too, in the task that loads, with what
  init returned: negative, and the load has failed. A module without init has none.
- `CPU:1 [LOST 12 EVENTS]` lines stand between events where the ring buffer was overwritten before it was read.

Decoding trace_pipe_raw instead would be exact for every name, at the price of a page decoder and of polling each CPU.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from kmodmon.kernel.taint import parse_letters
from kmodmon.types.error import ParseError
from kmodmon.types.text import bounded, safe_text

UNKNOWN_COMM = "<...>"
_TEXT_MAX = 256  # characters
_HEAD = re.compile(
    rb"(?:\A|(?<=\n))([\s\S]{16})-(?=[\d ]{6})(\d{1,10}) +(?:\(([ \d-]{5,10})\) )?\[(\d{3,5})\] (?:\S{4,6})? "
    rb"([ \d]{4}\d{1,12})\.(\d{6}): (\w{1,64}): "
)
_LOST = re.compile(rb"CPU:\d{1,5} \[LOST (?:(\d{1,20}) )?EVENTS\]")
_LOAD = re.compile(rb"(.*) ([A-Za-z?]*)(?:0x([0-9a-f]{1,16}))?", re.DOTALL)
_REQUEST = re.compile(rb"(.*) wait=([01]) call_site=([^\n]*)", re.DOTALL)
_REFERENCE = re.compile(rb"(.*) call_site=([^\n]*) refcnt=(-?\d{1,11})", re.DOTALL)
_RETURN = re.compile(rb".* ret=(-?\d{1,11})", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEvent:
    """One event of tracefs; all texts are safe texts. None: not known, or the event has no such field."""

    event: str  # module_load, module_free, module_request, module_get, module_put, …
    comm: str | None
    tid: int  # thread id in the initial pid namespace
    tgid: int | None  # only with options/record-tgid
    cpu: int
    trace_usec: int  # the trace clock, see trace_clock
    module: str | None  # name; for module_request the alias that was asked for; None: not an event of modules
    taints: int | None = None  # module_load: all taint bits
    unknown_taints: str = ""  # module_load: letters that no flag has
    wait: bool | None = None  # module_request
    call_site: str | None = None  # module_request, module_get, module_put
    refcnt: int | None = None  # module_get, module_put: the base reference included
    ret: int | None = None  # initcall_finish: what init returned


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceChunk:
    """What a chunk of trace_pipe holds. Nothing is dropped silently."""

    events: tuple[TraceEvent, ...] = ()
    lost: int = 0  # events the kernel says it overwrote
    lost_uncounted: int = 0  # loss markers without a number
    skipped: tuple[bytes, ...] = ()  # what was no event


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceClocks:
    """trace_clock: the clock in use and all that can be set."""

    current: str
    available: tuple[str, ...]


def split_stream(data: bytes) -> tuple[bytes, bytes]:
    """Cut what was read so far into whole lines, for `parse_trace`, and the rest to keep for the next read."""
    at = data.rfind(b"\n") + 1
    return data[:at], data[at:]


def parse_trace(chunk: bytes) -> TraceChunk:
    """Read whole lines of trace_pipe; never fails, what is no event is `skipped`."""
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


def parse_trace_clock(raw: bytes) -> TraceClocks:
    """Read trace_clock, the current clock in brackets; raises ParseError."""
    words = raw.split()
    active = [word[1:-1] for word in words if re.fullmatch(rb"\[[\w-]{1,32}\]", word)]
    names = [word.strip(b"[]") for word in words]
    if len(active) != 1 or not all(re.fullmatch(rb"[\w-]{1,32}", name) for name in names):
        raise ParseError("trace_clock", raw, "not a list of words with the active one in brackets")
    return TraceClocks(current=active[0].decode(), available=tuple(name.decode() for name in names))


def _without_losses(text: bytes) -> tuple[bytes, list[int | None]]:
    # Loss markers precede the event that was read next, so they end up behind the text of the one before.
    lost: list[int | None] = []
    end = len(text)
    while (at := text.rfind(b"\n", 0, end)) >= 0 and (found := _LOST.fullmatch(text, at + 1, end)) is not None:
        lost.append(int(found[1]) if found[1] else None)
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
    # None: an event of modules whose text is not as the kernel's format says.
    match event.event:
        case "module_load":
            return _load(event, text)
        case "module_free":
            return replace(event, module=_name(text))
        case "module_request":
            found = _REQUEST.fullmatch(text)
            return found and replace(event, module=_name(found[1]), wait=found[2] == b"1", call_site=_name(found[3]))
        case "module_get" | "module_put":
            found = _REFERENCE.fullmatch(text)
            return found and replace(event, module=_name(found[1]), call_site=_name(found[2]), refcnt=int(found[3]))
        case "initcall_finish":
            found = _RETURN.fullmatch(text)
            return found and replace(event, ret=int(found[1]))
        case _:
            return event


def _load(event: TraceEvent, text: bytes) -> TraceEvent | None:
    found = _LOAD.fullmatch(text)
    if found is None:
        return None
    bits, unknown = _letters(found[2])
    rest = int(found[3], 16) if found[3] else 0
    return replace(event, module=_name(found[1]), taints=bits | rest, unknown_taints=unknown)


@lru_cache(maxsize=64)
def _letters(raw: bytes) -> tuple[int, str]:
    found = parse_letters(raw.decode())
    return found.value, found.unknown


def _name(raw: bytes) -> str:
    return bounded(safe_text(raw), _TEXT_MAX)
