r"""/proc/modules: what the kernel says is loaded.

Interface: kernel/module/procfs.c `m_show` (kernel/module.c up to 5.18), mode 0444, newest module first, the same format
from 4.18 to 7.3: ``NAME SIZE REFCNT DEPS STATE ADDR[ TAINTS]``, without CONFIG_MODULE_UNLOAD ``- -`` for REFCNT DEPS.
Absent (ENOENT): kernel without CONFIG_MODULES.

Facts the code below is written from:

- Names are arbitrary bytes: space, newline, comma and 0xFF are printed raw (4.18, 6.1, 7.2). A line is therefore read
  from its right end, and lines that are no whole line are joined with the next. A name can still be built that looks
  like a whole line; only the directory names of /sys/module settle that, so they may be given as `sysfs_names`.
- One read() gives at most one page of whole lines, and the position is an index into a newest-first list: a module
  unloaded between two reads makes an unrelated one *missing*, a module loaded makes one appear *twice*. A list shorter
  than a page comes in one read and can miss nothing (`is_complete`); a longer one wants a second pass (`merge_passes`).
- REFCNT is -1 while the module unloads, 1 while it loads. DEPS elements end in a comma; `[permanent],` is the last one.
- ADDR is zero when the opener may not see it, but also for a module without a text section: zero proves nothing.
- TAINTS exists only for a tainted module; `-` is appended while it unloads, `+` while it loads.
"""

import enum
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kmodmon.types.text import raw_bytes, safe_text

NAME_MAX = 59  # MODULE_NAME_LEN - 1 on 32-bit kernels; 55 on 64-bit ones
PAGE = 4096  # the smallest page there is, so the least that one read() gives
_PIECES_MAX = 256  # pieces of one line cut at newlines in names; more is no line


class ModuleState(enum.StrEnum):
    """The kernel's initstate words, for `Live`, `Loading` and `Unloading`."""

    LIVE = "live"
    COMING = "coming"
    GOING = "going"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleLine:
    """One line of /proc/modules."""

    name: str  # safe text; `raw_bytes(name)` gives the kernel's bytes
    size: int  # bytes
    refcnt: int | None  # None: kernel without CONFIG_MODULE_UNLOAD
    holders: tuple[str, ...]  # modules that use this one, safe text
    permanent: bool  # it has no exit function
    state: ModuleState
    address: int | None  # None: printed as zero, which says nothing (see above)
    taint: str  # letters in bit order; empty: untainted


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulesFile:
    """One pass over /proc/modules. `skipped`: what could not be understood, verbatim."""

    lines: tuple[ModuleLine, ...]
    skipped: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedPasses:
    """Two passes in one. `doubtful`: names that only one pass had; ask /sys/module/NAME or read again."""

    lines: tuple[ModuleLine, ...]
    doubtful: frozenset[str] = frozenset()


_STATES = {b"Live": ModuleState.LIVE, b"Loading": ModuleState.COMING, b"Unloading": ModuleState.GOING}
_SUFFIXES = {ModuleState.LIVE: "", ModuleState.COMING: "+", ModuleState.GOING: "-"}
_NUMBERS = rb"([0-9]{1,20}) (-?[0-9]{1,11}|-)"
_TAIL = rb"(Live|Loading|Unloading) 0x([0-9a-f]{1,16})(?: \(([^() ]*)\))?"
_PLAIN = re.compile(rb"([^\s,]+) " + _NUMBERS + rb" (-|(?:[^\s,]+,)+) " + _TAIL)
_END = re.compile(rb"[,-] " + _TAIL + rb"\Z")
_MIDDLE = re.compile(rb" " + _NUMBERS + rb" (-|.*,)\Z", re.DOTALL)
_ODD_NAME = re.compile(rb"[\s,]")
_TOKEN = re.compile(rb"\0([0-9]+)\0")

_Fields: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes | None]  # NAME SIZE REFCNT DEPS and _TAIL


def is_complete(raw: bytes) -> bool:
    """Whether a list of this length came in one read(), so that no module can be missing from it."""
    return len(raw) < PAGE


def parse_modules(raw: bytes, sysfs_names: Collection[bytes] = ()) -> ModulesFile:
    """Read /proc/modules; never fails, what is no line is `skipped`.

    `sysfs_names`: directory names of /sys/module, to settle names that hold a space, a newline or a comma.
    """
    masked, odd = _mask(raw, sysfs_names)
    found: list[ModuleLine] = []
    skipped: list[bytes] = []
    pending: list[bytes] = []
    for text in _pieces(masked):
        plain = None if pending else _PLAIN.fullmatch(text)
        if plain is not None:
            found.append(_line(_fields(plain), odd))
            continue
        pending.append(text)
        if (joined := _join(pending, skipped, odd)) is not None:
            found.append(joined)
    skipped += pending
    return ModulesFile(lines=tuple(found), skipped=tuple(_unmask(text, odd) for text in skipped if text))


