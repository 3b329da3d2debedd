"""The server as a whole over real sockets; http.client, ssl and curl are the second opinion."""

import asyncio
import email.utils
import http.client
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.web.auth import Authenticator, AuthVerdict
from kmodmon.web.limits import HttpLimits
from kmodmon.web.listen import ListenError
from kmodmon.web.responder import DEFAULT_HEADERS
from kmodmon.web.server import WebServer
from kmodmon.web.wire import pieces
from tests.fake_clock import FakeClock
from tests.web.certificates import Authority
from tests.web.serving import BIG, Served, read_all, receives, wait_until

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def test_get_when_a_page_is_there_gives_it_with_headers_that_protect() -> None:
    with Served() as served:
        answer = served.get("/")
        assert (answer.status, answer.body) == (200, b"hello\n")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        for name, value in DEFAULT_HEADERS:
            assert answer.headers[name] == value
        assert answer.headers["server"] is None
        sent = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
        assert abs(sent - time.time()) < 60


def test_head_gives_the_headers_of_get_and_no_body() -> None:
    with Served() as served:
        for path in ("/", "/big", "/nothing"):
            get, head = served.get(path), served.get(path, "HEAD")
            assert (head.status, head.body) == (get.status, b"")
            assert head.headers["content-length"] == str(len(get.body))


def test_get_when_the_body_is_in_blocks_gives_all_of_them() -> None:
    with Served() as served:
        assert served.get("/big").body == b"".join(BIG)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 30))
def test_pieces_are_the_same_bytes_in_bounded_pieces(blocks: list[bytes], size: int) -> None:
    cut = list(pieces(blocks, size))
    assert b"".join(cut) == b"".join(blocks)
    assert all(0 < len(piece) < 2 * size for piece in cut)
    assert len(cut) <= 2 * sum(map(len, blocks)) // size + 1


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/nothing", 404, "there is no such page"),
        ("/<script>alert(1)</script>", 404, "there is no such page"),
        ("/fail", 500, "this page failed"),
        ("/mirror?" + "a=1&" * 100, 400, "more than 64 arguments"),
    ],
)
def test_get_when_it_goes_wrong_says_so_and_repeats_nothing(path: str, status: int, text: str) -> None:
    with Served() as served:
        answer = served.get(path)
        assert answer.status == status
        assert text in answer.body.decode()
        assert b"script" not in answer.body
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "head", [b"GET /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"GET /slow HTTP/1.0\r\n\r\n"]
)
def test_get_when_bytes_follow_a_last_request_then_it_is_answered_all_the_same(head: bytes) -> None:
    with Served() as served, served.connect() as sock:
        sock.sendall(head)
        wait_until(lambda: served.stats.requests == 1, "the request is there")
        sock.sendall(b"\r\nno request")
        assert read_all(sock).endswith(b"\r\n\r\nslow\n")
        assert served.stats.bad_requests == 0


def test_errors_below_api_are_json() -> None:
    with Served() as served:
        for path, status in (("/api/v1/none", 404), ("/api/v1/fail", 500)):
            answer = served.get(path)
            assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
            assert set(json.loads(answer.body)) == {"error"}


def test_handler_when_it_raises_is_counted_each_time_and_logged_once_per_kind() -> None:
    with Served() as served:
        assert [served.get("/fail").status for _ in range(5)] == [500] * 5
        assert served.get("/").status == 200
        assert served.stats.handler_errors == 5
        assert [record.getMessage().partition(" ")[0] for record in served.logged] == ["/fail"]


def test_handler_when_its_header_would_split_the_answer_sends_nothing() -> None:
    with Served() as served:
        with pytest.raises(http.client.RemoteDisconnected):
            served.get("/forge")
        assert served.stats.handler_errors == 1
        assert len(served.logged) == 1


