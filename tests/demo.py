"""`make demo`: a synthetic host, kmodmon, Prometheus and Alertmanager on loopback; an unsigned module appears.

Nothing of this machine's kernel is read or changed, and root is not needed. The rules and the Alertmanager example are
the shipped ones; only the receiver is this program, which prints what a person on call would get.
"""

import argparse
import json
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

from grafana.src.generate import ROOT
from tests.servers import alertmanager, kmodmon, prometheus, until
from tests.synthetic import make_host
from tests.tools import ToolError, make_ready

MODULE = "diamorphine"
ALERT = "KmodUnsignedModuleLoaded"
FLAGS = ("--poll.modules", "1s", "--poll.taint", "1s", "--no-uevent.enabled", "--log.level", "error")
_SCRAPE = "5s"
_RECEIVER = "http://127.0.0.1:9098"


class Host:
    """A synthetic host below a directory: plain files in the format that kernels print."""

    def __init__(self, base: Path) -> None:
        """Make it, with nothing wrong on it."""
        make_host(base, 49, 0)
        self._list = base / "proc/modules"
        self._tainted = base / "proc/sys/kernel/tainted"
        self._directory = base / "sys/module" / MODULE
        self._list.write_text(self._list.read_text().replace(" (OE)", ""))
        self._tainted.write_text("0\n")

    def load(self) -> None:
        """Let an unsigned module appear, as insmod would have it."""
        self._directory.mkdir()
        (self._directory / "initstate").write_text("live\n")
        (self._directory / "srcversion").write_text("51F0B7C0FFEE51F0B7C0FFE\n")
        (self._directory / "coresize").write_text("16384\n")
        with self._list.open("a") as stream:
            stream.write(f"{MODULE} 16384 0 - Live 0x0000000000000000 (OE)\n")
        self._tainted.write_text("12288\n")


@contextmanager
def receiver() -> Iterator[tuple[str, "queue.Queue[str]"]]:
    """A webhook of Alertmanager; gives its address and what it is told, a line an alert."""
    told: queue.Queue[str] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for alert in body["alerts"]:
                name, level = alert["labels"]["alertname"], alert["labels"]["severity"]
                told.put(
                    f"{self.path.strip('/')}: [{level}] {name} {alert['status']}: {alert['annotations']['description']}"
                )
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def prometheus_config(target: str, manager: str) -> str:
    """Prometheus' configuration: one host, the shipped rules."""
    target, manager = target.removeprefix("http://"), manager.removeprefix("http://")
    return f"""
global: {{scrape_interval: {_SCRAPE}, evaluation_interval: {_SCRAPE}}}
rule_files: ["{ROOT}/grafana/alerts/*.rules.yml"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{manager}"]}}]}}]}}
scrape_configs: [{{job_name: kmodmon, static_configs: [{{targets: ["{target}"]}}]}}]
"""


def play(directory: Path, *, stay: bool) -> None:
    """Show it; `stay`: until Ctrl-C."""
    host = Host(directory / "host")
    example = (ROOT / "grafana/alertmanager.yml").read_text()
    with (
        receiver() as (hook, told),
        kmodmon(directory / "host", directory / "state", *FLAGS) as daemon,
        alertmanager(example.replace(_RECEIVER, hook), directory) as manager,
        prometheus(prometheus_config(daemon.url, manager.url), directory) as server,
    ):
        say(f"kmodmon        {daemon.url}/             the synthetic host's status page")
        say(f"Prometheus     {server.url}/alerts")
        say(f"Alertmanager   {manager.url}/#/alerts")
        say(f"dashboards     {ROOT}/grafana/dashboards/  for a Grafana with the Prometheus above")
        until(lambda: server.query("up == 1"), "the first scrape")
        host.load()
        began = time.monotonic()
        say(f"\nAn unsigned module, {MODULE}, is loaded. No root, no kernel: files of the synthetic host changed.")
        until(lambda: firing(cast(list[dict[str, dict[str, str]]], manager.get("/api/v2/alerts"))), "the alert")
        say(f"{ALERT} is in Alertmanager {time.monotonic() - began:.0f} s later. Who is on call is told:")
        until(lambda: ALERT in tell(told), "the notification")
        while stay:
            tell(told)
            time.sleep(1)


def firing(alerts: list[dict[str, dict[str, str]]]) -> bool:
    """Whether the alert about the module is there."""
    return any(alert["labels"]["alertname"] == ALERT and alert["labels"]["module"] == MODULE for alert in alerts)


def tell(told: "queue.Queue[str]") -> str:
    """Print what the receiver got."""
    lines = [told.get_nowait() for _ in range(told.qsize())]
    for line in lines:
        say(f"  {line}")
    return "\n".join(lines)


def say(text: str) -> None:
    """To the terminal, at once."""
    print(text, flush=True)


def main() -> int:
    """Play it until Ctrl-C, or once."""
    parser = argparse.ArgumentParser(description="Show an alert arrive.")
    parser.add_argument("--once", action="store_true", help="End when the alert has arrived.")
    once = parser.parse_args().once
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        make_ready()
        with tempfile.TemporaryDirectory(prefix="kmodmon-demo-") as directory:
            play(Path(directory), stay=not once)
    except KeyboardInterrupt:
        say("\nstopped")
    except (ToolError, AssertionError) as error:
        say(f"demo: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
