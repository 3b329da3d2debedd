"""`kmodmon run`: the daemon."""

import argparse

from kmodmon.cli.options import root_of, settings_of
from kmodmon.config.load import default_file
from kmodmon.system.clock import SystemClock
from kmodmon.system.memory_footprint import limit_memory
from kmodmon.system.partial_import import import_submodule

# What prometheus_client.exposition imports for its web server and its push gateway client, which are not used here.
_UNUSED = ("http.server", "socketserver", "urllib.error", "urllib.request", "wsgiref.simple_server")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    del parser  # all its options are settings


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM; 0 then. Raises ConfigError (2) for bad settings, KmodmonError (3) when it cannot start."""
    limit_memory()
    import_partially()
    from kmodmon.runtime.daemon import Options, run_daemon  # after import_partially: it would import them whole
    from kmodmon.system.journal import set_up_logging
    from kmodmon.system.sd_notify import Notifier

    set_up_logging()
    options = Options(
        load=lambda: settings_of(args),
        root_of=lambda settings: root_of(args, settings),
        config_file=args.config or default_file(),
    )
    run_daemon(options, SystemClock(), Notifier())
    return 0


def import_partially() -> None:
    """Import prometheus-client without what it brings beside the parts that the daemon uses."""
    import_submodule("prometheus_client", "exposition", unused=_UNUSED)
