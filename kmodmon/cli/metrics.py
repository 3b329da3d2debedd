"""`kmodmon metrics`: one read, printed as exposition text, or written for node_exporter's textfile collector."""

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from kmodmon.cli.gather import gather
from kmodmon.events.timestamps import happened_before
from kmodmon.metrics import EVENT_METRICS, METRICS
from kmodmon.metrics.exposition import Exposition, ExpositionFormat
from kmodmon.types.error import KmodmonError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    parser.add_argument(
        "--textfile",
        type=Path,
        metavar="FILE",
        help="Write FILE (its name ends in .prom) in one step instead of printing.",
    )
    parser.add_argument("--openmetrics", action="store_true", help="OpenMetrics instead of the text format.")


def run(args: argparse.Namespace) -> int:
    """Print or write the metrics; 0, or 3 when the file cannot be written."""
    form = ExpositionFormat.OPENMETRICS if args.openmetrics else ExpositionFormat.TEXT
    state = gather(args, event_metrics=EVENT_METRICS).state
    # What one look finds did not happen just now: written by a timer, it would be news at every run.
    state = replace(state, stamps=happened_before(state.stamps, state.started))
    body = Exposition(METRICS).body(state, form)
    if args.textfile is None:
        sys.stdout.write(body.decode())
    else:
        write_textfile(args.textfile, body)
    return 0


def write_textfile(path: Path, body: bytes) -> None:
    """Replace `path` in one step, readable by all; raises KmodmonError. The collector never sees half a file."""
    if path.suffix != ".prom":
        raise KmodmonError(f"{path}: the textfile collector reads only names that end in .prom")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            try:
                stream.write(body)
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)
                os.replace(stream.name, path)
            except OSError:
                Path(stream.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise KmodmonError(f"{path}: cannot be written: {error.strerror}") from error
