"""Writes what the kernel writes: the inverse of the parsers, for round trips and for logs that tests make up."""

import re

from kmodmon.kernel.kmsg import KmsgRecord
from kmodmon.kernel.modules import ModuleLine, ModuleState
from kmodmon.kernel.taint import FLAGS, Flag
from kmodmon.types.text import raw_bytes

_ESCAPED = re.compile(rb"[\x00-\x1f\x7f-\xff\\]")
_STATES = {
    ModuleState.LIVE: (b"Live", ""),
    ModuleState.COMING: (b"Loading", "+"),
    ModuleState.GOING: (b"Unloading", "-"),
}


def render_record(record: KmsgRecord) -> bytes:
    """Write a record of /dev/kmsg; what was cut stays cut."""
    caller = b"" if record.caller is None else b",caller=" + raw_bytes(record.caller)
    head = b"%d,%d,%d,%b%b;" % (
        record.facility << 3 | record.level,
        record.seq,
        record.printk_usec,
        b"c" if record.continuation else b"-",
        caller,
    )
    lines = b"".join(
        b" %b=%b\n" % (_escape(raw_bytes(key)), _escape(raw_bytes(value))) for key, value in record.fields.items()
    )
    return head + _escape(record.text) + (b"\\" if record.cut else b"") + b"\n" + lines


def _escape(text: bytes) -> bytes:
    return _ESCAPED.sub(lambda byte: b"\\x%02x" % byte[0][0], text)


def render_line(line: ModuleLine) -> bytes:
    """Write a line of /proc/modules with its newline."""
    deps = b"".join(raw_bytes(holder) + b"," for holder in line.holders) + (b"[permanent]," if line.permanent else b"")
    unload = b"- -" if line.refcnt is None else b"%d %s" % (line.refcnt, deps or b"-")
    word, suffix = _STATES[line.state]
    taint = f" ({line.taint}{suffix})".encode() if line.taint else b""
    return b"%s %d %s %s 0x%016x%s\n" % (raw_bytes(line.name), line.size, unload, word, line.address or 0, taint)


def render_tainted_text(value: int, flags: tuple[Flag, ...] = FLAGS) -> str:
    """Write the lettered form of a report, clear characters included; `Not tainted` for zero."""
    if not value:
        return "Not tainted"
    columns = (flag.letter if value >> flag.bit & 1 else flag.clear for flag in flags)
    return "Tainted: " + "".join(columns)
