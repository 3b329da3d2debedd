"""`kmodmon export`: write the files that come with kmodmon into a directory.

Each file appears whole or not at all. One that is there already is only replaced with --force; that is found out before
anything is written.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from kmodmon.cli.output import Screen
from kmodmon.config.load import FILE_NAME
from kmodmon.config.render import default_toml
from kmodmon.policy.document import example_toml
from kmodmon.system.packaged import packaged
from kmodmon.types.error import KmodmonError

EXAMPLE = "policy.toml.example"  # not by the name that is read: later versions bring better rules

Files = Mapping[str, bytes]


def _tree(room: str, below: str, *patterns: str) -> Files:
    base = packaged(room) / below
    found = sorted({path for pattern in patterns for path in base.glob(pattern) if path.is_file()})
    return {str(path.relative_to(base)): path.read_bytes() for path in found}


_WHAT: Mapping[str, Callable[[], Files]] = {
    "rules": lambda: _tree("grafana", "alerts", "*.yml"),
    "dashboards": lambda: _tree("grafana", "dashboards", "**/*.json", "**/*.yml"),
    "unit": lambda: _tree("systemd", "", "**/*.service", "**/*.socket", "**/*.conf", "**/*.example"),
    "catalog": lambda: _tree("systemd", "", "*.catalog"),
    "config": lambda: {FILE_NAME: default_toml().encode(), EXAMPLE: example_toml().encode()},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to write, where, and whether over what is there."""
    parser.add_argument("what", choices=tuple(_WHAT), help="What to write.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="Where to; it is made if it does not exist.")
    parser.add_argument("--force", action="store_true", help="Replace files that are there.")


def run(args: argparse.Namespace) -> int:
    """Write the files and print their paths; raises KmodmonError when one is there, or there are none."""
    files = _WHAT[args.what]()
    if not files:
        raise KmodmonError(f"this version of kmodmon carries no {args.what}")
    directory: Path = args.directory
    there = [name for name in files if os.path.lexists(directory / name)]
    if there and not args.force:
        raise KmodmonError(f"{directory / there[0]}: is there already; --force replaces it")
    screen = Screen.of(args)
    for name, content in files.items():
        _write(directory / name, content, force=args.force)
        screen.line(str(directory / name))
    return 0


def _write(path: Path, content: bytes, *, force: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "wb") as stream:
            stream.write(content)
            os.fchmod(fd, 0o644)
            os.fsync(fd)
        if force:
            os.replace(name, path)
        else:
            os.link(name, path)  # unlike rename, it never replaces what appeared meanwhile
    finally:
        Path(name).unlink(missing_ok=True)
