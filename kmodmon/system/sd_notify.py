"""What a service tells systemd (sd_notify(3)): datagrams to $NOTIFY_SOCKET, `@` for an abstract name.

Without $NOTIFY_SOCKET (no systemd, or Type=simple) everything here does nothing. `Type=notify-reload` is known from
systemd 253 on; older ones ignore RELOADING=1's MONOTONIC_USEC, so the pair RELOADING=1, READY=1 is always sent.
Nothing waits for long: what the socket does not take within a tenth of a second is dropped and counted; the
watchdog is fed again soon, and the manager takes READY=1 at once because it waits for it.
"""

import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """One service's line to its manager. Never raises."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.dropped = 0
        self.watchdog_seconds = watchdog_seconds(environ)
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(0.1)  # longer than the manager ever needs, shorter than anybody would notice

    @property
    def present(self) -> bool:
        """Whether somebody listens."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """Started, or reloaded: everything is in force."""
        self._send("READY=1", *_status(status))

    def reloading(self) -> None:
        """Settings are being read again; `ready` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        """The end has begun."""
        self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(*_status(text))

    def watchdog(self) -> None:
        """Alive: to be said after a completed cycle only, never by a timer of its own."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, usec: int) -> None:
        """Starting, stopping or reloading takes so much longer, in microseconds from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={usec}")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is None or self._address is None or not lines:
            return
        data = "\n".join(lines).encode("utf-8", "backslashreplace")
        try:
            self._socket.sendto(data, self._address)
        except OSError:
            self.dropped += 1


def watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """How often at least the manager wants to hear WATCHDOG=1 from this process; None: it does not."""
    interval, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return None
    return int(interval) / 1e6 if interval.isascii() and interval.isdecimal() and int(interval) else None


def _address(name: str) -> str | bytes | None:
    # Other families (vsock: of a virtual machine's manager) are of no use to a service in it.
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])
    return name if name.startswith("/") else None


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.split())}",) if text else ()
