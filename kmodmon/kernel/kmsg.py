r"""/dev/kmsg: the format of one record of the kernel's log.

Interface: kernel/printk/printk.c (Documentation/ABI/testing/dev-kmsg). Mode 0644, but opening needs CAP_SYSLOG in the
initial user namespace while kernel.dmesg_restrict=1, and fails for everybody with printk_devkmsg=off (EPERM). One
read() gives one record; a record that does not fit the buffer is lost (8192 bytes hold every record).
Absent: containers without the device.

    PRIO,SEQ,USEC,FLAG[,caller=T123][,more];TEXT
     KEY=VALUE

Facts the code below is written from:

- PRIO is facility * 8 + level. The kernel writes facility 0 and userspace cannot: PRIO < 8 means that the kernel or a
  module printed the record. Its text may still contain names that users chose: of tasks, of modules, of devices.
- USEC is printk's clock: not wall time, without suspend, and different CPUs may differ.
- FLAG `c` marks a fragment that could not be merged with the record before. Up to Linux kernel commit 5aa068ea4082
  ("printk: remove games with previous record flags"), which every kernel supported here contains, following fragments
  had `+`; saved logs of older kernels still do.
- `caller=` exists since Linux kernel commit 15ff2069cb7f ("printk: Add caller information to printk() output.") (in
  v5.1), with CONFIG_PRINTK_CALLER.
- Bytes below 0x20, from 0x7f up, and the backslash come as `\xNN`, so a record is one line. Since Linux kernel commit
  b0975c47c217 ("printk: adjust string limit macros") (in v6.3) the output ends after 2048 bytes instead of 8192, in the
  middle of an escape too (`\xf`, `\x`, `\`).
- Since Linux kernel commit 74caba7f2a06 ("printk: move dictionary keys to dev_printk_info") (in v5.10) the dictionary
  has the keys SUBSYSTEM and DEVICE only; before, each driver chose its keys.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

_INTERFACE = "/dev/kmsg"
KERNEL_PRIORITIES = 8  # a priority below this one has facility 0, which only the kernel writes
BUFFER_SIZE = 8192  # bytes: the longest record of any version
_HEAD = re.compile(rb"([0-9]{1,10}),([0-9]{1,20}),([0-9]{1,20}),([^,;\n])((?:,[^,;\n]*)*)")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_CUT_ESCAPE = re.compile(rb"\\(?:x[0-9a-f]?)?\Z")
_CONTINUATION = (b"c", b"+")  # `+` in logs of kernels before 5aa068ea4082, see above
_NO_FIELDS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsgRecord:
    """One record. `text` is untrusted bytes as the kernel printed them; the other texts are safe texts."""

    facility: int  # 0: the kernel
    level: int  # 0 (emerg) to 7 (debug)
    seq: int  # 64 bits, counts from 0 at boot; a gap means that records were lost
    printk_usec: int  # microseconds since boot by printk's clock, which does not count suspend
    continuation: bool = False  # a fragment that belongs to the record before it
    caller: str | None = None  # T and a thread id, or C and a CPU; None: kernel without CONFIG_PRINTK_CALLER
    text: bytes
    cut: bool = False  # the kernel cut the text in the middle of an escape (>= 6.3)
    fields: Mapping[str, str] = field(default_factory=lambda: _NO_FIELDS)  # SUBSYSTEM and DEVICE; <= 5.9 any key

    @property
    def from_kernel(self) -> bool:
        """Whether the kernel or a module printed the record, not userspace."""
        return self.facility == 0

    @property
    def number(self) -> int:
        """What reports call this record: its sequence number."""
        return self.seq

    @property
    def printable(self) -> str:
        """The text as safe text."""
        return safe_text(self.text)


def may_show_values(raw: bytes) -> bool:
    """Whether lines in these bytes may show values of module parameters: a test that costs little.

    `kernel.redacted_log` has the lines, and hides what is a secret in them.
    """
    return b"`" in raw or b"ommand line" in raw or b"doing " in raw


def parse_prefix(raw: bytes) -> tuple[int, int]:
    """Return (priority, seq) and parse nothing else, for records that nobody reads further. Raises ParseError."""
    priority, _, rest = raw.partition(b",")
    seq, comma, _ = rest.partition(b",")
    if not comma or not priority.isdigit() or not seq.isdigit() or len(priority) > 10 or len(seq) > 20:
        raise ParseError(_INTERFACE, raw, "does not begin with PRIO,SEQ,")
    return int(priority), int(seq)


def parse_record(raw: bytes) -> KmsgRecord:
    """Read one record as one read() returned it; raises ParseError."""
    head, semicolon, body = raw.partition(b";")
    head_match = _HEAD.fullmatch(head)
    if head_match is None or not semicolon:
        raise ParseError(_INTERFACE, raw, "does not begin with PRIO,SEQ,USEC,FLAG;")
    priority = int(head_match[1])
    text, *lines = body.removesuffix(b"\n").split(b"\n")
    whole, cut = _without_cut(text)
    return KmsgRecord(
        facility=priority >> 3,
        level=priority & 7,
        seq=int(head_match[2]),
        printk_usec=int(head_match[3]),
        continuation=head_match[4] in _CONTINUATION,
        caller=_caller(head_match[5]),
        text=_unescape(whole),
        cut=cut,
        fields=_fields(lines, raw),
    )


def split_records(data: bytes) -> tuple[bytes, ...]:
    """Split a file of records written one after the other (of a recorded machine) into records as read() returns."""
    records: list[bytes] = []
    for line in data.splitlines(keepends=True):
        if line.startswith(b" ") and records:
            records[-1] += line
        else:
            records.append(line)
    return tuple(records)


def _caller(more: bytes) -> str | None:
    # The ABI document allows more fields after FLAG: all but `caller=` are ignored.
    return next((safe_text(part[7:]) for part in more.split(b",") if part.startswith(b"caller=")), None)


def _fields(lines: list[bytes], raw: bytes) -> Mapping[str, str]:
    if not lines:
        return _NO_FIELDS
    fields: dict[str, str] = {}
    for line in lines:
        if not line.startswith(b" "):
            raise ParseError(_INTERFACE, raw, "a line after the text is no KEY=VALUE")
        key, _, value = line[1:].partition(b"=")
        fields[safe_text(_unescape(key))] = safe_text(_unescape(_without_cut(value)[0]))
    return MappingProxyType(fields)


def _without_cut(text: bytes) -> tuple[bytes, bool]:
    # The kernel escapes every backslash, so one that does not begin a whole escape marks where the output was cut.
    if b"\\" not in text[-3:]:
        return text, False
    whole = _CUT_ESCAPE.sub(b"", text)
    return whole, len(whole) < len(text)


def _unescape(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda escape: bytes((int(escape[1], 16),)), text) if b"\\" in text else text
