"""The sources that are read from time to time.

Order matters: what explains is read before what it explains, so `kernel` comes first and `modules` before `taint`. The
files of rules come late, because nothing is judged before them.
"""

from kmodmon.sources import (
    builtin,
    crossview,
    files,
    kernel,
    modprobe,
    modules,
    parameters,
    posture,
    pstore,
    rules,
    taint,
)
from kmodmon.sources.source import PollSource

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
