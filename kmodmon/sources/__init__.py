"""Layer 3, edges in: one file per kernel interface. Every source is listed here, and nowhere else.

Order matters: what explains is read before what it explains, so `kernel` comes first and `modules` before `taint`. The
files of rules come late, because nothing is judged before them.
"""

from kmodmon.sources import (
    builtin,
    crossview,
    files,
    kernel,
    kmsg,
    modprobe,
    modules,
    parameters,
    posture,
    pstore,
    rules,
    taint,
    trace,
    uevent,
    watch,
)
from kmodmon.sources.source import EventSource, PollSource

POLLED: tuple[PollSource, ...] = (
    kernel.SOURCE,
    modules.SOURCE,
    taint.SOURCE,
    *posture.SOURCES,
    parameters.SOURCE,
    builtin.SOURCE,
    pstore.SOURCE,
    crossview.SOURCE,
    modprobe.SOURCE,
    *rules.SOURCES,
    files.SOURCE,
)
FOLLOWED: tuple[EventSource, ...] = (trace.SOURCE, uevent.SOURCE, kmsg.SOURCE, watch.SOURCE)
