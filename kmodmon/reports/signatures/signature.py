"""What one kernel message means, as data: how to know it, how bad it is, what to do.

A pattern is matched from the start of a record's text, after every prefix that log files add, and never searched for
inside it: the kernel's own words stand first, and what users can choose (process names, at most 15 bytes; file,
device and volume names) stands behind them or is matched as structure. `contains` is the cheap test in front of it.
"""

import enum
import re
from dataclasses import dataclass
from functools import cache

from kmodmon.events.event import Severity
from kmodmon.events.report import LoadFailure, ReportClass


class MatchStage(enum.IntEnum):
    """Where in a report the line stands; it decides what may join what."""

    PREFACE = 0  # a detector's own words, printed before the banner of the WARN or BUG that it raises
    HEADER = 1  # the banner
    DIE = 2  # `Oops: 0002 [#1]` and its like: the second line of an oops, or the first of a bare fault
    PANIC = 3  # `Kernel panic`: ends a report, or is one
    LINE = 4  # complete by itself; like lines that follow belong to it
    SAYING = 5  # an event of its own, no report


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSignature:
    """One wording; the first signature of the table whose pattern matches wins."""

    name: str
    report_class: ReportClass
    severity: Severity
    title: str  # may use the pattern's named groups
    contains: tuple[str, ...]  # at least one is in every line that matches
    pattern: str
    help: str
    advice: str
    origin: str  # kernel file and function
    stage: MatchStage = MatchStage.HEADER
    weak: bool = False  # gives way to the class of the banner that follows it
    wording: str = ""  # since when, until when worded so
    reason: LoadFailure | None = None

    @property
    def compiled(self) -> re.Pattern[str]:
        """The pattern; compiled when a line gets past `contains` for the first time, which most never do."""
        return _compiled(self.pattern)


_compiled = cache(re.compile)


@dataclass(frozen=True, slots=True)
class SignatureMatch:
    """A line that a signature knows, and what it says in its named groups."""

    signature: LogSignature
    groups: dict[str, str | None]


# Fragments for patterns. A function is a symbol with or without offset; without symbols it is a bare address.
SYMBOL = r"(?P<function>[A-Za-z_.$][\w.$:<>]*)(?:\+(?P<offset>0x[0-9a-f]+)/0x[0-9a-f]+)?"
MODULE = r"(?:\s+\[(?P<module>[\w-]+)(?:@[0-9a-f]+\+0x[0-9a-f]+)?(?: [0-9a-f]{8,})?\])?"
FUNC = rf"(?:{SYMBOL}|0x[0-9a-f]+|[0-9a-f]{{8,16}}){MODULE}"
PLACE = r"(?P<file>[\w./+,@~-]+\.(?:c|h|S|rs|cc|cpp|inc|y|l)):(?P<line>\d+)"
COMM = r"(?P<comm>.{0,24}?)"
DEV = r"(?P<dev>[\w:!./-]+)"
# Bus devices print `driver 0000:00:1f.0: ` or `[drm] ` in front of their own words.
BUS = r"(?:[\w.-]+ [\w:.-]+(?: \S{1,16})?: )?"


def texts(text: str) -> list[str]:
    r"""Give the lines of a record: printk keeps line feeds and tabs inside one, safe text shows ``\x0a``, ``\x09``."""
    if "\\x" not in text:
        return [text]
    return [part for part in text.replace("\\x09", " ").replace("\\x0d", "").split("\\x0a") if part] or [""]
