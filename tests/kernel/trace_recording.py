"""Recordings of tests/vm/traced.py: pages of a trace, and what the kernel's own text says of the same events.

Under `traces/KERNEL/`, of stock Debian kernels: `1` loads and requests with names of every kind, lines that look like
events among them; `2` unloads and loads, whose pages begin where those of `1` end; `3` a storm in a buffer that is too
small for it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from kmodmon.kernel.trace import TraceChunk, TraceEvent, TraceLayout, make_layout, parse_trace_page
from kmodmon.kernel.trace_format import parse_event_format, parse_header_page
from kmodmon.types.text import raw_bytes

TRACES = Path(__file__).parent / "traces"
KERNELS = tuple(sorted(path.name for path in TRACES.iterdir()))
EVENTS = ("module_load", "module_free", "module_request", "initcall_finish", "sched_process_exec")
_COUNTS = re.compile(rb"# entries-in-buffer/entries-written: (\d+)/(\d+) ")


class Recording:
    """One directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read(self, name: str) -> bytes:
        """One file."""
        return (self.directory / name).read_bytes()

    @property
    def layout(self) -> TraceLayout:
        """How its pages are laid out."""
        page = parse_header_page(self.read("header_page"), "little")
        return make_layout(page, [parse_event_format(self.read(event)) for event in EVENTS])

    def pages(self, part: int, cpu: str = "?") -> Iterator[bytes]:
        """The pages of one part, of one CPU or of all."""
        size = self.layout.page.page_size
        for path in sorted(self.directory.glob(f"{part}.cpu{cpu}")):
            raw = path.read_bytes()
            yield from (raw[at : at + size] for at in range(0, len(raw), size))

    def chunks(self, part: int, cpu: str = "?") -> list[TraceChunk]:
        """What is in the pages."""
        layout = self.layout
        return [parse_trace_page(page, layout) for page in self.pages(part, cpu)]

    def overrun(self, part: int, cpu: str) -> int:
        """Events of one CPU that were overwritten, as the kernel counts them in `stats`."""
        found = re.search(rb"^overrun: (\d+)$", self.read(f"{part}.cpu{cpu}.stats"), re.MULTILINE)
        assert found is not None
        return int(found[1])


def in_order(chunks: list[TraceChunk]) -> list[TraceEvent]:
    """The events of all CPUs, in the order of time."""
    return sorted((event for chunk in chunks for event in chunk.events), key=lambda event: event.trace_nsec)


def assert_as_told(chunks: list[TraceChunk], text: bytes) -> None:
    """Check that events are, each and in this order, those of the kernel's text, and that none is left in it."""
    events = in_order(chunks)
    counts = _COUNTS.search(text)
    assert counts is not None
    lost = int(counts[2]) - int(counts[1])
    assert len(events) == int(counts[1])
    assert all(chunk.unreadable == 0 for chunk in chunks)
    assert sum(chunk.lost for chunk in chunks) == lost or any(chunk.lost_uncounted for chunk in chunks)
    at = text.index(b"FUNCTION\n")
    for event in events:
        line = re.compile(_line(event), re.DOTALL).search(text, at)
        assert line is not None, event
        at = line.end()


def _line(event: TraceEvent) -> bytes:
    seconds, usec = divmod((event.trace_nsec + 500) // 1000, 1_000_000)  # as ns2usecs() rounds
    head = rb"-%-7d \[\d{3}\] \S{4,5} +%d\.%06d: %b: " % (event.tid, seconds, usec, event.event.encode())
    name = re.escape(raw_bytes(event.module or ""))
    match event.event:
        case "module_load":
            return head + name + b" " + re.escape(_flags(event.taints or 0)) + b"\n"
        case "module_request":
            return head + name + rb" wait=[01] call_site=\w"
        case "initcall_finish":
            return head + rb"func=.{1,200}? ret=%d\n" % (event.ret or 0)
        case "sched_process_exec":
            return head + rb"filename=[/\w]+/%b pid=%d old_pid=\d+\n" % ((event.comm or "").encode(), event.tid)
        case _:
            return head + name + b"\n"


def _flags(taints: int) -> bytes:
    # include/trace/events/module.h show_module_flags(): five have letters, the rest is printed as a number.
    known = ((0, b"P"), (12, b"O"), (1, b"F"), (10, b"C"), (13, b"E"))
    letters = b"".join(letter for bit, letter in known if taints >> bit & 1)
    rest = taints & ~sum(1 << bit for bit, _ in known)
    return letters + (b"0x%x" % rest if rest else b"")
