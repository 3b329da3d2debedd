"""OpenSSL is in the daemon's memory only when it serves TLS: the daemon as its command starts it."""

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.servers import kmodmon, until
from tests.web.certificates import Authority

pytestmark = pytest.mark.process

TREE = Path(__file__).parent.parent / "trees/debian13-6.12-x86_64"
_SERVES = re.compile(r"serves on 127\.0\.0\.1:(\d+)")


def maps_openssl(pid: int) -> bool:
    return "libcrypto" in Path(f"/proc/{pid}/maps").read_text()


def test_daemon_when_it_serves_http_then_it_is_without_openssl(tmp_path: Path) -> None:
    with kmodmon(TREE, tmp_path / "state") as daemon:
        assert urllib.request.urlopen(f"{daemon.url}/metrics", timeout=10).status == 200
        assert not maps_openssl(daemon.pid)


def test_daemon_when_its_web_configuration_has_a_certificate_then_it_serves_https(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    log = tmp_path / "log"
    command = (
        sys.executable, "-m", "kmodmon", "run", "--root", str(TREE), "--listen", "127.0.0.1:0",
        "--web.config.file", str(authority.web_config()),
    )  # fmt: skip
    with log.open("wb") as stream:
        daemon = subprocess.Popen(command, stderr=stream, env={**os.environ, "STATE_DIRECTORY": str(tmp_path)})
    try:
        serves = until(lambda: _SERVES.search(log.read_text()), "the daemon to listen")
        url = f"https://localhost:{serves[1]}/metrics"
        with urllib.request.urlopen(url, timeout=10, context=authority.client()) as answer:
            assert b"kmodmon_build_info" in answer.read()
        assert maps_openssl(daemon.pid)
    finally:
        daemon.terminate()
        daemon.wait(30)
