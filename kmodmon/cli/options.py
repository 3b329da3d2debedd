"""The options that most verbs share (--json, --no-color, --config, --root, --path.*), as settings and root."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kmodmon.cli import Verb
from kmodmon.types.error import KmodmonError

if TYPE_CHECKING:
    from kmodmon.config.sections import PathSettings
    from kmodmon.config.settings import Settings
    from kmodmon.system.root import Root

# Importing config and root takes a third of the time of a short command: only the verbs that need them do it.


def add_shared(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Add the shared options that `verb` takes."""
    output = parser.add_argument_group("output")
    if verb.listing:
        output.add_argument("--json", action="store_true", help="Print JSON with stable keys.")
    output.add_argument("--no-color", action="store_true", help="No colour, as with NO_COLOR in the environment.")
    if verb.host:
        from kmodmon.config.load import add_flags

        host = parser.add_argument_group("host and settings")
        host.add_argument(
            "--config", type=Path, metavar="FILE", help="Settings file. Default: /etc/kmodmon/kmodmon.toml."
        )
        add_flags(parser, verb.sections, hidden=not verb.shown)


def whole_number(text: str) -> int:
    """The type of options that take a number: ASCII digits; raises ArgumentTypeError, also for what int() takes."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def settings_of(args: argparse.Namespace) -> "Settings":
    """Give the settings of the file and flags in `args`; raises ConfigError."""
    from kmodmon.config.load import flags_of, load

    config: Path | None = args.config
    return load(config, flags_of(args))


def root_of(args: argparse.Namespace, settings: "Settings") -> "Root":
    """Give the host that `args` and `settings` name; raises KmodmonError for a --root that is none."""
    from kmodmon.system.root import recorded_failures

    tree: Path | None = args.root
    root = located(settings.path)
    if tree is None:
        return root
    if not tree.is_dir():
        raise KmodmonError(f"{tree}: there is no such directory; `kmodmon record DIR` makes a tree for --root")
    return root.failing(recorded_failures(tree))


def located(path: "PathSettings") -> "Root":
    """Give the host whose interfaces are mounted at the paths of the settings."""
    from kmodmon.system.root import Root

    return Root(
        procfs=_bytes(path.procfs),
        sysfs=_bytes(path.sysfs),
        rootfs=_bytes(path.rootfs),
        tracefs=_bytes(path.tracefs),
        securityfs=_bytes(path.securityfs),
        debugfs=_bytes(path.debugfs),
        dev=_bytes(path.dev),
        modules=_bytes(path.modules),
        efivars=_bytes(path.efivars),
        pstore=_bytes(path.pstore),
        kallsyms=_bytes(path.kallsyms),
    )


def _bytes(path: Path) -> bytes:
    return os.fsencode(path.absolute())
