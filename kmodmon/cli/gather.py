"""Reading the host for a verb: the kernel's interfaces once, and the checkpoints of a daemon of this boot."""

import argparse
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from kmodmon.cli.options import root_of, settings_of
from kmodmon.config.settings import Settings
from kmodmon.events.timestamps import NO_EVENT_METRICS, EventMetrics
from kmodmon.runtime.one_shot import DaemonMemory, Scope, boot_id, look_once
from kmodmon.sources.source import SourceContext
from kmodmon.state.state import State
from kmodmon.store.checkpoints import load_checkpoints
from kmodmon.subjects.source import SourceState, sources_from_json
from kmodmon.system.clock import SystemClock
from kmodmon.system.root import Root
from kmodmon.types.source_name import SourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandInput:
    """The state of a host, and the settings it was read with."""

    settings: Settings
    root: Root
    state: State
    history_error: str  # why the history cannot be read; empty: it can
    of_daemon: Mapping[SourceName, SourceState]  # sources as the daemon that runs now reads them; empty: none runs

    def why_unreadable(self, source: SourceName) -> str:
        """Why a source could not be read, and what the user can do."""
        return f"{self.state.sources[source].why}; `kmodmon doctor` says what to change"


def gather(
    args: argparse.Namespace,
    only: Collection[str] | None = None,
    *,
    thorough: bool = False,
    event_metrics: EventMetrics = NO_EVENT_METRICS,
) -> CommandInput:
    """Read the host that the options name, from `only` these sources (None: all).

    `thorough`: module files that a running daemon has not examined yet are examined here, however long that takes.
    Raises KmodmonError for bad options or settings.
    """
    settings = settings_of(args)
    root = root_of(args, settings)
    checkpoints = load_checkpoints(settings.history.directory, boot_id(root))
    state = look_once(
        SourceContext(root=root, settings=settings, clock=SystemClock()),
        DaemonMemory(saved=checkpoints.saved, daemon_running=checkpoints.daemon_running),
        Scope(only=only, thorough=thorough, say=_say),
        event_metrics,
    )
    of_daemon = sources_from_json(checkpoints.saved.get("sources", {})) if checkpoints.daemon_running else {}
    return CommandInput(settings=settings, root=root, state=state, history_error=checkpoints.why, of_daemon=of_daemon)


def _say(sentence: str) -> None:
    if sys.stderr.isatty():
        print(f"kmodmon: {sentence}", file=sys.stderr, flush=True)
