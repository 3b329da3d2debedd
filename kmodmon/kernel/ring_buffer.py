"""tracefs per_cpu/cpuN/trace_pipe_raw: the records in a page of one CPU's ring buffer.

Interface: include/linux/ring_buffer.h `enum ring_buffer_type`, kernel/trace/ring_buffer.c `ring_buffer_read_page`
(Documentation/trace/ring-buffer-design.rst; events/header_event says the same in words). Permissions and absence are
those of `trace`.

Facts the code below is written from:

- A page is a time, `commit` and data. The low bits of `commit` are the bytes of data in use. Bit 31: events before this
  page were overwritten; bit 30: a word behind the data in use says how many, unless there was no room for it. The bit
  may have been added as a negative number, which sets all bits above it too (recorded on 6.1 and 7.2).
- A record begins with 32 bits, in C a bit field: 5 of type_len and 27 of time since the record before. type_len 1 to 28
  is the length of the data in words; 0: the next word is, in bytes and with itself.
- 29 is padding: nothing more in the page if its time is 0, else the next word is the length of a record that a filter
  discarded. The writer sets a time of 0 to 1, which is not counted.
- 30 extends the time of the next record: the next word holds bits 27 and up. 31 is the time itself, without its highest
  5 bits, which do not change within a page but for a carry.
"""

import struct
from dataclasses import dataclass
from typing import TypeAlias

from kmodmon.kernel.trace_format import PageLayout
from kmodmon.types.error import ParseError

INTERFACE = "trace_pipe_raw"
_MISSED, _MISSED_STORED = 1 << 31, 1 << 30
_PADDING, _TIME_EXTEND, _TIME_STAMP = 29, 30, 31
_TIME_BITS = 27
_STAMP_BITS = 59
_WORD = 4
_UINT32 = {"little": struct.Struct("<I"), "big": struct.Struct(">I")}

Record: TypeAlias = tuple[int, int, int]
"""Time in nanoseconds of the trace's clock, start and end of the data in the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The records of one page, in the order of time."""

    records: tuple[Record, ...]
    used: int  # bytes of records
    last_nsec: int  # time of the newest record; of a page without records, the page's
    lost: int = 0  # events that the kernel overwrote before this page
    lost_uncounted: bool = False  # it overwrote some, and does not say how many


def parse_page(raw: bytes, layout: PageLayout) -> Page:
    """Read a page; raises ParseError unless each length in it holds."""
    if len(raw) != layout.page_size:
        raise ParseError(INTERFACE, raw, f"{len(raw)} bytes, and a page has {layout.page_size}")
    commit = _number(raw, layout.commit.offset, layout.commit.size, layout) & 0xFFFF_FFFF
    used = commit & ~(_MISSED | _MISSED_STORED)
    end = layout.data.offset + used
    if used > layout.data.size:
        raise ParseError(INTERFACE, raw, f"{used} bytes of data in a page")
    lost = 0
    if commit & _MISSED and commit & _MISSED_STORED:
        if end + layout.commit.size > len(raw):
            raise ParseError(INTERFACE, raw, "no room for the number of lost events")
        lost = _number(raw, end, layout.commit.size, layout)
    time = _number(raw, layout.timestamp.offset, layout.timestamp.size, layout)
    records = _records(raw, layout.data.offset, end, time, layout)
    return Page(
        records=records,
        used=used,
        last_nsec=records[-1][0] if records else time,
        lost=lost,
        lost_uncounted=bool(commit & _MISSED and not commit & _MISSED_STORED),
    )


def _number(raw: bytes, offset: int, size: int, layout: PageLayout) -> int:
    return int.from_bytes(raw[offset : offset + size], layout.byteorder)


def _records(raw: bytes, at: int, end: int, time: int, layout: PageLayout) -> tuple[Record, ...]:
    records: list[Record] = []
    unpack = _UINT32[layout.byteorder].unpack_from
    little = layout.byteorder == "little"
    while at < end:
        if end - at < _WORD:
            raise ParseError(INTERFACE, raw[at:end], "a record without its head")
        (head,) = unpack(raw, at)
        kind, delta = (head & 31, head >> 5) if little else (head >> _TIME_BITS, head & ((1 << _TIME_BITS) - 1))
        data = at + _WORD
        if 0 < kind < _PADDING:
            at = data + kind * _WORD
            time += delta
            records.append((time, data, at))
        elif kind == _PADDING and not delta:
            break
        else:
            if end - data < _WORD:
                raise ParseError(INTERFACE, raw[at:end], "a record without its second word")
            (second,) = unpack(raw, data)
            start, at = at, data + (_WORD if kind > _PADDING else _length(second, raw[at:end]))
            time = _time_after(time, kind, delta, second)
            if kind == 0:
                records.append((time, start + 2 * _WORD, at))
        if at > end:
            raise ParseError(INTERFACE, raw, "a record that is longer than its page")
    if time >= 1 << 63:
        raise ParseError(INTERFACE, raw, "a time that no clock shows")
    return tuple(records)


def _length(second: int, record: bytes) -> int:
    if second < _WORD or second % _WORD:
        raise ParseError(INTERFACE, record, f"a record of {second} bytes")
    return second


def _time_after(time: int, kind: int, delta: int, second: int) -> int:
    if kind == _TIME_EXTEND:
        return time + (second << _TIME_BITS | delta)
    if kind == _TIME_STAMP:
        stamp = time >> _STAMP_BITS << _STAMP_BITS | second << _TIME_BITS | delta
        return stamp if stamp >= time else stamp + (1 << _STAMP_BITS)
    if kind == _PADDING:
        return time if delta == 1 else time + delta
    return time + delta
