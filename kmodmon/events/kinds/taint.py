"""Event kinds of the kernel's taint."""

from typing import TYPE_CHECKING, ClassVar

from kmodmon.events.event import EventDetails, EventKind, EventType

if TYPE_CHECKING:  # a command that shows events makes none
    from kmodmon.events.cause import Cause


class TaintAdded(EventDetails):
    """A taint bit of the kernel was set."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("TaintAdded"),
        message_id="3792014ede9840c0b1fc1d9a1cbc25b3",
        sentence="The kernel is now tainted by {flag|a flag}[ ({letter})][, cause {cause}][, by {actor}]",
        title="A taint flag was set",
        advice="The kernel marks for good that something bears on its trust. Flag and cause are in KMODMON_FIELDS.\n"
        "`kmodmon taint` explains each flag and names its cause.",
    )
    flag: str
    letter: str
    bit: int
    cause: "Cause"
    tier: str
    value: int  # of /proc/sys/kernel/tainted


class TaintCleared(EventDetails):
    """A taint bit was cleared, which the kernel itself never does."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("TaintCleared"),
        message_id="448c285fc3824645a644f5b265dced40",
        sentence="Taint flag {flag|of the kernel}[ ({letter})] is gone, which the kernel itself never does[: {old} "
        "became {new}]",
        title="A taint flag fell",
        advice="The kernel never clears a flag, and a write to /proc/sys/kernel/tainted only adds: somebody "
        "changed kernel memory to hide a trace.\n"
        "Treat the host as compromised. `kmodmon events --type TaintAdded` shows what the flag told of.",
    )
    flag: str
    letter: str
    bit: int
    old: int  # /proc/sys/kernel/tainted before
    new: int  # and after
