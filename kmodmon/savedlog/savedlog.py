"""Reads a saved kernel log in any of the formats that people save and send, and returns its lines.

Text files are read line by line (`logprefix`). JSON (dmesg --json, journalctl -o json) and the export format of the
journal are recognized by their content. pstore dumps (Documentation/admin-guide/ramoops.rst) begin with `Oops#1 Part2`
or `Panic#1 Part1`; part 1 has the newest text, so the parts are put back into the order of time. Mail programs wrap
long lines: a line without stamp among stamped ones is joined to the line before, when it would not have fitted there.
Any other line without stamp is a later line of the record above it, whose text holds line feeds: dmesg and journalctl
indent it, dmesg --raw and syslog files do not. It is whoever's the record is, and in a log of stamped lines a part of
its text. So a program that logs several lines of what looks like a report is taken for no kernel.

Any bytes give lines; nothing is raised.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kmodmon.savedlog.logjournal import is_export, read_dmesg, read_export, read_json, read_pretty, read_verbose
from kmodmon.savedlog.logprefix import Prefixed, strip_prefix
from kmodmon.types.text import safe_text

_PART = re.compile(r"(?:<\d>)?(?P<kind>Oops|Panic|Emergency|Shutdown|Unknown)#(?P<dump>\d+) Part(?P<part>\d+)")
_SOFT_BREAK = re.compile(rb"^[^\n]{63,74}[^=\n]=\r?$", re.MULTILINE)
_QUOTED_SIGN = re.compile(rb"=(?:20|3D)")  # may be a hexadecimal number
_QUOTED_BLANK = b"=C2=A0"
_QUOTED_BYTE = re.compile(rb"=([0-9A-F]{2})")
_QUOTED_WIDTH = range(65, 77)
_OCTAL = re.compile(r"#0(11|12|15)")  # rsyslog's escapes of control bytes
_WIDTH = range(24, 100)  # where mail programs wrap
_INDENT = " " * 8  # less than what dmesg and journalctl put before the later lines of a record
MAX_TEXT = 4096  # characters of one line


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedLine:
    """One line; None: the file does not say."""

    text: str  # safe text, without prefix; a line feed in the record is ``\\x0a``
    number: int  # line of the file, from 1 on: the first one of the record
    level: int | None = None  # 0 (emerg) to 7 (debug)
    facility: int | None = None  # 0: the kernel
    printk_usec: int | None = None  # microseconds of printk's clock
    caller: str | None = None  # `T123` (thread) or `C0` (CPU)
    continuation: bool = False  # continues the record before it (flag `c` of /dev/kmsg)

    @property
    def printable(self) -> str:
        """The text, which is safe text already."""
        return self.text

    @property
    def from_kernel(self) -> bool:
        """Whether the kernel may have written it: the file does not name user space."""
        return not self.facility


def read_saved_log(data: bytes) -> Iterator[SavedLine]:
    """Return the lines of `data` in the order in which the kernel wrote them."""
    readers = (read_dmesg, read_pretty, read_verbose)
    whole = next((lines for read in readers if (lines := read(data)) is not None), None)
    if whole is not None:
        lines = whole
    elif is_export(data):
        lines = list(read_export(data))
    else:
        text = data.removeprefix(b"\xef\xbb\xbf")
        if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
            text = text.decode("utf-16", "replace").encode("utf-8", "replace")
        lines = _records(_ordered(_unquoted(text) if _is_quoted(text) else _numbered(text)))
    for number, line in lines:
        yield _saved(number, line)


def _numbered(data: bytes) -> list[tuple[int, str]]:
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [
        (number, part)
        for number, line in enumerate(lines, 1)
        for part in (line.split("\r") if "\r" in line else (line,))
        if part or "\r" not in line
    ]


def _is_quoted(data: bytes) -> bool:
    breaks = len(_SOFT_BREAK.findall(data))
    return breaks > 1 or _QUOTED_BLANK in data or (breaks == 1 and _QUOTED_SIGN.search(data) is not None)


def _unquoted(data: bytes) -> list[tuple[int, str]]:
    # A mail in quoted-printable (RFC 2045): `=` at the end of a line breaks it, `=3D` is a byte.
    out: list[tuple[int, bytes]] = []
    soft = False
    for number, ended in enumerate(data.removesuffix(b"\n").split(b"\n"), 1):
        line = ended.rstrip(b"\r")
        breaks = line.endswith(b"=") and not line.endswith(b"==") and len(line) in _QUOTED_WIDTH
        body = _QUOTED_BYTE.sub(lambda match: bytes([int(match[1], 16)]), line[:-1] if breaks else line)
        if soft:
            out[-1] = out[-1][0], out[-1][1] + body
        else:
            out.append((number, body))
        soft = breaks
    return [(number, line.decode("utf-8", "surrogateescape")) for number, line in out]


def _ordered(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    # pstore: within one dump the parts count backwards in time.
    heads = [
        (at, match) for at, (_, line) in enumerate(lines) if "Part" in line and (match := _PART.match(line.strip()))
    ]
    if len(heads) < 2:
        return lines
    out = lines[: heads[0][0]]
    ends = [at for at, _ in heads[1:]] + [len(lines)]
    blocks = [
        (match["kind"] + match["dump"], int(match["part"][:9]), lines[at:end])
        for (at, match), end in zip(heads, ends, strict=True)
    ]
    for dump in dict.fromkeys(name for name, _, _ in blocks):
        parts = [(part, block) for name, part, block in blocks if name == dump]
        for _, block in sorted(parts, key=lambda item: -item[0]):
            out += block
    return out


def _records(lines: list[tuple[int, str]]) -> list[tuple[int, Prefixed]]:
    read = [(number, raw, line) for number, raw in lines for line in _parse_line(raw)]
    mostly_stamped = sum(line.stamped for _, _, line in read) * 2 >= len(read)
    out: list[tuple[int, Prefixed]] = []
    width = 0  # of the line of the file before, if it may have been wrapped; else 0
    record: Prefixed | None = None  # the newest one with a stamp
    newest: Prefixed | None = None  # the newest line with a text
    for number, raw, line in read:
        starts = line.stamped or _PART.match(line.text) is not None
        if starts:
            record = line if line.stamped else None
        elif record is not None:
            line.facility, line.caller = record.facility, record.caller
        before = newest if not starts and line.text else None
        if before is not None and mostly_stamped and _is_wrapped(line, width):
            before.text = f"{before.text.rstrip()} {line.text.strip()}"
        elif before is not None and record is before and (mostly_stamped or line.text.startswith(_INDENT)):
            before.text += f"\n{line.text}"
        else:
            out.append((number, line))
            newest = line if line.text else newest
        width = len(raw.rstrip()) if len(raw.rstrip()) in _WIDTH and (line.stamped or width) else 0
    return out


def _is_wrapped(line: Prefixed, width: int) -> bool:
    return width > 0 and width + 1 + len(line.text.split(" ", 1)[0]) > 72


def _parse_line(raw: str) -> list[Prefixed]:
    bare = raw.lstrip().removeprefix("data: ")  # journalctl -o json-sse
    if bare[:1] in '{"' and ('"' in bare):
        records = read_json(bare)
        if records is not None:
            return records
    return [strip_prefix(raw)]


def _parts(text: str) -> list[str]:
    if "#0" in text:
        text = _OCTAL.sub(lambda match: {"11": "        ", "12": "\n", "15": ""}[match[1]], text)
    if "\\x0a" in text:
        text = text.replace("\\x0a", "\n").replace("\\x09", "        ")
    return text.split("\n") if "\n" in text else [text]


def _saved(number: int, line: Prefixed) -> SavedLine:
    return SavedLine(
        text="\\x0a".join(_safe(part)[:MAX_TEXT] for part in _parts(line.text)),
        number=number,
        level=line.level,
        facility=line.facility,
        printk_usec=line.usec,
        caller=line.caller,
        continuation=line.continuation,
    )


def _safe(text: str) -> str:
    text = text.replace("\t", "        ")
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    # Escapes of the kernel (\x5c and so on) are in the file already, as safe_text() makes them.
    if "\\x" in text and text.isascii() and text.isprintable():
        return text
    return safe_text(text.encode("utf-8", "surrogateescape"))
