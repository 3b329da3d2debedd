r"""/dev/kmsg: one record of the kernel's log.

Interface: kernel/printk/printk.c (Documentation/ABI/testing/dev-kmsg). Mode 0644, but with kernel.dmesg_restrict=1 it
takes CAP_SYSLOG in the initial user namespace to open it, and with printk_devkmsg=off nobody may (EPERM). One read()
gives one record; a buffer too small loses it (8192 bytes always do).

    PRIO,SEQ,USEC,FLAG[,caller=T123][,more];TEXT
     KEY=VALUE

Facts the code below is written from:

- PRIO is facility * 8 + level. The kernel writes facility 0 and userspace cannot: PRIO < 8 means the kernel, or a
  module, printed it. The text still holds what users chose: names of tasks, of modules, of devices.
- USEC is printk's clock: not wall time, without suspend, and it may differ between CPUs.
- FLAG `c` marks the rest of a record that could not be merged. `caller=` needs CONFIG_PRINTK_CALLER.
- Bytes below 0x20, from 0x7f up, and the backslash come as `\xNN`, so a record is one line. From 6.8 on the output ends
  after 2048 bytes, in the midst of an escape too (`\xf`, `\x`, `\`).
- Up to 5.9 drivers chose the keys of the dictionary; later only SUBSYSTEM and DEVICE remain.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.types.error import ParseError
from kmodmon.types.text import raw_bytes, safe_text

_INTERFACE = "/dev/kmsg"
KERNEL_PRIORITIES = 8  # a priority below it has facility 0: the kernel's own
BUFFER_SIZE = 8192  # bytes: the longest record of any version
_HEAD = re.compile(rb"([0-9]{1,10}),([0-9]{1,20}),([0-9]{1,20}),([^,;\n])((?:,[^,;\n]*)*)")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_CUT_ESCAPE = re.compile(rb"\\(?:x[0-9a-f]?)?\Z")
_ESCAPED = re.compile(rb"[\x00-\x1f\x7f-\xff\\]")
_CONTINUATION = (b"c", b"+")  # `+` up to 4.9
_NO_FIELDS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsgRecord:
    """One record. `text` is untrusted bytes as they were printed; the other texts are safe texts."""

    facility: int  # 0: the kernel
    level: int  # 0 (emerg) to 7 (debug)
    seq: int  # a gap means that records were lost
    printk_usec: int
    continuation: bool = False
    caller: str | None = None  # T and a thread id, or C and a CPU; None: kernel without CONFIG_PRINTK_CALLER
    text: bytes
    cut: bool = False  # the kernel cut the text in the midst of an escape
    fields: Mapping[str, str] = field(default_factory=lambda: _NO_FIELDS)  # SUBSYSTEM, DEVICE

    @property
    def from_kernel(self) -> bool:
        """Whether the kernel printed it."""
        return self.facility == 0

    @property
    def number(self) -> int:
        """What reports call this record: its sequence number."""
        return self.seq

    @property
    def printable(self) -> str:
        """The text as safe text."""
        return safe_text(self.text)


def parse_prefix(raw: bytes) -> tuple[int, int]:
    """Give (priority, seq) and look no further: for records that will not be read on. Raises ParseError."""
    priority, _, rest = raw.partition(b",")
    seq, comma, _ = rest.partition(b",")
    if not comma or not priority.isdigit() or not seq.isdigit() or len(priority) > 10 or len(seq) > 20:
        raise ParseError(_INTERFACE, raw, "does not begin with PRIO,SEQ,")
    return int(priority), int(seq)


def parse_record(raw: bytes) -> KmsgRecord:
    """Read one record as one read() gave it; raises ParseError."""
    head, semicolon, body = raw.partition(b";")
    found = _HEAD.fullmatch(head)
    if found is None or not semicolon:
        raise ParseError(_INTERFACE, raw, "does not begin with PRIO,SEQ,USEC,FLAG;")
    priority = int(found[1])
    text, *lines = body.removesuffix(b"\n").split(b"\n")
    whole, cut = _without_cut(text)
    return KmsgRecord(
        facility=priority >> 3,
        level=priority & 7,
        seq=int(found[2]),
        printk_usec=int(found[3]),
        continuation=found[4] in _CONTINUATION,
        caller=_caller(found[5]),
        text=_unescape(whole),
        cut=cut,
        fields=_fields(lines, raw),
    )


def split_records(data: bytes) -> tuple[bytes, ...]:
    """Part records that were written one after the other into a file (a recorded machine's), each as read() gave it."""
    records: list[bytes] = []
    for line in data.splitlines(keepends=True):
        if line.startswith(b" ") and records:
            records[-1] += line
        else:
            records.append(line)
    return tuple(records)


def render_record(record: KmsgRecord) -> bytes:
    """Write a record as the kernel does (for recorded trees and tests); what was cut stays cut."""
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


def _caller(more: bytes) -> str | None:
    # Fields after FLAG may grow in number: only the one that is known is looked at.
    return next((safe_text(part[7:]) for part in more.split(b",") if part.startswith(b"caller=")), None)


def _fields(lines: list[bytes], raw: bytes) -> Mapping[str, str]:
    if not lines:
        return _NO_FIELDS
    found: dict[str, str] = {}
    for line in lines:
        if not line.startswith(b" "):
            raise ParseError(_INTERFACE, raw, "a line after the text is no KEY=VALUE")
        key, _, value = line[1:].partition(b"=")
        found[safe_text(_unescape(key))] = safe_text(_unescape(_without_cut(value)[0]))
    return MappingProxyType(found)


def _without_cut(text: bytes) -> tuple[bytes, bool]:
    # The kernel escapes every backslash, so one that begins no whole escape is where it stopped.
    if b"\\" not in text[-3:]:
        return text, False
    whole = _CUT_ESCAPE.sub(b"", text)
    return whole, len(whole) < len(text)


def _unescape(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text) if b"\\" in text else text


def _escape(text: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: b"\\x%02x" % found[0][0], text)
