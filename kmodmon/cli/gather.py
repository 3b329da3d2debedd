"""One look at the host for a verb: the kernel itself, and what a daemon of this boot remembered, if readable."""

import argparse
from dataclasses import dataclass

from kmodmon.cli.options import root_of, settings_of
from kmodmon.clock import SystemClock
from kmodmon.host import boot_id, look_once
from kmodmon.model.state import State
from kmodmon.root import Root
from kmodmon.settings import Settings
from kmodmon.sources.source import Surroundings
from kmodmon.store.remembered import remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The host at one look."""

    settings: Settings
    root: Root
    state: State
    history: str  # empty: the history was readable; else why not


def gather(args: argparse.Namespace, *, files: bool = False) -> Gathered:
    """Look at the host that the options name, at module files too if wanted.

    Raises KmodmonError for bad options or settings.
    """
    settings = settings_of(args)
    root = root_of(args, settings)
    saved, why = remembered(settings.history.directory, boot_id(root))
    state = look_once(Surroundings(root=root, settings=settings, clock=SystemClock()), saved, files=files)
    return Gathered(settings=settings, root=root, state=state, history=why)
