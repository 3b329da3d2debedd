"""One record of the kernel log, as the recognizer takes it, from /dev/kmsg or from a saved file.

The text is safe text (`kmodmon.types.text`), not bytes. The daemon sends every raw record through the prefilter as
bytes and makes a LogLine only of the few that a report can begin or go on with, so the decoding costs nothing where
speed counts, and everything right of here is printable.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line; every None means that the place it was read from does not say."""

    text: str  # safe text, without prefix; an embedded line feed is the four characters \x0a
    level: int | None = None  # 0 (emerg) to 7 (debug)
    facility: int | None = None  # 0: the kernel; None: unknown (offline), taken for the kernel; others are user space
    seq: int | None = None  # /dev/kmsg sequence number
    printk_usec: int | None = None  # printk's clock
    caller: str | None = None  # `T123` or `C0`, only of kernels with CONFIG_PRINTK_CALLER
    continuation: bool = False  # goes on with the record before it (flag `c` of /dev/kmsg)
    number: int = 0  # what reports call this line: 1-based line of a saved log, or the sequence number

    @property
    def from_kernel(self) -> bool:
        """Whether the kernel may have written it; user space can write to /dev/kmsg, but never with facility 0."""
        return not self.facility
