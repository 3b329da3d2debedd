"""What the recognizer reads of one record of the kernel log, whoever parsed it.

`KmsgRecord` (a live record of /dev/kmsg) and `SavedLine` (a line of a saved log) both have it and are used as they are:
nothing is copied between a parser and the recognizer.
"""

from typing import Protocol


class LogLine(Protocol):
    """One record of /dev/kmsg, or one line of a saved log."""

    @property
    def printable(self) -> str:
        r"""The text without prefix, as safe text: an embedded line feed is the four characters ``\x0a``."""

    @property
    def number(self) -> int:
        """What reports call this line: the sequence number, or the line of the saved log, from 1 on."""

    @property
    def facility(self) -> int | None:
        """0: the kernel; None: a saved log that does not say; others are user space."""

    @property
    def from_kernel(self) -> bool:
        """Whether the kernel may have written it; user space can write to /dev/kmsg, but never with facility 0."""

    @property
    def printk_usec(self) -> int | None:
        """The stamp in microseconds of printk's clock; None: a saved log without stamps."""

    @property
    def caller(self) -> str | None:
        """`T123` (thread) or `C0` (CPU); None: a kernel without CONFIG_PRINTK_CALLER, or a log that leaves it out."""

    @property
    def continuation(self) -> bool:
        """Whether it continues the record before it (flag `c` of /dev/kmsg)."""
