"""`kmodmon preflight FILE.ko…`: whether module files would load on this kernel; each obstacle with its remedy."""

import argparse
import os

from kmodmon.cli.gather import gather
from kmodmon.cli.output import Screen
from kmodmon.examiner.loader_host import PreflightRequest, gather_preflight
from kmodmon.preflight import preflight, render_verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    parser.add_argument("file", nargs="+", metavar="FILE", help="Module files, in the order of loading.")
    parser.add_argument("--kernel", metavar="RELEASE", help="Another installed kernel instead of the running one.")


def run(args: argparse.Namespace) -> int:
    """Print one verdict for each file; 0 all would load, 1 one would not or it is unknown, 3 nothing can be read."""
    host = gather(args, ("kernel", "modules", "posture", "lockdown", "secure_boot"))
    request = PreflightRequest(
        files=tuple(os.path.abspath(name) for name in args.file),
        release=args.kernel,
        certificates=(str(host.settings.certificates.directory),),
        revoked=(str(host.settings.certificates.revoked),),
    )
    gathered = gather_preflight(host.root, host.state, request)
    verdicts = preflight(gathered.candidates, gathered.host)
    screen = Screen.of(args)
    if args.json:
        screen.json([verdict.to_json() for verdict in verdicts])
    else:
        for verdict in verdicts:
            for line in render_verdict(verdict).splitlines():
                screen.line(line)
        for problem in gathered.problems:
            screen.line(f"note: {problem}")
    return 0 if all(verdict.loads for verdict in verdicts) else 1
