r"""/proc/modules: the modules that the kernel lists as loaded.

Interface: kernel/module/procfs.c `m_show`, mode 0444, newest module first (proc(5)). Before Linux kernel commit
cfc1d277891e ("module: Move all into module/") (in v5.19) the code was in kernel/module.c; the format is the same from
4.18 to 7.3: ``NAME SIZE REFCNT DEPS STATE ADDR[ TAINTS]``, and ``- -`` for REFCNT DEPS without CONFIG_MODULE_UNLOAD.
Absent (ENOENT): kernel without CONFIG_MODULES.

Facts the code below is written from:

- Names are arbitrary bytes: space, newline, comma and 0xFF are printed raw (4.18, 6.1, 7.2). A line is therefore read
  from its right end, and pieces that are no whole line are joined with the next. A hostile name can still look like a
  whole line; only the directory names of /sys/module settle that, so the caller may pass them as `sysfs_names`.
- One read() gives at most one page of whole lines, and the position is an index into a newest-first list: a module
  unloaded between two reads makes an unrelated module *missing*, a module loaded makes one appear *twice*. A list
  shorter than a page comes in one read and misses nothing (`is_complete`); a longer list needs a second pass
  (`merge_passes`).
- SIZE counts init memory too while it exists. Since Linux kernel commit ac3b43283923 ("module: replace module_layout
  with module_memory") (in v6.4) it is the sum over all memory types: one .ko has different sizes on different kernels.
- REFCNT is -1 while the module unloads, and 1 while it loads. Each element of DEPS ends in a comma; `[permanent],` is
  the last one.
- ADDR is zero when the opener may not see it, and also for a module without a text section: zero proves nothing.
- TAINTS exists only for a tainted module; `-` is appended while it unloads, `+` while it loads.
"""

import enum
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kmodmon.kernel.module_name import NAME_MAX, SHOWN_MAX
from kmodmon.types.text import safe_text

PAGE = 4096  # bytes; the smallest page of any architecture, so the least that one read() returns
_PIECES_MAX = 256  # pieces of one line that newlines in names cut; more pieces are no line


class ModuleState(enum.StrEnum):
    """The kernel's initstate words. /proc/modules prints them as `Live`, `Loading` and `Unloading`."""

    LIVE = "live"  # init() has succeeded
    COMING = "coming"  # init() has not run, or runs
    GOING = "going"  # exit() runs, or init() failed


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleLine:
    """One line of /proc/modules."""

    name: str  # safe text; `raw_bytes(name)` gives the kernel's bytes
    size: int  # bytes, init memory included while it exists
    refcnt: int | None  # without the loader's own reference, -1 while unloading; None: no CONFIG_MODULE_UNLOAD
    holders: tuple[str, ...]  # modules that use this one, safe text; always empty without CONFIG_MODULE_UNLOAD
    permanent: bool  # it has init() and no exit(), so it cannot be unloaded
    state: ModuleState
    address: int | None  # of its text; None: printed as zero, which proves nothing (see the head of this module)
    taint: str  # letters in bit order; empty: untainted


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulesFile:
    """One pass over /proc/modules."""

    lines: tuple[ModuleLine, ...]
    skipped: tuple[bytes, ...] = ()  # text that is no line, verbatim


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedPasses:
    """Two passes joined."""

    lines: tuple[ModuleLine, ...]
    doubtful: frozenset[str] = frozenset()  # names that only one pass has: check /sys/module/NAME or read again


_STATES = {b"Live": ModuleState.LIVE, b"Loading": ModuleState.COMING, b"Unloading": ModuleState.GOING}
_NUMBERS = rb"([0-9]{1,20}) (-?[0-9]{1,11}|-)"
_TAIL = rb"(Live|Loading|Unloading) 0x([0-9a-f]{1,16})(?: \(([^() ]*)\))?"
_PLAIN = re.compile(rb"([^\s,]{1,%d}) " % SHOWN_MAX + _NUMBERS + rb" (-|(?:[^\s,]+,)+) " + _TAIL)
_END = re.compile(rb"[,-] " + _TAIL + rb"\Z")
_MIDDLE = re.compile(rb" " + _NUMBERS + rb" (-|.*,)\Z", re.DOTALL)
_ODD_NAME = re.compile(rb"[\s,]")
_TOKEN = re.compile(rb"\0([0-9]+)\0")

