"""A scrape of 3,000 series: the daemon against the Go client library serving as many; CPU of the server process."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.bench.ratio import HERE, Ratio, paired, process_cpu_usec
from tests.synthetic import make_host

MODULES, PARAMETERS = 450, 900
SCRAPES = 100


def run() -> Iterator[Ratio]:
    """Measure with and without gzip; nothing if there is no Go compiler with the packaged client_golang."""
    if shutil.which("go") is None or not Path("/usr/share/gocode/src/github.com/prometheus/client_golang").exists():
        needs = "golang-go and golang-github-prometheus-client-golang-dev"
        print(f"scrape: skipped, needs Debian's {needs}", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as base:
        make_host(Path(base), MODULES, PARAMETERS)
        with kmodmon(Path(base)) as (pid, port):
            series = sum(not line.startswith(b"#") for line in fetch(port, "identity").splitlines())
            with go_client(Path(base), series) as (go_pid, go_port):
                for encoding in ("identity", "gzip"):
                    ours, theirs = paired(partial(cost, pid, port, encoding), partial(cost, go_pid, go_port, encoding))
                    yield Ratio(
                        name=f"scrape of {series} series, {encoding} / client_golang", ours=ours, peer=theirs, goal=1
                    )


def cost(pid: int, port: int, encoding: str) -> float:
    """CPU microseconds of the server for one scrape, on one kept connection as Prometheus does."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    start = process_cpu_usec(pid)
    for _ in range(SCRAPES):
        connection.request("GET", "/metrics", headers={"Accept-Encoding": encoding})
        connection.getresponse().read()
    used = process_cpu_usec(pid) - start
    connection.close()
    return used / SCRAPES


def fetch(port: int, encoding: str) -> bytes:
    """One scrape."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics", headers={"Accept-Encoding": encoding})
    body = connection.getresponse().read()
    connection.close()
    return body


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def kmodmon(base: Path) -> Iterator[tuple[int, int]]:
    """The daemon on a synthetic host."""
    port = free_port()
    command = [sys.executable, "-m", "kmodmon", "run", "--listen", f"127.0.0.1:{port}", "--root", str(base)]
    environ = {**os.environ, "STATE_DIRECTORY": str(base / "state")}
    (base / "state").mkdir()
    with subprocess.Popen([*command, "--log.level", "error"], env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield process.pid, port
        finally:
            process.send_signal(signal.SIGTERM)


@contextmanager
def go_client(base: Path, series: int) -> Iterator[tuple[int, int]]:
    """The peer, compiled from Debian's packaged client_golang."""
    program = base / "go_client"
    environ = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(base / "gocache")}
    subprocess.run(["go", "build", "-o", str(program), str(HERE / "go_client.go")], check=True, env=environ)
    with subprocess.Popen([program, str(series)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, int(process.stdout.readline())
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    """Return once the daemon is ready; raises TimeoutError."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing is ready on port {port}")