def merge_passes(first: ModulesFile, second: ModulesFile) -> MergedPasses:
    """Join two passes made one right after the other.

    A module of both is loaded; one of a single pass was loaded, unloaded or missed meanwhile and is `doubtful`, and
    listed all the same. The second pass has the fresher line. No duplicates come out.
    """
    old, new = by_name(first), by_name(second)
    lines = (*new.values(), *(line for name, line in old.items() if name not in new))
    return MergedPasses(lines=lines, doubtful=frozenset(old.keys() ^ new.keys()))


def by_name(file: ModulesFile) -> Mapping[str, ModuleLine]:
    """The lines by module name; of a name listed twice (loaded while we read) the later line counts."""
    return {line.name: line for line in file.lines}


def render_line(line: ModuleLine) -> bytes:
    """Write the line as the kernel does, with its newline (for recorded trees and tests)."""
    deps = b"".join(raw_bytes(holder) + b"," for holder in line.holders) + (b"[permanent]," if line.permanent else b"")
    unload = b"- -" if line.refcnt is None else b"%d %s" % (line.refcnt, deps or b"-")
    word = next(word for word, state in _STATES.items() if state is line.state)
    taint = f" ({line.taint}{_SUFFIXES[line.state]})".encode() if line.taint else b""
    return b"%s %d %s %s 0x%016x%s\n" % (raw_bytes(line.name), line.size, unload, word, line.address or 0, taint)


def _pieces(raw: bytes) -> list[bytes]:
    return raw.removesuffix(b"\n").split(b"\n")


def _fields(found: re.Match[bytes]) -> _Fields:
    name, size, refcnt, deps, state, address, taint = found.groups()
    return name, size, refcnt, deps, state, address, taint


def _line(fields: _Fields, odd: tuple[bytes, ...]) -> ModuleLine:
    name, size, refcnt, deps, state, address, taint = fields
    holders = [] if deps == b"-" else deps[:-1].split(b",")
    permanent = bool(holders) and holders[-1] == b"[permanent]"
    if permanent:
        holders.pop()
    return ModuleLine(
        name=safe_text(_unmask(name, odd)),
        size=int(size),
        refcnt=None if refcnt == b"-" else int(refcnt),
        holders=tuple(safe_text(_unmask(holder, odd)) for holder in holders),
        permanent=permanent,
        state=_STATES[state],
        address=int(address, 16) or None,
        taint=safe_text(taint.rstrip(b"+-")) if taint else "",
    )


def _join(pending: list[bytes], skipped: list[bytes], odd: tuple[bytes, ...]) -> ModuleLine | None:
    # `pending`: the pieces so far of a line cut at newlines within names. A line's end never holds a newline, so
    # joining is tried when a piece has one; leading pieces that are no part of a name were no line: skipped.
    if not _END.search(pending[-1]):
        if len(pending) > _PIECES_MAX:
            skipped.append(pending.pop(0))
        return None
    while pending:
        fields = _split(b"\n".join(pending), odd)
        if fields is not None:
            pending.clear()
            return _line(fields, odd)
        skipped.append(pending.pop(0))
    return None


def _split(text: bytes, odd: tuple[bytes, ...]) -> _Fields | None:
    # Where more than one place could be the end of NAME the last one counts: the others are within a hostile name.
    end = _END.search(text)
    assert end is not None  # the caller saw it in the last piece
    head = text[: end.start() + 1]
    for place in range(min(len(head), NAME_MAX), -1, -1):
        middle = _MIDDLE.match(head, place)
        if middle is not None and len(_unmask(head[:place], odd)) <= NAME_MAX:
            return head[:place], middle[1], middle[2], middle[3], end[1], end[2], end[3]
    return None


def _mask(raw: bytes, sysfs_names: Collection[bytes]) -> tuple[bytes, tuple[bytes, ...]]:
    # Odd names become tokens (a name cannot hold NUL), so that lines split as if all names were plain.
    odd = sorted((name for name in sysfs_names if _ODD_NAME.search(name)), key=len, reverse=True)
    if not odd:
        return raw, ()
    found: dict[bytes, int] = {}
    # sysfs shows `!` where the name has `/`
    names = b"|".join(re.escape(name).replace(b"!", b"[!/]") for name in odd)
    place = rb"(?:(?:\A|(?<=\n))(?:%b)(?= %b ))|(?:(?<=[ ,])(?:%b)(?=,))" % (names, _NUMBERS, names)
    masked = re.sub(place, lambda name: b"\0%d\0" % found.setdefault(name[0], len(found)), raw.replace(b"\0", b""))
    return masked, tuple(found)


def _unmask(text: bytes, odd: tuple[bytes, ...]) -> bytes:
    return _TOKEN.sub(lambda token: odd[int(token[1])], text) if odd else text
