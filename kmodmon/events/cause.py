"""The cause of a taint bit. Its public text form is `module:NAME`, `report:SIGNATURE`, or one word."""

import enum
from dataclasses import dataclass


class CauseKind(enum.StrEnum):
    """Kinds of cause; the values are public (label `cause`, field `cause`, condition `kind` of a policy rule)."""

    MODULE = "module"  # a module that carries the letter was loaded, or its load failed after it had tainted
    REPORT = "report"  # a kernel report of a class that sets the bit
    USER = "user"  # TAINT_USER without another cause; the bit itself means that a user requested it
    BEFORE_START = "before-start"  # set before the first reading of this boot, and nothing in the log explains it
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause."""

    kind: CauseKind
    name: str = ""  # of the module or the log signature; empty for the other kinds

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}" if self.name else self.kind.value

    @classmethod
    def of_module(cls, name: str) -> "Cause":
        """The module `name`."""
        return cls(CauseKind.MODULE, name)

    @classmethod
    def of_report(cls, signature: str) -> "Cause":
        """A kernel report of this log signature."""
        return cls(CauseKind.REPORT, signature)


USER = Cause(CauseKind.USER)
BEFORE_START = Cause(CauseKind.BEFORE_START)
UNEXPLAINED = Cause(CauseKind.UNEXPLAINED)


def parse_cause(text: str) -> Cause:
    """Undo `str(cause)`; a text of another form is UNEXPLAINED."""
    kind, _, name = text.partition(":")
    try:
        return Cause(CauseKind(kind), name)
    except ValueError:
        return UNEXPLAINED
