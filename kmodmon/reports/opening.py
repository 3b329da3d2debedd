r"""What one record may open: the line that is tried against the signatures, and the lines that belong to it.

printk keeps the line feeds of its text in one record, and text that users choose is in records of the kernel: names of
tasks, options of mounts, labels of disks. So only the beginning of a record opens a report. What follows a line feed
may continue the report that its own record opened; it opens none, and is no panic. No printk of Linux 6.1 has a banner
behind a line feed: tests/reports/user_formats.py, which lists the formats of its source, fails when one has. Where the
first line by itself is no banner, line feeds count as blanks: a task may have one in its name.
"""

from dataclasses import dataclass

from kmodmon.reports.signatures.signature import SignatureMatch, texts
from kmodmon.reports.signatures.table import judge_line, match_line

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
    first, first_imitated = judge_line(lines[0].lstrip(" "))
    if len(lines) == 1:
        return Opening(text=lines[0], match=first, imitated=first_imitated)
    joined = " ".join(lines)[:MAX_JOINED].rstrip(" ")
    match, imitated = judge_line(joined.lstrip(" "))
    # A user who ends the first line where the banner would end does not end the kernel's line.
    if first is not None and match is not None and match.signature is first.signature:
        rest = tuple(line for line in lines[1:] if line)
        return Opening(text=lines[0], match=first, rest=rest, imitated=first_imitated)
    if match is None and imitated is None:
        imitated = next(filter(None, (match_line(line.lstrip(" ")) for line in lines)), None)
    return Opening(text=joined, match=match, imitated=imitated)
