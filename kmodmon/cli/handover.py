"""`kmodmon handover`: what ExecStartPre=+ of the unit runs as root, so that the daemon needs no capability for it."""

import argparse
import os
import sys

from kmodmon.system.passed import FLAGS, HANDED
from kmodmon.system.root import Root
from kmodmon.system.sd_notify import Notifier
from kmodmon.types.error import KmodmonError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    del parser  # what it opens is a fact of this program: `system.passed`


def run(args: argparse.Namespace) -> int:
    """Open what is listed and have systemd keep it for the daemon; 0 all, 3 not all. Raises KmodmonError."""
    del args
    if "NOTIFY_SOCKET" not in os.environ:
        raise KmodmonError("only systemd can run this: see ExecStartPre= in the packaged unit (kmodmon export unit)")
    notifier = Notifier()
    missing = 0
    for name, path_in in HANDED.items():
        path = path_in(Root())
        try:
            fd = os.open(path, FLAGS)
        except OSError as error:
            print(f"kmodmon: {os.fsdecode(path)}: {error.strerror}; the daemon goes without", file=sys.stderr)
            missing += 1
            continue
        notifier.hand_over(name, fd)
        os.close(fd)
    notifier.close()
    return 3 if missing or notifier.dropped else 0
