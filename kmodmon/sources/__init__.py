"""Layer 3, edges in: one file per kernel interface. Every source is listed here, and nowhere else.

Order matters: what explains is read before what it explains, so `kernel` comes first and `modules` before `taint`.
"""

from kmodmon.sources import builtin, crossview, kernel, kmsg, modules, parameters, posture, taint, trace, uevent
from kmodmon.sources.source import EventSource, PollSource

POLLED: tuple[PollSource, ...] = (
    kernel.SOURCE,
    modules.SOURCE,
    taint.SOURCE,
    *posture.SOURCES,
    parameters.SOURCE,
    builtin.SOURCE,
    crossview.SOURCE,
)
FOLLOWED: tuple[EventSource, ...] = (trace.SOURCE, uevent.SOURCE, kmsg.SOURCE)
