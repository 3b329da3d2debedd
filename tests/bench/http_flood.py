"""How long a scrape takes while hostile clients of the same host do what they can: `python -m tests.bench.http_flood`.

Three crowds at once, each member coming back as soon as it is dropped: clients that begin a request and never end it,
clients that ask for /metrics and hardly read, and clients that ask for as much history as they may. They run in a
process of their own, as does the daemon.
"""

import argparse
import contextlib
import http.client
import random
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from kmodmon.events.event import Event
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.events.kinds.daemon import Started
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.types.units import Instant, Usec

STALLED, SLOW_READERS, HISTORY = 500, 64, 80
SCRAPES, PAUSE = 100, 0.05
TREE = Path(__file__).parent.parent / "trees/debian13-6.12-x86_64"
_ALL = ",".join(name for name in EVENT_KINDS)
_QUERIES = (
    f"/api/v1/events?limit=1000&type={','.join(['Started'] * 200)}",
    f"/api/v1/events?limit=1000&order=newest&type={_ALL}",
    "/api/v1/events?limit=1000&since=0&until=99999999999",
    "/",
)


class Abuser:
    """One hostile client: what it sends, and how it reads."""

    def __init__(self, request: bytes, *, reads: bool, receive_buffer: int = 0) -> None:
        self.request = request
        self.reads = reads
        self._receive_buffer = receive_buffer
        self.sock: socket.socket

    def connect(self, address: tuple[str, int]) -> None:
        """Connect without waiting, and ask."""
        self.sock = socket.socket()
        if self._receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        self.sock.setblocking(False)
        self.sock.connect_ex(address)

    def drained(self) -> bool:
        """Read what there is; False: the server has ended the connection."""
        with contextlib.suppress(BlockingIOError):
            while data := self.sock.recv(65536 if self.reads else 1):
                if not self.reads:
                    return True
                if data.endswith((b"]\n", b"}\n", b"</html>\n")):
                    self.sock.send(self.request)
            return False
        return True


def crowds(scale: float) -> list[Abuser]:
    """All abusers; `scale` 1: as many as a release is measured with."""
    stalled = [
        Abuser(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ", reads=False) for _ in range(int(STALLED * scale))
    ]
    get = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    slow = [Abuser(get % b"/metrics" * 20, reads=False, receive_buffer=4096) for _ in range(int(SLOW_READERS * scale))]
    history = [
        Abuser(get % _QUERIES[number % len(_QUERIES)].encode(), reads=True) for number in range(int(HISTORY * scale))
    ]
    return [*stalled, *slow, *history]


def flood(port: int, scale: float) -> None:
    """Abuse the server until this process is killed."""
    address = ("127.0.0.1", port)
    selector = selectors.DefaultSelector()
    abusers = crowds(scale)
    random.Random(1).shuffle(abusers)

    def enter(abuser: Abuser) -> None:
        abuser.connect(address)
        selector.register(abuser.sock, selectors.EVENT_WRITE, abuser)

    for abuser in abusers:
        enter(abuser)
    print("flooding", flush=True)
    while True:
        for key, mask in selector.select(1.0):
            abuser = cast(Abuser, key.data)
            try:
                if mask & selectors.EVENT_WRITE:
                    abuser.sock.send(abuser.request)
                    selector.modify(abuser.sock, selectors.EVENT_READ, abuser)
                    continue
                if abuser.drained():
                    continue
            except OSError:
                pass  # refused or reset: it comes back
            selector.unregister(abuser.sock)
            abuser.sock.close()
            enter(abuser)


@contextmanager
def flooding(port: int, scale: float = 1.0) -> Iterator[None]:
    """The flood in a process of its own."""
    command = (sys.executable, "-m", "tests.bench.http_flood", "--flood", str(port), "--scale", str(scale))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline()
            yield
        finally:
            process.kill()


def scrape(port: int, timeout: float = 20.0) -> tuple[float, int]:
    """Seconds that a scrape on a connection of its own took, and its status; 0: refused."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        answer.read()
        status = answer.status
    except (OSError, http.client.HTTPException):
        status = 0
    finally:
        connection.close()
    return time.monotonic() - began, status


def fill_history(directory: Path, count: int) -> None:
    """Write `count` events into a new history."""
    directory.mkdir(parents=True, exist_ok=True)
    history = SqliteHistory(directory, "11111111-2222-3333-4444-555555555555")
    first = time.time_ns() // 1000 - count

    def started(number: int) -> Event:
        at = Instant(realtime_usec=Usec(first + number), monotonic_usec=Usec(number))
        return Event(details=Started(), at=at, evidence=("x" * 200,))

    for start in range(0, count, 1000):
        history.append([started(start + number) for number in range(1000)])
    history.close()


@contextmanager
def daemon(directory: Path, *arguments: str) -> Iterator[int]:
    """A daemon on a recorded host; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = (
        sys.executable, "-m", "kmodmon", "run", "--root", str(TREE), "--listen", f"127.0.0.1:{port}",
        "--history.directory", str(directory), "--no-kmsg.enabled", "--no-uevent.enabled", "--no-trace.enabled",
        *arguments,
    )  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while scrape(port)[1] != 200:
                assert process.poll() is None, "the daemon has ended"
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(name: str, taken: Callable[[], tuple[float, int]]) -> None:
    """Scrape and print."""
    results = []
    for _ in range(SCRAPES):
        results.append(taken())
        time.sleep(PAUSE)
    times = [seconds for seconds, _ in results]
    refused = sum(status != 200 for _, status in results)
    if refused:
        print("statuses other than 200:", sorted(status for _, status in results if status != 200))
    print(
        f"{name:<22} refused {refused:3} of {SCRAPES}   median {percentile(times, 0.5) * 1e3:6.0f} ms   "
        f"p99 {percentile(times, 0.99) * 1e3:6.0f} ms   longest {max(times) * 1e3:6.0f} ms",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flood", type=int, metavar="PORT")
    parser.add_argument("--scale", type=float, default=1.0)
    args = parser.parse_args()
    if args.flood:
        flood(args.flood, args.scale)
    with tempfile.TemporaryDirectory() as directory:
        fill_history(Path(directory), 20_000)
        with daemon(Path(directory)) as port:
            measure("no other client", lambda: scrape(port))
            with flooding(port, args.scale):
                time.sleep(2)
                measure("all crowds at once", lambda: scrape(port))


if __name__ == "__main__":
    main()
