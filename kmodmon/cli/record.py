"""`kmodmon record DIR`: copy this host's kernel interfaces, redacted, into a directory that --root reads."""

import argparse
from pathlib import Path

from kmodmon.cli.options import root_of, settings_of
from kmodmon.runtime.recorder import Recorder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="A new directory for the copy.")


def run(args: argparse.Namespace) -> int:
    """Write the copy; 0, or 3 when the directory cannot be written."""
    settings = settings_of(args)
    recorder = Recorder(root=root_of(args, settings), target=args.directory, settings=settings.parameters)
    recorder.record()
    print(
        f"{recorder.copied} files in {args.directory}; {len(recorder.failures)} could not be read (see manifest.json)"
    )
    return 0
