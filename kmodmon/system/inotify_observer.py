"""watchdog's inotify observer, which also reports that the kernel's event queue overflowed.

inotify(7): when more than fs.inotify.max_queued_events wait, the kernel drops what follows and queues one event with
IN_Q_OVERFLOW and the watch descriptor -1. watchdog 7.1 repairs its recursive watches then and writes a log line, but
calls no handler, so the reader of the queue is overridden.
"""

from collections.abc import Callable

from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD


class Queue(InotifyFD):
    """The inotify instance and the thread that reads it. `overflowed` is called on that thread."""

    def __init__(self, overflowed: Callable[[], None]) -> None:
        """Open the inotify instance; raises OSError when the kernel allows no more."""
        super().__init__()
        self._overflowed = overflowed

    def handle_event(self, event: InotifyEvent) -> None:
        """Take one event; watchdog's own method hands it to the watches."""
        super().handle_event(event)
        if event.mask & InotifyConstants.IN_Q_OVERFLOW:
            self._overflowed()


class Observer(BaseObserver):
    """An observer with an inotify instance of its own. `on_overflow` is called on a thread of watchdog's."""

    def __init__(self) -> None:
        """Open the inotify instance; raises OSError when the kernel allows no more. :meth:`stop` closes it."""
        self.on_overflow: Callable[[], None] = lambda: None
        self._queue = Queue(lambda: self.on_overflow())
        self._queue.start()
        super().__init__(InotifyEmitter, inotify_fd=self._queue)

    def on_thread_stop(self) -> None:
        """Stop the emitters, then the thread that reads the queue."""
        super().on_thread_stop()
        self._queue.stop()
        self._queue.join()
