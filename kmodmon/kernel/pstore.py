r"""pstore: what a kernel wrote into memory that survives a reboot, when it died.

Interface: fs/pstore/inode.c, platform.c (Documentation/admin-guide/ramoops.rst, Documentation/ABI/testing/pstore): a
file for each record in /sys/fs/pstore, named `TYPE-BACKEND-ID`; the directory is 0750 root. systemd-pstore.service
moves them at boot to /var/lib/systemd/pstore, in directories of their own. Absent without CONFIG_PSTORE; empty without
a backend.

Facts the code below is written from:

- TYPE `dmesg` is the tail of the kernel's log at an oops, a panic or (if asked for) any end; `console` is the console's
  text of the last boot, in which lines of user space look like the kernel's.
- A dump larger than a record is written in parts, the newest text first: each begins with `Panic#1 Part1`, and Part1 is
  the end of the log. ramoops keeps only Part1. Lines are `<6>[   12.345678] text`, the number facility * 8 + level.
- efi_pstore makes the id of the time: seconds * 100 + part, * 1000 + count of the boot.
- `.enc.z` behind the name: the kernel could not decompress it. Since 6.6 records are raw deflate; earlier ones may be
  lzo, lz4 or others.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kmodmon.types.error import ParseError

_INTERFACE = "/sys/fs/pstore"
_NAME = re.compile(
    rb"(?P<kind>[a-z]+(?:-(?:ofw|common|opal))?)-(?P<backend>[\w-]{1,48})-(?P<id>[0-9]{1,20})(?P<packed>\.enc\.z)?"
)
_HEAD = re.compile(rb"(?P<reason>[A-Z][a-z]{2,15})#(?P<count>[0-9]{1,9}) Part(?P<part>[0-9]{1,9})\n")
_EFI = ("efi", "efi_pstore")
_EFI_SECONDS = range(1_000_000_000, 20_000_000_000)  # plausible times in its ids
MAX_TEXT = 1 << 20  # of a decompressed part
APART_USEC = 60_000_000  # parts of one dump are written within moments
NO_BYTES = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordName:
    """The name of a file in pstore."""

    kind: str  # dmesg, console, pmsg, ftrace, mce, ...
    backend: str
    id: int
    packed: bool = False  # the kernel could not decompress it

    @property
    def time_usec(self) -> int | None:
        """Wall time that the id tells; None where the id is only a number."""
        seconds = self.id // 100_000
        return seconds * 1_000_000 if self.backend in _EFI and seconds in _EFI_SECONDS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpPart:
    """One record. `reason` is None without a head; `text` is without it, None when it cannot be decompressed."""

    name: RecordName
    reason: str | None = None  # Panic, Oops, Emergency, Shutdown, ...
    count: int = 0  # which dump of its boot
    number: int = 1  # 1 is the newest text
    time_usec: int | None = None
    text: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """The parts of one dump put together. `missing`: parts that are not there, or cannot be decompressed."""

    kind: str
    backend: str
    reason: str | None
    time_usec: int | None
    text: bytes
    missing: int = 0


def parse_name(name: bytes) -> RecordName:
    """Read the name of a file in pstore; raises ParseError."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ParseError(_INTERFACE, name, "is not named TYPE-BACKEND-ID")
    return RecordName(
        kind=found["kind"].decode(),
        backend=found["backend"].decode("ascii", "replace"),
        id=int(found["id"]),
        packed=found["packed"] is not None,
    )


def parse_part(name: RecordName, data: bytes, time_usec: int | None = None) -> DumpPart:
    """Read a record; `time_usec`: the file's time, for want of a better one. Any bytes are a part."""
    text = _unpacked(data) if name.packed else data
    time_usec = name.time_usec or time_usec
    head = None if text is None else _HEAD.match(text)
    if text is None or head is None:
        return DumpPart(name=name, time_usec=time_usec, text=text)
    return DumpPart(
        name=name,
        reason=head["reason"].decode(),
        count=int(head["count"]),
        number=int(head["part"]),
        time_usec=time_usec,
        text=text[head.end() :],
    )


def assemble(parts: Iterable[DumpPart]) -> tuple[Dump, ...]:
    """Put the parts of each dump into the order of time; the dumps are in order of theirs, unknown times first."""
    groups: list[list[DumpPart]] = []
    for part in sorted(parts, key=lambda one: (one.time_usec or 0, one.name.id)):
        group = next((one for one in reversed(groups) if _belongs(part, one)), None)
        if group is None:
            groups.append([part])
        else:
            group.append(part)
    return tuple(_dump(group) for group in groups)


def _belongs(part: DumpPart, group: Sequence[DumpPart]) -> bool:
    first = group[0]
    if part.reason is None or (part.name.kind, part.name.backend) != (first.name.kind, first.name.backend):
        return False
    if (part.reason, part.count) != (first.reason, first.count) or any(part.number == one.number for one in group):
        return False
    return abs((part.time_usec or 0) - (first.time_usec or 0)) <= APART_USEC


def _dump(group: Sequence[DumpPart]) -> Dump:
    in_time = sorted(group, key=lambda one: -one.number)
    texts = [one.text for one in in_time if one.text is not None]
    first = group[0]
    return Dump(
        kind=first.name.kind,
        backend=first.name.backend,
        reason=first.reason,
        time_usec=first.time_usec,
        text=NO_BYTES.join(text if text.endswith(b"\n") else text + b"\n" for text in texts),
        missing=max(in_time[0].number, len(group)) - len(texts),
    )


def _unpacked(data: bytes) -> bytes | None:
    unpacking = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        text = unpacking.decompress(data, MAX_TEXT)
    except zlib.error:
        return None
    return text if text and unpacking.eof else None
