"""A log signature: the pattern of one kernel message, how severe it is, what it means, and what to do.

A pattern is matched at the start of a record's text, behind every prefix that log files add, and never searched for
inside it: the text begins with words of the kernel, and what users can choose (process names, at most 15 bytes; file,
device and volume names) comes behind them or is matched by its structure. `contains` is the cheap test before it.
tests/reports/test_user_formats.py tries each signature against every line of Linux 6.1 with user text in it.
"""

import enum
import re
from dataclasses import dataclass
from functools import cache

from kmodmon.events.event import Severity
from kmodmon.events.report import LoadFailure, ReportClass


class MatchStage(enum.IntEnum):
    """Which part of a report the line is; it decides which lines may belong to one report."""

    PREFACE = 0  # the line of a detector, printed before the banner of the WARN or BUG that it raises
    HEADER = 1  # the banner
    DIE = 2  # `Oops: 0002 [#1]` and its like: the second line of an oops, or the first of a bare fault
    PANIC = 3  # `Kernel panic`: ends a report, or is one
    LINE = 4  # complete by itself; like lines that follow belong to it
    NOTICE = 5  # a single line that is an event of its own and no report of a failure


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSignature:
    """One wording of a message; the first signature of the table whose pattern matches is used."""

    name: str  # several wordings of one message have the same
    report_class: ReportClass
    severity: Severity
    title: str  # may use the pattern's named groups
    contains: tuple[str, ...]  # at least one is in every line that matches
    pattern: str
    help: str
    advice: str
    origin: str  # kernel file and function
    stage: MatchStage = MatchStage.HEADER
    weak: bool = False  # a banner that follows decides the class of the report
    wording: str = ""  # kernel releases that word it so; empty: not known to change
    reason: LoadFailure | None = None  # None: not the refusal of a module

    @property
    def compiled(self) -> re.Pattern[str]:
        """The pattern, compiled when `contains` holds for a line for the first time: for most it never does."""
        return _compiled(self.pattern)


_compiled = cache(re.compile)


@dataclass(frozen=True, slots=True)
class SignatureMatch:
    """The signature that a line matches, and the named groups of the match."""

    signature: LogSignature
    groups: dict[str, str | None]  # None: the group belongs to an alternative that did not match

    @property
    def merged_groups(self) -> dict[str, str]:
        """The groups that matched, those of several alternatives (`module`, `module2`) under one name."""
        return {name.rstrip("23456789"): text for name, text in self.groups.items() if text is not None}


# Fragments for patterns. A function is a symbol with or without offset; without a symbol it is a bare address.
# Behind the module's name is its build ID under CONFIG_STACKTRACE_BUILD_ID (since 5.14).
SYMBOL = r"(?P<function>[A-Za-z_.$][\w.$:<>]*)(?:\+(?P<offset>0x[0-9a-f]+)/0x[0-9a-f]+)?"
MODULE = r"(?:\s+\[(?P<module>[\w-]+)(?:@[0-9a-f]+\+0x[0-9a-f]+)?(?: [0-9a-f]{8,})?\])?"
FUNC = rf"(?:{SYMBOL}|0x[0-9a-f]+|[0-9a-f]{{8,16}}){MODULE}"
PLACE = r"(?P<file>[\w./+,@~-]+\.(?:c|h|S|rs|cc|cpp|inc|y|l)):(?P<line>\d+)"
COMM = r"(?P<comm>(?:\\x[0-9a-f]{2}|.){0,15}?)"  # a byte may be written as an escape
DEV = r"(?P<dev>[\w:!./-]+)"
# dev_err() and the like put driver and device, `ahci 0000:00:1f.2: `, before the text.
# The text goes on with a name of the kernel; `usb 1-1: Product: ` is followed by a text of the device.
BUS = r"(?:[\w.-]+ (?=\S*\d)[\w:.-]*[\w.-](?: [^\s:]{1,16})?: )?"


def texts(text: str) -> list[str]:
    r"""Split the text of a record at line feeds, which printk keeps; safe text writes them as ``\x0a``."""
    if "\\x" not in text:
        return [text]
    return text.replace("\\x09", " ").replace("\\x0d", "").split("\\x0a")
