"""A fleet of simulated hosts behind one server: each answers what kmodmon says of a host with so many modules.

The exposition is kmodmon's own, of a synthetic host, and is made once; hosts differ in the modules that are planted.
"""

import gzip
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from kmodmon.metrics.exposition import ExpositionFormat
from tests.servers import kmodmon, until
from tests.synthetic import make_host

_REPLACED = "module_00199"  # gives way to what is planted


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """How to reach the hosts, and what each costs."""

    address: str
    hosts: int
    series: int  # of each host


def exposition(base: Path, modules: int, parameters: int) -> bytes:
    """What the daemon says of a synthetic host made in the directory `base`.

    Its modules have no files here; on a real host each has a series more, that says whether its file is the same.
    """
    make_host(base, modules, parameters)
    (base / "dev").mkdir()
    (base / "dev/kmsg").write_bytes(b"6,1,1,-;synthetic\n")
    with kmodmon(base, base / "state", "--log.level", "error") as server:
        until(lambda: "kmodmon_kernel_log_records_total{" in server.text("/metrics"), "the log to be read")
        until(lambda: parameters == 0 or "kmodmon_module_parameter{" in server.text("/metrics"), "the parameters")
        body = server.text("/metrics").encode()
    differs = "".join(
        f'kmodmon_module_differs_from_disk{{module="module_{number:05}"}} 0\n' for number in range(modules)
    )
    return body + differs.encode()


def series_of(body: bytes) -> int:
    """How many series an exposition holds."""
    return sum(not line.startswith(b"#") for line in body.splitlines())


@contextmanager
def serving(body: bytes, hosts: int, planted: Mapping[int, str]) -> Iterator[Fleet]:
    """Hosts 0 to `hosts` - 1 at /metrics/NUMBER; `planted` names a module for some of them."""
    bodies = {number: _packed(body.replace(_REPLACED.encode(), name.encode())) for number, name in planted.items()}
    usual = _packed(body)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = bodies.get(int(self.path.rpartition("/")[2]), usual)
            self.send_response(200)
            self.send_header("Content-Type", ExpositionFormat.TEXT.value)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield Fleet(address=f"127.0.0.1:{server.server_address[1]}", hosts=hosts, series=series_of(body))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _packed(body: bytes) -> bytes:
    return gzip.compress(body, 1)


def prometheus_config(fleet: Fleet, rules: Path, seconds: int) -> str:
    """Prometheus' configuration for the fleet; the instance is host0:10069 and so on. Rules are evaluated each 15 s,
    or after each scrape where those are quicker.
    """
    targets = ", ".join(f'"host{number}:10069"' for number in range(fleet.hosts))
    return f"""
global: {{scrape_interval: {seconds}s, scrape_timeout: {seconds}s, evaluation_interval: {min(seconds, 15)}s}}
rule_files: ["{rules}/*.rules.yml"]
scrape_configs:
  - job_name: kmodmon
    sample_limit: 20000
    static_configs:
      - targets: [{targets}]
    relabel_configs:
      - source_labels: [__address__]
        regex: "host([0-9]+):10069"
        target_label: __metrics_path__
        replacement: "/metrics/$1"
      - {{source_labels: [__address__], target_label: instance}}
      - {{target_label: __address__, replacement: "{fleet.address}"}}
"""
