"""tracefs: the files that say how pages and events are laid out, events/header_page and events/SYSTEM/EVENT/format.

Interface: kernel/trace/ring_buffer.c `ring_buffer_print_page_header`, kernel/trace/trace_events.c `f_show`
(Documentation/trace/events.rst); root, as all of tracefs. They are part of the kernel's ABI: numbers of events, offsets
and sizes differ between kernels, and no user has an influence on them.

A line is ``field:TYPE NAME;\toffset:N;\tsize:N;\tsigned:B;``. A string of variable length is a field of 4 bytes,
``__data_loc char[] NAME``: offset from the start of the record in the low 16 bits, length with its NUL in the others.
``__rel_loc`` counts the offset from the end of that field; it exists since Linux kernel commit 55de2c0b5610 ("tracing:
Add '__rel_loc' using trace event macros") (in v5.17).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kmodmon.types.error import ParseError

ByteOrder: TypeAlias = Literal["little", "big"]

_HEADER_PAGE = "events/header_page"
_PAGE_MAX = 1 << 24  # bytes; the kernel's largest is 1 MiB (buffer_subbuf_size_kb)
_HEAD = re.compile(rb"name: (\w{1,64})\nID: (\d{1,5})\nformat:\n")
_FIELD = re.compile(
    rb"^\tfield: ?([^;\n]{0,200}?[ *])(\w{1,64})(?:\[\w*\])?;"
    rb"\toffset:(\d{1,8});\tsize:(\d{1,8});(?:\tsigned:([01]);)?$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: where it is in a page or in a record, in bytes."""

    type: str  # as the kernel spells it: `unsigned int`, `__data_loc char[]`
    offset: int
    size: int
    signed: bool  # of an integer

    @property
    def end(self) -> int:
        """Where the next field may begin."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLayout:
    """How a page of the ring buffer is laid out."""

    byteorder: ByteOrder
    timestamp: Field  # nanoseconds of the clock that trace_clock names, of the first record without its own delta
    commit: Field  # of the machine's word size
    data: Field  # the records

    @property
    def page_size(self) -> int:
        """Bytes of a page, as a read() of trace_pipe_raw gives it."""
        return self.data.end


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFormat:
    """How the records of one event are laid out."""

    name: str
    id: int  # common_type of its records
    fields: Mapping[str, Field]

    @property
    def size(self) -> int:
        """Bytes that each of its records has at least."""
        return max(field.end for field in self.fields.values())


def parse_header_page(raw: bytes, byteorder: ByteOrder) -> PageLayout:
    """Read events/header_page of a kernel of this byte order; raises ParseError."""
    fields = _fields(raw)
    try:
        timestamp, commit, data = fields["timestamp"], fields["commit"], fields["data"]
    except KeyError as missing:
        raise ParseError(_HEADER_PAGE, raw, f"no field {missing}") from None
    if timestamp.size != 8 or commit.size not in (4, 8):
        raise ParseError(_HEADER_PAGE, raw, "sizes that no kernel has")
    if max(timestamp.end, commit.end) > data.offset or not 0 < data.size <= _PAGE_MAX - data.offset:
        raise ParseError(_HEADER_PAGE, raw, "fields that overlap, or a page that is too large")
    return PageLayout(byteorder=byteorder, timestamp=timestamp, commit=commit, data=data)


def parse_event_format(raw: bytes) -> EventFormat:
    """Read events/SYSTEM/EVENT/format; raises ParseError."""
    head = _HEAD.match(raw)
    if head is None:
        raise ParseError("events/<system>/<event>/format", raw, "no name and ID")
    fields = _fields(raw)
    if not fields:
        raise ParseError("events/<system>/<event>/format", raw, "no fields")
    return EventFormat(name=head[1].decode(), id=int(head[2]), fields=fields)


def _fields(raw: bytes) -> dict[str, Field]:
    return {
        name.decode(): Field(
            type=kind.strip().decode(errors="replace"), offset=int(offset), size=int(size), signed=signed == b"1"
        )
        for kind, name, offset, size, signed in _FIELD.findall(raw)
    }
