"""By which names a host may be asked, so that no web page reads it through its visitor's browser."""

import socket
from pathlib import Path

import pytest

from kmodmon.web.access import Access, names_in_hosts_file
from kmodmon.web.server import LocalListener
from tests.web.serving import Served, read_all

OWN = socket.gethostname()


@pytest.mark.parametrize(
    "authority",
    ["127.0.0.1", "127.0.0.1:10069", "192.0.2.7:1", "[::1]", "[::1]:10069", "[fe80::1]:9", "localhost",
     "LOCALHOST:10069", "localhost.", OWN, f"{OWN.upper()}:10069", OWN.partition(".")[0], "mon.example",
     "Mon.Example:80", "a.b.below.example"],
)  # fmt: skip
def test_authority_when_it_is_an_address_or_a_name_of_this_host_then_taken(authority: str) -> None:
    assert Access(hosts=("mon.example", "*.below.example")).names(authority)


@pytest.mark.parametrize(
    "authority",
    ["", "evil.example", "evil.example:10069", "localhost.evil.example", f"{OWN}.evil.example",
     "127.0.0.1.evil.example", "127.1", "0x7f.1", "2130706433", "::1", "[::1", "[::1]x", "[127.0.0.1]",
     "[evil.example]", "localhost:x",
     "localhost:10069:1", "user@localhost", "localhost/", "local host", "below.example", "xbelow.example",
     "127.0.0.1, evil.example", "ⅼocalhost", "127.0.0.１"],
)  # fmt: skip
def test_authority_when_it_is_any_other_then_refused(authority: str) -> None:
    assert not Access(hosts=("mon.example", "*.below.example")).names(authority)


def test_authority_when_every_name_is_allowed_then_taken() -> None:
    assert Access(hosts=("*",)).names("proxy.example:443")


def test_hosts_file_when_it_names_this_host_then_its_other_names_count(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(f"127.0.0.1 localhost\n127.0.1.1 {OWN}.Corp.example {OWN} alias # evil\n192.0.2.1 other.example\n")
    assert set(names_in_hosts_file(file)) == {f"{OWN}.corp.example".lower(), OWN.lower(), "alias"}
    assert list(names_in_hosts_file(tmp_path / "none")) == []


def get(*lines: str) -> bytes:
    return "\r\n".join((*lines, "Connection: close", "", "")).encode()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (get("GET / HTTP/1.1", "Host: evil.example"), b"421"),
        (get("GET /metrics HTTP/1.1", "Host: evil.example:10069"), b"421"),
        (get("GET /api/v1/status HTTP/1.1", "Host:"), b"421"),
        (get("GET / HTTP/1.0", "Host: evil.example"), b"421"),
        (get("GET http://evil.example/ HTTP/1.1", "Host: localhost"), b"421"),
        (get("GET http://localhost/ HTTP/1.1", "Host: evil.example"), b"421"),
        (get("GET http://localhost/ HTTP/1.1", "Host: localhost"), b"200"),
        (get("GET / HTTP/1.0"), b"200"),  # RFC 9112, 3.2: only HTTP/1.1 must have it, and every browser sends it
        (get("GET / HTTP/1.1", "Host: 127.0.0.1"), b"200"),
        (get("GET / HTTP/1.1", f"Host: {OWN}"), b"200"),
    ],
)
def test_request_when_it_names_another_host_then_421_and_nothing_of_this_one(
    request_head: bytes, status: bytes
) -> None:
    with Served(access=Access()) as served:
        answer = served.send(request_head)
        assert answer.split(b" ")[1] == status
        assert (b"hello" in answer) is (status == b"200")
        assert b"evil" not in answer
        assert served.stats.misdirected == (status == b"421")


def test_request_when_it_comes_by_a_unix_socket_then_any_name_is_taken(tmp_path: Path) -> None:
    listener = LocalListener(path=tmp_path / "socket")
    with Served(listen=("127.0.0.1:0", listener), access=Access()), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(listener.path))
        sock.sendall(get("GET / HTTP/1.1", "Host: evil.example"))
        assert read_all(sock).endswith(b"hello\n")
