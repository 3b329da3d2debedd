"""Layer 3, edges in: one file per kernel interface. Every source is listed here, and nowhere else.

Order matters once: what explains is read before what it explains, so `modules` comes before `taint`.
"""

from kmodmon.sources import builtin, modules, taint
from kmodmon.sources.source import EventSource, PollSource

POLLED: tuple[PollSource, ...] = (
    modules.SOURCE,
    taint.SOURCE,
    builtin.SOURCE,
)
FOLLOWED: tuple[EventSource, ...] = ()
