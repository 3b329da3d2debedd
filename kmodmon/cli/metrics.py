"""`kmodmon metrics`: read the host once and print its metrics, or write them for node_exporter's textfile collector."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from kmodmon.cli.gather import gather
from kmodmon.events.timestamps import happened_before
from kmodmon.metrics import EVENT_METRICS, METRICS
from kmodmon.metrics.exposition import Exposition, ExpositionFormat
from kmodmon.system.file_write import write_file
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
    # Whatever a single reading finds has happened before it. Timestamps of this moment would look like new events to
    # Prometheus each time that a timer runs this.
    state = replace(state, stamps=happened_before(state.stamps, state.started))
    body = Exposition(METRICS).body(state, form)
    if args.textfile is None:
        sys.stdout.write(body.decode())
    else:
        write_textfile(args.textfile, body)
    return 0


def write_textfile(path: Path, body: bytes) -> None:
    """Replace `path` in one step, because the collector may read it at any time; raises KmodmonError."""
    if path.suffix != ".prom":
        raise KmodmonError(f"{path}: the textfile collector reads only names that end in .prom")
    try:
        write_file(path, body, sync=False)  # it is outdated in a minute: not worth waiting for the disk
    except OSError as error:
        raise KmodmonError(f"{path}: cannot be written: {error.strerror}") from error
