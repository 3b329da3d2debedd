"""One look at the host for a verb: the kernel itself, and what a daemon of this boot remembered, if readable."""

import argparse
import sys
from collections.abc import Collection
from dataclasses import dataclass

from kmodmon.cli.options import root_of, settings_of
from kmodmon.config.settings import Settings
from kmodmon.runtime.one_shot import DaemonMemory, Scope, boot_id, look_once
from kmodmon.sources.source import SourceContext
from kmodmon.state.state import State
from kmodmon.store.checkpoints import load_checkpoints
from kmodmon.system.clock import SystemClock
from kmodmon.system.root import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandInput:
    """The host at one look."""

    settings: Settings
    root: Root
    state: State
    history: str  # empty: the history was readable; else why not


def gather(args: argparse.Namespace, only: Collection[str] | None = None, *, thorough: bool = False) -> CommandInput:
    """Look at the host that the options name, by `only` these sources (None: all).

    `thorough`: what a daemon has not examined yet is examined here, however long that takes. Raises KmodmonError for
    bad options or settings.
    """
    settings = settings_of(args)
    root = root_of(args, settings)
    known = load_checkpoints(settings.history.directory, boot_id(root))
    state = look_once(
        SourceContext(root=root, settings=settings, clock=SystemClock()),
        DaemonMemory(saved=known.saved, daemon_running=known.daemon_running),
        Scope(only=only, thorough=thorough, say=_say),
    )
    return CommandInput(settings=settings, root=root, state=state, history=known.why)


def _say(sentence: str) -> None:
    if sys.stderr.isatty():
        print(f"kmodmon: {sentence}", file=sys.stderr, flush=True)
