"""`kmodmon run`: the daemon."""

import argparse

from kmodmon.cli.options import root_of, settings_of
from kmodmon.clock import SystemClock
from kmodmon.config import default_file
from kmodmon.daemon import Options, run_daemon
from kmodmon.journal import set_up_logging
from kmodmon.sdnotify import Notifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    del parser  # all its options are settings


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM; 0 then. Raises ConfigError (2) for bad settings, KmodmonError (3) when it cannot start."""
    set_up_logging()
    options = Options(
        load=lambda: settings_of(args),
        root_of=lambda settings: root_of(args, settings),
        config_file=args.config or default_file(),
    )
    run_daemon(options, SystemClock(), Notifier())
    return 0
