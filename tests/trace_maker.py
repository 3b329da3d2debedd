"""Pages of a trace as a kernel would write them, in the layout that Debian 12's kernel was recorded with."""

from kmodmon.kernel.trace import TraceLayout
from tests.kernel.trace_recording import KERNELS, TRACES, Recording

RECORDING = Recording(TRACES / KERNELS[0])
LAYOUT: TraceLayout = RECORDING.layout
FORMATS = {event.name: event for event in LAYOUT.events.values()}
_MISSED, _STORED = 1 << 31, 1 << 30
_DELTA_MAX = (1 << 27) - 1

Made = tuple[int, bytes]
"""Time in nanoseconds, or 0 for that of the record before; and the data of a record."""


def record(event: str, tid: int, *, nsec: int = 0, **values: bytes | int) -> Made:
    """An event at this time."""
    return nsec, event_data(event, tid, **values)


def event_data(event: str, tid: int, **values: bytes | int) -> bytes:
    """The data of one record; a string is bytes, what is not given is zero."""
    form = FORMATS[event]
    data = bytearray(form.size)
    numbers: dict[str, int] = {"common_type": form.id, "common_pid": tid}
    for name, value in values.items():
        if isinstance(value, int):
            numbers[name] = value
        else:
            numbers[name] = len(data) | (len(value) + 1) << 16
            data += value + b"\0"
    for name, number in numbers.items():
        field = form.fields[name]
        signed = number < 0
        data[field.offset : field.end] = number.to_bytes(field.size, "little", signed=signed)
    return bytes(data) + bytes(-len(data) % 4)


def page(*records: Made, missed: bool = False, lost: int | None = None) -> bytes:
    """A page of these records; `missed`: events before it were overwritten, `lost` of them."""
    begin = now = next((nsec for nsec, _ in records if nsec), 0)
    data = b""
    for nsec, contents in records:
        delta = max(0, nsec - now)
        now += delta
        if delta > _DELTA_MAX:
            data += (30 | (delta & _DELTA_MAX) << 5).to_bytes(4, "little") + (delta >> 27).to_bytes(4, "little")
            delta = 0
        words = len(contents) // 4
        if 0 < words <= 28:
            data += (words | delta << 5).to_bytes(4, "little") + contents
        else:
            data += (delta << 5).to_bytes(4, "little") + (len(contents) + 4).to_bytes(4, "little") + contents
    commit = len(data) | (_MISSED if missed else 0)
    if lost is not None:
        commit |= _STORED
        data += lost.to_bytes(8, "little")
    raw = begin.to_bytes(8, "little") + commit.to_bytes(8, "little") + data
    assert len(raw) <= LAYOUT.page.page_size
    return raw.ljust(LAYOUT.page.page_size, b"\0")
