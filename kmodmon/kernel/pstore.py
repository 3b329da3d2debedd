r"""pstore: records that a dying kernel wrote into memory that survives a reboot.

Interface: fs/pstore/inode.c, platform.c (Documentation/admin-guide/ramoops.rst, Documentation/ABI/testing/pstore): a
file for each record in /sys/fs/pstore, named `TYPE-BACKEND-ID`; the directory is 0750 root. systemd-pstore.service
moves the files at boot to /var/lib/systemd/pstore, into directories of their own.
Absent: kernel without CONFIG_PSTORE; the directory is empty without a backend.

Facts the code below is written from:

- TYPE `dmesg` is the tail of the kernel's log at an oops, a panic or (if asked for) any shutdown; `console` is the
  console's text of the last boot, in which lines of userspace look like the kernel's.
- A dump larger than a record is written in parts, the newest text first: each begins with `Panic#1 Part1`, and Part1 is
  the end of the log. ramoops keeps only Part1. Lines are `<6>[   12.345678] text`, the number facility * 8 + level.
- efi_pstore builds the id from the time: seconds * 100 + part, * 1000 + count of the boot. Its BACKEND is `efi_pstore`
  since Linux kernel commit 893c5f1de620 ("efi: pstore: Follow convention for the efi-pstore backend name"), and `efi`
  before.
- `.enc.z` behind the name: the kernel could not decompress the record. Since Linux kernel commit 438b805003a0 ("pstore:
  Replace crypto API compression with zlib_deflate library calls") (in v6.6) records are raw deflate; before, they may
  also be lzo, lz4 or others, which are not read here.
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
_EFI_SECONDS = range(1_000_000_000, 20_000_000_000)  # plausible times in ids of efi_pstore
MAX_TEXT = 1 << 20  # bytes of a decompressed part
APART_USEC = 60_000_000  # parts of one dump are written within seconds of each other


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordName:
    """The name of a file in pstore, in parts."""

    kind: str  # dmesg, console, pmsg, ftrace, mce, ...
    backend: str  # ramoops, efi_pstore or efi, erst, nvram, ...
    id: int  # unique within kind and backend
    packed: bool = False  # `.enc.z`: the kernel could not decompress it

    @property
    def time_usec(self) -> int | None:
        """Wall time in the id, microseconds since the epoch; None where the id is only a number."""
        seconds = self.id // 100_000
        return seconds * 1_000_000 if self.backend in _EFI and seconds in _EFI_SECONDS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpPart:
    """One record."""

    name: RecordName
    reason: str | None = None  # Panic, Oops, Emergency, Shutdown, ...; None: the record has no head line
    count: int = 0  # number of the dump in its boot, from 1; 0 without a head line
    number: int = 1  # of the part; 1 is the newest text
    time_usec: int | None = None  # wall time of writing, microseconds since the epoch; None: unknown
    text: bytes | None = None  # without the head line; None: it cannot be decompressed


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """The parts of one dump put together."""

    kind: str
    backend: str
    reason: str | None  # as in DumpPart
    time_usec: int | None  # of its first part, as in DumpPart
    text: bytes  # in the order of time, each part ending in a newline
    missing: int = 0  # parts that are absent, or cannot be decompressed


def parse_name(name: bytes) -> RecordName:
    """Read the name of a file in pstore; raises ParseError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ParseError(_INTERFACE, name, "is not named TYPE-BACKEND-ID")
    return RecordName(
        kind=match["kind"].decode(),
        backend=match["backend"].decode("ascii", "replace"),
        id=int(match["id"]),
        packed=match["packed"] is not None,
    )


def parse_part(name: RecordName, data: bytes, time_usec: int | None = None) -> DumpPart:
    """Read a record. Raises nothing. `time_usec`: the file's time, used when the name holds none."""
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
    """Join the parts of each dump in the order of time; the dumps are in that order too, unknown times first."""
    groups: list[list[DumpPart]] = []
    for part in sorted(parts, key=lambda record: (record.time_usec or 0, record.name.id)):
        group = next((dump for dump in reversed(groups) if _belongs(part, dump)), None)
        if group is None:
            groups.append([part])
        else:
            group.append(part)
    return tuple(_dump(group) for group in groups)


def _belongs(part: DumpPart, group: Sequence[DumpPart]) -> bool:
    first = group[0]
    if part.reason is None or (part.name.kind, part.name.backend) != (first.name.kind, first.name.backend):
        return False
    if (part.reason, part.count) != (first.reason, first.count) or any(part.number == other.number for other in group):
        return False
    return abs((part.time_usec or 0) - (first.time_usec or 0)) <= APART_USEC


def _dump(group: Sequence[DumpPart]) -> Dump:
    in_time = sorted(group, key=lambda part: -part.number)
    texts = [part.text for part in in_time if part.text is not None]
    first = group[0]
    return Dump(
        kind=first.name.kind,
        backend=first.name.backend,
        reason=first.reason,
        time_usec=first.time_usec,
        text=b"".join(text if text.endswith(b"\n") else text + b"\n" for text in texts),
        missing=max(in_time[0].number, len(group)) - len(texts),
    )


def _unpacked(data: bytes) -> bytes | None:
    # Raw deflate since 438b805003a0 (in v6.6); of what other algorithms made before, nothing is read.
    unpacking = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        text = unpacking.decompress(data, MAX_TEXT)
    except zlib.error:
        return None
    return text if text and unpacking.eof else None
