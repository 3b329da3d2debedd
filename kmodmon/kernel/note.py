"""ELF notes: the build-id of a kernel or module, among others.

Interface: elf(5) "Notes (Nhdr)"; in a module's sections `.note.*`, which /sys/module/NAME/notes/ shows (0444), and in
the kernel's /sys/kernel/notes. Absent: files without SHT_NOTE sections.
"""

import struct
from typing import NamedTuple

from kmodmon.types.error import ParseError

NT_GNU_BUILD_ID = 3
_BUILD_ID_MAX = 64  # bytes; SHA-1 has 20
_HEADER = {"<": struct.Struct("<III"), ">": struct.Struct(">III")}


class Note(NamedTuple):
    """One note."""

    owner: bytes  # without its NUL
    type: int  # its meaning depends on the owner
    contents: bytes


def parse_notes(raw: bytes, order: str = "<") -> tuple[Note, ...]:
    """Every whole note; zero padding at the end is not a note. `order`: `<` or `>`, of the kernel.

    Raises ParseError when a note claims more bytes than there are.
    """
    layout = _HEADER[order]
    notes = []
    at = 0
    while at + layout.size <= len(raw):
        owner_size, size, kind = layout.unpack_from(raw, at)
        at += layout.size
        start = at + (owner_size + 3 & ~3)
        if owner_size > len(raw) or size > len(raw) or start + size > len(raw):
            raise ParseError("ELF note", raw[at - layout.size : at], "runs past the end")
        notes.append(Note(raw[at : at + owner_size].rstrip(b"\0"), kind, raw[start : start + size]))
        at = start + (size + 3 & ~3)
    return tuple(notes)


def build_id(raw: bytes, order: str = "<") -> str | None:
    """The GNU build-id among these notes as lower-case hex; None when there is none. Raises ParseError."""
    for note in parse_notes(raw, order):
        if note.owner == b"GNU" and note.type == NT_GNU_BUILD_ID and 0 < len(note.contents) <= _BUILD_ID_MAX:
            return note.contents.hex()
    return None