_Fields: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes | None]  # NAME SIZE REFCNT DEPS and _TAIL


def is_complete(raw: bytes) -> bool:
    """Whether one read() returned a list of this length, so that no module can be missing from it."""
    return len(raw) < PAGE


def parse_modules(raw: bytes, sysfs_names: Collection[bytes] = ()) -> ModulesFile:
    """Read /proc/modules. Raises nothing: text that is no line is `skipped`.

    `sysfs_names`: directory names of /sys/module, which settle names that hold a space, a newline or a comma.
    """
    masked, odd = _mask(raw, sysfs_names)
    lines: list[ModuleLine] = []
    skipped: list[bytes] = []
    pending: list[bytes] = []
    for text in _pieces(masked):
        plain = None if pending else _PLAIN.fullmatch(text)
        if plain is not None:
            lines.append(_line(_fields(plain), odd))
            continue
        pending.append(text)
        if (joined := _join(pending, skipped, odd)) is not None:
            lines.append(joined)
    skipped += pending
    return ModulesFile(lines=tuple(lines), skipped=tuple(_unmask(text, odd) for text in skipped if text))


def merge_passes(first: ModulesFile, second: ModulesFile) -> MergedPasses:
    """Join two passes made one right after the other.

    A module of both passes is loaded. A module of a single pass was loaded, unloaded or missed meanwhile: it is listed
    and `doubtful`. The line of the second pass wins. The result has no duplicates.
    """
    old, new = by_name(first), by_name(second)
    lines = (*new.values(), *(line for name, line in old.items() if name not in new))
    return MergedPasses(lines=lines, doubtful=frozenset(old.keys() ^ new.keys()))


def by_name(file: ModulesFile) -> Mapping[str, ModuleLine]:
    """The lines by module name; of a name listed twice (a load between two reads) the later line counts."""
    return {line.name: line for line in file.lines}


def _pieces(raw: bytes) -> list[bytes]:
    return raw.removesuffix(b"\n").split(b"\n")


def _fields(match: re.Match[bytes]) -> _Fields:
    name, size, refcnt, deps, state, address, taint = match.groups()
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
    # `pending`: pieces of a line that newlines within names cut. The end of a line never holds a newline, so joining is
    # tried when a piece has an end. Leading pieces that are no part of the name are no line: they are skipped.
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
    # Where NAME may end in more than one place, the last place counts: the others are inside a hostile name.
    end = _END.search(text)
    assert end is not None  # the caller matched it in the last piece
    head = text[: end.start() + 1]
    for place in range(min(len(head), NAME_MAX), -1, -1):
        middle = _MIDDLE.match(head, place)
        if middle is not None and len(_unmask(head[:place], odd)) <= NAME_MAX:
            return head[:place], middle[1], middle[2], middle[3], end[1], end[2], end[3]
    return None


def _mask(raw: bytes, sysfs_names: Collection[bytes]) -> tuple[bytes, tuple[bytes, ...]]:
    # Names with a space, newline or comma become tokens (a name cannot hold NUL), so that lines split at spaces again.
    odd = sorted((name for name in sysfs_names if _ODD_NAME.search(name)), key=len, reverse=True)
    if not odd:
        return raw, ()
    tokens: dict[bytes, int] = {}
    # sysfs shows `!` where the name has `/`
    names = b"|".join(re.escape(name).replace(b"!", b"[!/]") for name in odd)
    place = rb"(?:(?:\A|(?<=\n))(?:%b)(?= %b ))|(?:(?<=[ ,])(?:%b)(?=,))" % (names, _NUMBERS, names)
    masked = re.sub(place, lambda name: b"\0%d\0" % tokens.setdefault(name[0], len(tokens)), raw.replace(b"\0", b""))
    return masked, tuple(tokens)


def _unmask(text: bytes, odd: tuple[bytes, ...]) -> bytes:
    return _TOKEN.sub(lambda token: odd[int(token[1])], text) if odd else text
