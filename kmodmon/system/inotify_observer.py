"""watchdog's inotify observer, which also reports that the kernel's event queue overflowed.

inotify(7): when more than fs.inotify.max_queued_events wait, the kernel drops what follows and queues one event with
IN_Q_OVERFLOW and the watch descriptor -1. watchdog 7.1 repairs its recursive watches then and writes a log line, but
calls no handler, so the reader of the queue is overridden. Earlier versions drop the event where they read it
(`if wd == -1: continue`): with them an overflow cannot be known.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import InotifyEvent, InotifyFD


class Observer(BaseObserver):
    """An observer with an inotify instance of its own. `on_overflow` is called on a thread of watchdog's."""

    def __init__(self) -> None:
        """Open the inotify instance; raises OSError when the kernel allows no more. :meth:`stop` closes it."""
        self.on_overflow: Callable[[], None] = lambda: None
        self._queue = _open_queue(lambda: self.on_overflow())
        if self._queue is None:
            super().__init__(InotifyEmitter)
        else:
            self._queue.start()
            super().__init__(InotifyEmitter, inotify_fd=self._queue)

    def on_thread_stop(self) -> None:
        """Stop the emitters, then the thread that reads the queue."""
        super().on_thread_stop()
        if self._queue is not None:
            self._queue.stop()
            self._queue.join()


def _open_queue(overflowed: Callable[[], None]) -> "InotifyFD | None":
    try:
        from watchdog.observers.inotify_c import InotifyConstants, InotifyFD
    except ImportError:  # before 7.0 each emitter opens an inotify instance
        return None

    class Queue(InotifyFD):
        def handle_event(self, event: "InotifyEvent") -> None:
            super().handle_event(event)
            if event.mask & InotifyConstants.IN_Q_OVERFLOW:
                overflowed()

    return Queue()
