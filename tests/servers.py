"""Prometheus, Alertmanager and kmodmon as the tests run them: on loopback, on ports of their own choice."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from kmodmon.types.units import JsonValue
from tests.tools import tool

READY_SECONDS = 60.0
_SHARE = Path("/usr/share/prometheus")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One series of an instant query."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Server:
    """One running program and its address."""

    url: str
    pid: int
    log: Path

    def get(self, path: str, **parameters: str) -> JsonValue:
        """A JSON page; raises AssertionError with what the server said when it is no success."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        return self._json(urllib.request.Request(self.url + path + query))

    def text(self, path: str) -> str:
        """A page of text."""
        with urllib.request.urlopen(self.url + path, timeout=60) as response:
            body: bytes = response.read()
        return body.decode()

    def post(self, path: str, document: object) -> None:
        """Send JSON."""
        body = json.dumps(document).encode()
        self._json(urllib.request.Request(self.url + path, data=body, headers={"Content-Type": "application/json"}))

    def data(self, path: str, **parameters: str) -> JsonValue:
        """The `data` of an answer of Prometheus."""
        answer = self.get(path, **parameters)
        assert isinstance(answer, Mapping) and answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr: str) -> list[Sample]:
        """The series of an instant query; a scalar is one series without labels."""
        data = self.data("/api/v1/query", query=expr)
        assert isinstance(data, Mapping)
        result = data["result"]
        assert isinstance(result, list)
        if data["resultType"] == "scalar":
            return [Sample(labels={}, value=float(str(result[1])))]
        return [_sample(one) for one in result]

    def _json(self, request: urllib.request.Request) -> JsonValue:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                body = response.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{request.full_url}: {error.code} {error.read().decode()}") from error
        answer: JsonValue = json.loads(body) if body else None
        return answer


def _sample(one: JsonValue) -> Sample:
    assert isinstance(one, Mapping)
    labels, value = one["metric"], one["value"]
    assert isinstance(labels, Mapping) and isinstance(value, Sequence)
    return Sample(labels={name: str(text) for name, text in labels.items()}, value=float(str(value[1])))


@contextmanager
def prometheus(config: str, directory: Path, *flags: str) -> Iterator[Server]:
    """Prometheus with a configuration, until the end of the block."""
    file = directory / "prometheus.yml"
    file.write_text(config)
    command = (
        str(tool("prometheus")),
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        "--web.listen-address=127.0.0.1:0",
        "--log.level=warn",
        *flags,
    )
    with _running(command, directory / "prometheus.log") as server:
        yield server


@contextmanager
def alertmanager(config: str, directory: Path, *flags: str) -> Iterator[Server]:
    """Alertmanager with a configuration, alone, until the end of the block."""
    file = directory / "alertmanager.yml"
    file.write_text(config)
    command = (
        *_with_templates(tool("alertmanager")),
        f"--config.file={file}",
        f"--storage.path={directory / 'alertmanager'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
        "--log.level=warn",
        *flags,
    )
    with _running(command, directory / "alertmanager.log") as server:
        yield server


@contextmanager
def kmodmon(host: Path, state: Path, *flags: str) -> Iterator[Server]:
    """The daemon on a synthetic or recorded host, with a directory for its history, until the end of the block."""
    state.mkdir()
    command = (sys.executable, "-m", "kmodmon", "run", "--root", str(host), "--listen", "127.0.0.1:0", *flags)
    with _running(command, state / "kmodmon.log", {**os.environ, "STATE_DIRECTORY": str(state)}) as server:
        yield server


def _with_templates(program: Path) -> tuple[str, ...]:
    # Debian's program reads its templates from where the package would have put them. It is only unpacked, so it gets
    # a view of the file system in which they lie there.
    if (_SHARE / "alertmanager/default.tmpl").exists():
        return (str(program),)
    script = f'mount -t tmpfs none {_SHARE.parent} && mkdir {_SHARE} && mount --bind "$0" {_SHARE} && exec "$@"'
    unshare = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
    return (*unshare, "sh", "-c", script, str(program.parent.parent / "share/prometheus"), str(program))


@contextmanager
def _running(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    # In a session of its own: Ctrl-C is for us, and we end it in our order.
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment, start_new_session=True)
    try:
        port = until(lambda: _port(process, log), f"{command[0]} to listen")
        server = Server(f"http://127.0.0.1:{port}", process.pid, log)
        until(lambda: _is_ready(server.url), f"{command[0]} to be ready")
        yield server
    finally:
        process.terminate()
        process.wait(90)  # of a large fleet Prometheus writes all it has


def until(look: Callable[[], T | None], what: str, timeout: float = READY_SECONDS, pause: float = 0.1) -> T:
    """Look until there is something to see, and give it; raises AssertionError when there is not in time."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(pause)


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int | None:
    assert process.poll() is None, log.read_text()
    connections = psutil.Process(process.pid).net_connections("tcp")
    return next((one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN), None)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as response:
            return int(response.status) == 200
    except OSError:
        return False
