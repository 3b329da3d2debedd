"""The sources that are followed: what they hear wakes those that are polled."""

from kmodmon.sources import kmsg, trace, uevent, watch
from kmodmon.sources.source import EventSource

FOLLOWED: tuple[EventSource, ...] = (trace.SOURCE, uevent.SOURCE, kmsg.SOURCE, watch.SOURCE)
