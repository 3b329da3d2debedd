"""The sources, as the API and `kmodmon doctor --json` show them: which interfaces can be read on this host."""

from collections.abc import Mapping, Sequence

from kmodmon.subjects.source import SourceState
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import JsonObject


def sources_view(sources: Mapping[SourceName, SourceState]) -> Sequence[JsonObject]:
    """Every source, in the order in which they are read."""
    return [source_view(source) for source in sources.values()]


def source_view(source: SourceState) -> JsonObject:
    """One source; `why` is empty while it is up, `last_read` is the last success, CLOCK_REALTIME in microseconds.

    `hung`: a reading has begun that does not end.
    """
    return {
        "source": source.name,
        "present": source.present,
        "up": source.up,
        "hung": source.hung,
        "why": source.why,
        "last_read": None if source.last_read is None else source.last_read.realtime_usec,
        "lost": source.lost,
        "unreadable": source.unreadable,
    }
