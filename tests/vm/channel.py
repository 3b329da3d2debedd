"""The host's side of the guest's control channel (guest/agent.py): one TCP connection is one command."""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass

_STDIN, _STDOUT, _STDERR, _EXIT = range(4)
_FRAME = struct.Struct(">BI")
_CHUNK = 1 << 18


class ChannelError(Exception):
    """The guest does not answer, or a command did not end as it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a command in the guest wrote, and its exit code (124: it was ended at its time limit)."""

    stdout: bytes
    stderr: bytes
    code: int

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode(errors="backslashreplace")


class Running:
    """A command that runs in the guest; its output arrives as it is written. Closing it kills the command."""

    def __init__(
        self,
        port: int,
        argv: tuple[str, ...],
        *,
        timeout: float | None,
        margin: float = 30,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `argv` by the agent behind `port`; raises OSError if nothing answers there.

        The agent ends the command after `timeout` seconds (None: never); a guest silent for `margin` more is given up.
        """
        self.argv = argv
        self._output = {_STDOUT: bytearray(), _STDERR: bytearray()}
        self._code: int | None = None
        self._lost: str | None = None
        self._news = threading.Condition()
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._connection.settimeout(None if timeout is None else timeout + margin)
        request = {"argv": argv, "timeout": timeout, "env": dict(environment or {})}
        # What cannot be sent need not be told: the reader meets the same broken connection.
        self._feeder = threading.Thread(target=self._feed, args=(request, stdin), daemon=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._feeder.start()
        self._reader.start()

    @property
    def stdout(self) -> bytes:
        """What the command has written to its standard output until now."""
        with self._news:
            return bytes(self._output[_STDOUT])

    @property
    def ended(self) -> bool:
        """Tell whether the command ended, or the connection to it."""
        return self._code is not None or self._lost is not None

    def wait(self) -> Result:
        """Wait for the command's end; raises ChannelError if the guest goes away before."""
        self._reader.join()
        self.close()
        if self._code is None:
            raise ChannelError(f"{' '.join(self.argv)}: {self._lost}; so far: {self._said()}")
        return Result(stdout=self.stdout, stderr=bytes(self._output[_STDERR]), code=self._code)

    def wait_for(self, text: bytes, timeout: float = 30) -> bytes:
        """Wait until standard output holds `text` and give all of it; raises ChannelError when it does not come."""
        with self._news:
            self._news.wait_for(lambda: text in self._output[_STDOUT] or self.ended, timeout)
            if text not in self._output[_STDOUT]:
                raise ChannelError(f"{' '.join(self.argv)} did not print {text!r} in {timeout} s: {self._said()}")
            return bytes(self._output[_STDOUT])

    def close(self) -> None:
        """Have the command killed, with all that it started."""
        with contextlib.suppress(OSError):  # not connected any more
            self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._feeder.join()
        self._connection.close()

    def _said(self) -> str:
        return bytes(self._output[_STDOUT] + self._output[_STDERR])[-2000:].decode(errors="backslashreplace")

    def _feed(self, request: Mapping[str, object], stdin: bytes) -> None:
        with contextlib.suppress(OSError):  # a command need not read all
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            for start in range(0, len(stdin), _CHUNK):
                piece = stdin[start : start + _CHUNK]
                self._connection.sendall(_FRAME.pack(_STDIN, len(piece)) + piece)
            self._connection.sendall(_FRAME.pack(_STDIN, 0))

    def _read(self) -> None:
        try:
            while self._code is None:
                kind, length = _FRAME.unpack(self._receive(_FRAME.size))
                data = self._receive(length)
                with self._news:
                    if kind == _EXIT:
                        self._code = int(data)
                    else:
                        self._output[kind] += data
                    self._news.notify_all()
        except OSError as error:
            with self._news:
                self._lost = f"the guest does not answer ({error})"
                self._news.notify_all()

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._connection.recv(count - len(data))
            if not part:
                raise ConnectionError("the guest closed the connection")
            data += part
        return bytes(data)
