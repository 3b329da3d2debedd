"""`kmodmon export`: write files that come with kmodmon into a directory.

A file is written whole or not at all. Existing files are replaced only with --force, and without it nothing is written
if any of them exists.
"""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from kmodmon.cli.output import Screen
from kmodmon.config.load import FILE_NAME
from kmodmon.config.render import default_toml
from kmodmon.policy.document import example_toml
from kmodmon.system.file_write import write_file
from kmodmon.system.packaged import packaged
from kmodmon.types.error import KmodmonError

EXAMPLE = "policy.toml.example"  # not `policy.toml`, which would replace the rules that later versions ship

Files = Mapping[str, bytes]


def _tree(room: str, below: str, *patterns: str) -> Files:
    base = packaged(room) / below
    paths = sorted({path for pattern in patterns for path in base.glob(pattern) if path.is_file()})
    return {str(path.relative_to(base)): path.read_bytes() for path in paths}


_WHAT: Mapping[str, Callable[[], Files]] = {
    "rules": lambda: _tree("grafana", "alerts", "*.yml"),
    "dashboards": lambda: _tree("grafana", "dashboards", "**/*.json", "**/*.yml"),
    "unit": lambda: _tree("systemd", "", "**/*.service", "**/*.socket", "**/*.conf", "**/*.example"),
    "catalog": lambda: _tree("systemd", "", "*.catalog"),
    "config": lambda: {FILE_NAME: default_toml().encode(), EXAMPLE: example_toml().encode()},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    parser.add_argument("what", choices=tuple(_WHAT), help="What to write.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="Where to; it is made if it does not exist.")
    parser.add_argument("--force", action="store_true", help="Replace files that are there.")


def run(args: argparse.Namespace) -> int:
    """Write the files and print their paths; raises KmodmonError when one exists, or when there are none."""
    files = _WHAT[args.what]()
    if not files:
        raise KmodmonError(f"this version of kmodmon carries no {args.what}")
    directory: Path = args.directory
    existing = [name for name in files if os.path.lexists(directory / name)]
    if existing and not args.force:
        raise KmodmonError(f"{directory / existing[0]}: is there already; --force replaces it")
    screen = Screen.of(args)
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content, replace=args.force)
        screen.line(str(path))
    return 0
