"""`kmodmon doctor`: which sources can be read on this host, and what to change to read the others.

Root, who calls it, may read more than the daemon. So while a daemon runs, what that cannot read is shown as it says.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from kmodmon.cli.gather import CommandInput, gather
from kmodmon.cli.output import Cell, Column, Screen, Tint, Tinted
from kmodmon.sources.followed import FOLLOWED
from kmodmon.sources.probe import PROBES
from kmodmon.sources.registry import POLLED
from kmodmon.sources.source import EventSource, PollSource
from kmodmon.sources.timed_call import HungError, call_in_time
from kmodmon.subjects.source import SourceState, SourceStatus, source_read
from kmodmon.system.clock import SystemClock
from kmodmon.types.outcome import Failed, Outcome
from kmodmon.types.source_name import SourceName
from kmodmon.view.sources import source_view

_COLUMNS = (
    Column(title="SOURCE"),
    Column(title="STATE"),
    Column(title="INTERFACE", least=20),
    Column(title="WHAT IS MISSING, AND WHAT TO DO", least=30),
)
_ALL: tuple[PollSource | EventSource, ...] = (*POLLED, *FOLLOWED)
_BY_NAME = {source.name: source for source in _ALL}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    del parser  # it takes only the shared ones


def run(args: argparse.Namespace) -> int:
    """Print the sources; 0 all can be read, 1 some cannot. A source that the kernel does not offer is no failure."""
    host = gather(args)
    sources = [_as_of_daemon(source, host.of_daemon) for source in (*host.state.sources.values(), *_followed(host))]
    screen = Screen.of(args)
    if args.json:
        screen.json(
            [
                {
                    **source_view(source),
                    "interfaces": list(_BY_NAME[source.name].interfaces),
                    "grant": _BY_NAME[source.name].remedy,
                }
                for source in sources
            ]
        )
    else:
        screen.table(_COLUMNS, [_row(source) for source in sources])
        if host.history_error:
            screen.line(f"The history is not readable: {host.history_error}")
    return 1 if any(source.present and not source.up for source in sources) else 0


def _followed(host: CommandInput) -> Iterator[SourceState]:
    # Event sources are read by a daemon only; here each is probed for whether it could be.
    at = SystemClock().now()
    for name, probe in PROBES.items():
        outcome = _probed(partial(probe, host.root))
        yield source_read(SourceState(name=name), outcome, at)[0]


def _as_of_daemon(source: SourceState, of_daemon: Mapping[SourceName, SourceState]) -> SourceState:
    theirs = of_daemon.get(source.name, source)
    if theirs.status is SourceStatus.NOT_READ or (theirs.up and theirs.unreadable <= source.unreadable):
        return source
    return replace(theirs, why=f"the running daemon: {theirs.why or f'{theirs.unreadable} parts cannot be read'}")


def _probed(probe: Callable[[], Outcome[None]]) -> Outcome[None]:
    try:
        return call_in_time(probe)
    except HungError as error:
        return Failed(error.why, error.errno, hung=True)


def _row(source: SourceState) -> tuple[Cell, ...]:
    declared = _BY_NAME[source.name]
    if source.up:
        state = Tinted("up", Tint.GOOD)
        missing = f"{source.unreadable} unreadable" if source.unreadable else ""
        if source.why:  # the daemon reads less of it than this command does
            missing = f"{source.why}; {declared.remedy}"
    elif source.present:
        state = Tinted("hung" if source.hung else "failed", Tint.BAD)
        missing = f"{source.why}; {declared.remedy}" if declared.remedy else source.why
    else:
        state = Tinted("absent", Tint.FAINT)
        missing = _absent(source, declared.remedy)
    return (source.name, state, " ".join(declared.interfaces), missing)


def _absent(source: SourceState, remedy: str) -> str:
    # An absent interface may be not mounted, or not built into the kernel: only the operator can tell which.
    return f"{source.why}; if this kernel offers it: {remedy}" if remedy and source.remediable else source.why