def test_check_when_it_fails_before_any_handler_is_answered_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Authenticator, authorization: str, users: Mapping[str, str]) -> AuthVerdict:
        raise ImportError("no bcrypt")

    with Served() as served:
        with monkeypatch.context() as patched:
            patched.setattr(Authenticator, "known", fail)
            assert [served.get("/").status for _ in range(2)] == [500, 500]
        assert served.get("/").status == 200
        assert served.stats.handler_errors == 2
        assert len(served.logged) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused_and_told_which_are_not(method: str) -> None:
    with Served() as served:
        answer = served.get("/", method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    ],
)
def test_get_with_a_body_is_refused_and_the_connection_ends(head: bytes) -> None:
    with Served() as served:
        answer = served.send(head + GET)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert served.stats.bad_requests == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK"),
        (
            b"GET http://anything.example/mirror?a=b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            b"HTTP/1.1 200 OK",
        ),
        (b"GET http://anything.example HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 405 "),
        (b"CONNECT example:443 HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 405 "),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"HTTP/1.1 400 "),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 505 "),
        (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", b"HTTP/1.1 505 "),
        (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", b"HTTP/1.1 505 "),
        (b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", b"HTTP/1.1 505 "),
        (b"\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"HTTP/1.1 400 "),
        (b"\rGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 400 "),
        (b"hello\r\n\r\n", b"HTTP/1.1 400 "),
    ],
)
def test_raw_request_when_it_is_unusual_gets_the_right_answer(raw: bytes, status: bytes) -> None:
    with Served() as served:
        assert served.send(raw).startswith(status)
        assert served.logged == []


def test_empty_line_when_it_comes_in_pieces_or_between_requests_is_ignored() -> None:
    with Served() as served, served.connect() as sock:
        get = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        for piece in (b"\r", b"\n", get):
            sock.sendall(piece)
            time.sleep(0.02)
        assert receives(sock, b"hello")
        sock.sendall(get + b"\r\n" + get[:-2] + b"Connection: close\r\n\r\n")
        assert read_all(sock).count(b"hello") == 2
        assert served.stats.bad_requests == 0


def test_prefix_route_when_the_name_is_any_bytes_gives_it_to_the_handler() -> None:
    with Served() as served:
        answer = json.loads(served.get("/api/v1/modules/a%20b%2Fc%FF%0A?x=%FE").body)
        assert answer["tail"] == "a b/c\\xff\\x0a"
        assert answer["query"] == {"x": ["\\xfe"]}


def test_connection_is_kept_between_requests_and_ends_when_idle_too_long() -> None:
    with Served(limits=HttpLimits(idle_seconds=0.3, head_seconds=60)) as served, served.connect() as sock:
        for _ in range(3):
            sock.sendall(GET)
            assert receives(sock, b"hello")
        assert read_all(sock) == b""
        assert (served.stats.connections, served.stats.requests, served.stats.timeouts) == (1, 3, 1)


def test_stop_lets_a_request_in_flight_end_and_takes_no_new_one() -> None:
    with Served() as served, served.connect() as sock, served.connect() as idle:
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_until(lambda: served.stats.requests == 1, "it is in its handler")
        served.stop()
        assert read_all(sock).endswith(b"slow\n")
        assert read_all(idle) == b""
        with pytest.raises(ConnectionError):
            served.connect()


def test_stop_when_a_handler_never_ends_drops_it_in_time() -> None:
    with Served(limits=HttpLimits(stop_seconds=0.2)) as served, served.connect() as sock:
        sock.sendall(b"GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_until(lambda: served.stats.requests == 1, "it is in its handler")
        served.stop()
        assert read_all(sock) == b""


def test_handler_when_its_client_leaves_is_cancelled() -> None:
    with Served(limits=HttpLimits(answer_seconds=0.2)) as served, served.connect() as sock:
        sock.sendall(b"GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_all(sock) == b""
        assert served.stats.timeouts == 1


def test_start_when_the_address_is_in_use_says_so() -> None:
    with Served() as served, pytest.raises(ListenError, match="in use"), Served(listen=(f"127.0.0.1:{served.port}",)):
        pass


def test_server_on_several_addresses_answers_on_all() -> None:
    with Served(listen=("127.0.0.1:0", "127.0.0.2:0")) as served:
        for address in served.server.addresses:
            host, _, port = address.rpartition(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=20)
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"hello\n"
            connection.close()


def test_server_that_was_never_started_has_no_address_and_stops() -> None:
    async def run() -> None:
        server = WebServer(routes=(), listen=("127.0.0.1:0",))
        assert server.addresses == ()
        await server.stop()

    asyncio.run(run())


# the web configuration file

ALICE = bcrypt.hashpw(b"wonderland", bcrypt.gensalt(4)).decode()


def test_users_when_there_are_some_must_say_who_they_are(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users: {{alice: '{ALICE}'}}\n")
    with Served(web_config=file) as served:
        refused = served.get("/nothing")
        assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Basic realm="kmodmon", charset="UTF-8"')
        assert served.stats.auth_failures == 0, "asking without a password is no failure"
        right = {"Authorization": "Basic YWxpY2U6d29uZGVybGFuZA=="}
        assert served.get("/", headers=right).status == 200
        assert served.get("/", headers={"Authorization": "Basic YWxpY2U6eA=="}).status == 401
        assert served.stats.auth_failures == 1
        assert served.logged == []


def test_headers_of_the_file_replace_the_default_ones_and_empty_ones_remove_them(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("http_server_config: {headers: {X-Frame-Options: sameorigin, Content-Security-Policy: ''}}\n")
    with Served(web_config=file) as served:
        answer = served.get("/")
        assert answer.headers.get_all("x-frame-options") == ["sameorigin"]
        assert answer.headers["content-security-policy"] is None


def test_rate_limit_refuses_what_is_beyond_it(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("rate_limit: {interval: 1h, burst: 2}\n")
    with Served(web_config=file, clock=FakeClock()) as served:
        assert [served.get("/").status for _ in range(4)] == [200, 200, 429, 429]
        assert served.stats.rate_limited == 2


def test_certificate_when_it_is_renewed_is_served_without_a_restart(tmp_path: Path) -> None:
    authority, clock = Authority(tmp_path), FakeClock()
    with Served(web_config=authority.web_config(), clock=clock) as served:
        before = _certificate(served, authority)
        authority.issue("server")
        clock.advance(1)
        after = _certificate(served, authority)
        assert before != after
        assert after == _certificate(served, authority)
        (tmp_path / "server.pem").write_text("half written")
        clock.advance(1)
        assert _certificate(served, authority) == after
        assert not served.stats.config_ok


def test_connection_when_tls_gets_other_terms_has_to_come_again(tmp_path: Path) -> None:
    authority, clock = Authority(tmp_path), FakeClock()
    with Served(web_config=authority.web_config(), clock=clock) as served:
        with served.connect() as raw, authority.client().wrap_socket(raw, server_hostname="localhost") as old:
            old.sendall(GET)
            assert receives(old, b"hello")
            authority.web_config(tls="client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.pem")
            clock.advance(1)
            with pytest.raises(OSError):
                served.get("/", tls=authority.client())
            assert read_all(old) == b""
        authority.issue("scraper")
        assert served.get("/", tls=authority.client("scraper")).status == 200


def _certificate(served: Served, authority: Authority) -> bytes | None:
    with served.connect() as raw, authority.client().wrap_socket(raw, server_hostname="localhost") as tls:
        return tls.getpeercert(binary_form=True)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_reads_what_we_serve(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    config = authority.web_config(more=f"basic_auth_users: {{alice: '{ALICE}'}}")
    with Served(web_config=config) as served:
        url = f"https://localhost:{served.port}/"
        command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(authority.file), "-u", "alice:wonderland"]
        command += [
            "--resolve",
            f"localhost:{served.port}:127.0.0.1",
            url,
            url + "big",
            "-w",
            "%{num_connects} %{http_version}\n",
        ]
        ran = subprocess.run(command, capture_output=True, timeout=60, check=True)
        assert ran.stdout == b"hello\n1 1.1\n" + b"".join(BIG) + b"0 1.1\n"


# what we rely on


def test_importing_the_server_loads_only_what_it_needs() -> None:
    script = "import sys, kmodmon.web.server; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    unwanted = {
        "yaml",
        "bcrypt",
        "cryptography",
        "starlette",
        "httptools",
        "websockets",
        "wsproto",
        "uvloop",
        "anyio",
        "uvicorn",
    }
    assert unwanted.isdisjoint(ran.stdout.split())
    assert "h11" in ran.stdout.split()
