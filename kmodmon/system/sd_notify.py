"""Status messages of the service to systemd (sd_notify(3)): datagrams to $NOTIFY_SOCKET, `@` for an abstract name.

Without $NOTIFY_SOCKET (no systemd, or Type=simple) everything here does nothing. systemd has `Type=notify-reload` since
version 253; older versions ignore the MONOTONIC_USEC of RELOADING=1, so the same messages are sent to all. A message
that the socket does not take within a tenth of a second is dropped and counted: WATCHDOG=1 is sent again soon, and the
manager reads READY=1 at once because it waits for it.
"""

import os
import socket
import time
from array import array
from collections.abc import Mapping, Sequence


class Notifier:
    """Sends messages to the service manager; never raises."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.dropped = 0
        self.watchdog_seconds = watchdog_seconds(environ)
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(0.1)  # seconds

    def ready(self) -> None:
        """Report that the start or a reload is complete."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Report that a reload has begun; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Report that the service is stopping."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Reset the watchdog; to be called after a completed cycle of the event loop, never by a timer of its own."""
        self._send("WATCHDOG=1")

    def hand_over(self, name: str, fd: int) -> None:
        """Store a descriptor for the service under `name`, in place of one that an earlier start stored.

        systemd would forget one that poll() reports an error of, as it does of a log that was overrun: hence FDPOLL=0.
        """
        self._send("FDSTOREREMOVE=1", f"FDNAME={name}")
        self._send("FDSTORE=1", "FDPOLL=0", f"FDNAME={name}", fds=(fd,))

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str, fds: Sequence[int] = ()) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else ()
            self._socket.sendmsg(("\n".join(lines).encode(),), rights, 0, self._address)
        except OSError:
            self.dropped += 1


def watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """The longest time between two WATCHDOG=1 that the manager accepts from this process; None: there is no limit."""
    interval, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return None
    return int(interval) / 1e6 if interval.isascii() and interval.isdecimal() and int(interval) else None


def _address(name: str) -> str | bytes | None:
    # Addresses of other families (vsock: to the manager of a virtual machine) are not meant for a service.
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])
    return name if name.startswith("/") else None
