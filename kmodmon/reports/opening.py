r"""What one record may open: the line that is tried against the signatures, and the lines that belong to it.

printk keeps the line feeds of its text in one record, and text that users choose is in records of the kernel: names of
tasks, options of mounts, labels of disks. So only the beginning of a record opens a report. What follows a line feed
may continue the report that its own record opened; it opens none, and is no panic. No printk of Linux 6.1 has a banner
behind a line feed: tests/reports/user_formats.py, which lists the formats of its source, fails when one has. Where the
first line by itself is no banner, line feeds count as blanks: a task may have one in its name.
"""

from dataclasses import dataclass

from kmodmon.reports.signatures.signature import SignatureMatch, texts
from kmodmon.reports.signatures.table import imitation, match_line
from kmodmon.reports.signatures.task_line import without_name

MAX_JOINED = 4096  # characters of the lines of a record that are taken as one


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The beginning of a record."""

    text: str
    match: SignatureMatch | None  # of `text`
    rest: tuple[str, ...] = ()  # later lines, when `match` is of the first line alone
    imitated: SignatureMatch | None = None  # what text that a user chose looks like; None: like no report


def read_opening(printable: str) -> Opening:
    """Return what a record of the kernel may open; `printable`: its text as safe text."""
    lines = texts(printable)
    first = _match(lines[0])
    if len(lines) == 1:
        return Opening(text=lines[0], match=first, imitated=_imitation(lines[0]))
    joined = " ".join(lines)[:MAX_JOINED]
    name_goes_on = without_name(joined) is not None and without_name(lines[0]) is None
    if first is not None and not name_goes_on:
        rest = tuple(line for line in lines[1:] if line)
        return Opening(text=lines[0], match=first, rest=rest, imitated=_imitation(lines[0]))
    match = _match(joined)
    imitated = _imitation(joined)
    if match is None and imitated is None:
        imitated = next(filter(None, map(_match, lines)), None)
    return Opening(text=joined, match=match, imitated=imitated)


def _match(line: str) -> SignatureMatch | None:
    return match_line(line.lstrip(" "))


def _imitation(line: str) -> SignatureMatch | None:
    return imitation(line.lstrip(" "))
