"""The verbs of the command `kmodmon`: one file each, listed here, and imported only when used.

The module of a verb has ``add_arguments(parser)`` for its own arguments and ``run(args) -> int`` for the work; the
frame adds --json, --no-color, --config, --root and --path.* (see `options.py`). A test fails for a file not listed.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kmodmon.types.error import KmodmonError


class UsageError(KmodmonError):
    """A command line that cannot be understood; exit code 2. `prog` is the command and verb that was called."""

    def __init__(self, prog: str, why: str) -> None:
        self.prog = prog
        super().__init__(why)


class VerbModule(Protocol):
    """What the module of a verb provides."""

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Declare the verb's own arguments."""
        ...

    def run(self, args: argparse.Namespace, /) -> int:
        """Do the work and give the exit code."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """What the frame needs to know of a verb before its module is imported."""

    name: str
    help: str
    host: bool = True  # reads a host: takes --config, --root and the flags of `sections`
    listing: bool = True  # takes --json
    sections: tuple[str, ...] | None = ("path", "history")  # sections of the settings that have flags; None: all
    shown: bool = False  # --help lists those flags
    once: bool = True  # reads the kernel's interfaces once, or may

    @property
    def module(self) -> str:
        """The name of its module."""
        return f"kmodmon.cli.{self.name}"


JUDGED = ("path", "history", "policy", "baseline", "expected")

VERBS: tuple[Verb, ...] = (
    Verb(name="run", help="run the daemon", listing=False, sections=None, shown=True, once=False),
    Verb(name="status", help="show the kernel's trust on one screen", sections=JUDGED),
    Verb(name="modules", help="list the loaded modules"),
    Verb(name="taint", help="explain the kernel's taint, or any taint number"),
    Verb(name="explain", help="say what a message, errno, taint or module means; find the reports in a saved log",
         once=False),
    Verb(name="events", help="show the history: what happened, when, and who did it", sections=("history",),
         once=False),
    Verb(name="preflight", help="say whether a module file would load on this kernel, and if not, why"),
    Verb(name="check", help="print all findings, with an exit code for monitoring systems", sections=JUDGED),
    Verb(name="baseline", help="write down what this host is like, see what differs, sign it off",
         sections=("path", "history", "baseline")),
    Verb(name="doctor", help="say what can be seen on this host, and what to change to see the rest"),
    Verb(name="metrics", help="print one reading as Prometheus metrics", listing=False),
    Verb(name="record", help="copy this host's interfaces, redacted, into a directory", listing=False),
    Verb(name="handover", help="for the systemd unit: open, as root, what the daemon may not open, and pass it on",
         host=False, listing=False, once=False),
    Verb(
        name="export",
        help="write the packaged rules, dashboards, systemd unit, journal catalog or a commented configuration",
        host=False, listing=False, once=False,
    ),
)  # fmt: skip


def reads_once(argv: Sequence[str]) -> bool:
    """Whether a command line is one of a verb that reads the kernel's interfaces once."""
    return any(verb.once for verb in VERBS if argv and verb.name == argv[0])
