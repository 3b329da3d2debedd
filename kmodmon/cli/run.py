"""`kmodmon run`: the daemon."""

import argparse
import importlib
import importlib.util
import os
import sys

from kmodmon.cli.options import root_of, settings_of
from kmodmon.config.load import default_file
from kmodmon.system.clock import SystemClock
from kmodmon.system.memory_footprint import limit_memory
from kmodmon.system.partial_import import absent, import_submodule, placeholders
from kmodmon.system.passed import with_handed

# What prometheus_client.exposition imports for its web server and its push gateway client, which are not used here.
_UNUSED = ("http.server", "socketserver", "urllib.error", "urllib.request", "wsgiref.simple_server")
# The hashes of which hashlib has code of its own. Fedora and Enterprise Linux build Python with OpenSSL's only.
_OWN_HASHES = (
    "_md5",
    "_sha1",
    "_sha3",
    "_blake2",
    *(("_sha2",) if sys.version_info >= (3, 12) else ("_sha256", "_sha512")),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    del parser  # all its options are settings


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM; 0 then. Raises ConfigError (2) for bad settings, KmodmonError (3) when it cannot start."""
    limit_memory()
    from kmodmon.system.journal import set_up_logging

    set_up_logging()
    settings = settings_of(args)
    import_partially(tls=settings.web.config_file is not None)
    from kmodmon.runtime.daemon import Options, run_daemon  # after import_partially: it would import them whole
    from kmodmon.system.sd_notify import Notifier

    options = Options(
        load=lambda: settings_of(args),
        root_of=lambda settings: with_handed(root_of(args, settings), os.environ),
        config_file=args.config or default_file(),
    )
    run_daemon(options, settings, SystemClock(), Notifier())
    return 0


def import_partially(*, tls: bool) -> None:
    """Import what large packages bring only as far as the daemon uses it; `tls`: with OpenSSL.

    OpenSSL takes 5 MiB. Without TLS nothing else needs it: hashlib mostly has a SHA-256 of its own, with which the hash
    of an event takes 2 microseconds more.
    """
    if not tls:
        own_hashes = all(importlib.util.find_spec(name) for name in _OWN_HASHES)
        with absent(("ssl", "_hashlib") if own_hashes else ("ssl",)):
            for name in ("asyncio", "hashlib", "hmac"):
                importlib.import_module(name)
    with placeholders(("html.entities",)):  # the names of 2,231 characters, which html.unescape alone needs
        importlib.import_module("html")
    import_submodule("prometheus_client", "exposition", unused=_UNUSED if tls else (*_UNUSED, "ssl"))
