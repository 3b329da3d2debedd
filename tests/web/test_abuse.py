"""Hostile clients against a real server: it keeps answering, stays small, forgets them in time, and does not chatter.

Deadlines are set short, so that the tests are; each waits for the condition, not for a while.
"""

import http.client
import os
import random
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import h11
import pytest

from kmodmon.web.limits import HttpLimits
from kmodmon.web.message import Route, text_response
from tests.web.certificates import Authority
from tests.web.serving import BIG, ROUTES, Served, dropped, read_all, receives, wait_until

QUICK = HttpLimits(connections=32, head_seconds=1.0, answer_seconds=1.0, idle_seconds=1.0, stop_seconds=1.0)
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
GET_BIG = b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n"


@contextmanager
def many_clients(served: Served, size: int, first: bytes, receive_buffer: int = 0) -> Iterator[list[socket.socket]]:
    """`size` clients that send `first` and then wait for what comes."""
    with ExitStack() as stack:
        clients = [stack.enter_context(served.connect(receive_buffer)) for _ in range(size)]
        for client in clients:
            try:
                client.sendall(first)
            except ConnectionError:
                continue  # it has made room already
        yield clients


def served_now(served: Served) -> bool:
    try:
        return served.get("/").status == 200
    except (ConnectionError, http.client.HTTPException):
        return False


def all_dropped(served: Served, clients: list[socket.socket]) -> None:
    wait_until(lambda: all(dropped(client) for client in clients), "all abusers dropped")
    wait_until(lambda: served.stats.open_connections == 0, "no connection left")


@pytest.mark.parametrize(
    "first",
    [b"", b"G", b"GET / HTTP/1.1\r\nHost: h\r\nX: ", b"\r\n", b"\x16\x03\x01"],
    ids=["silent", "one byte", "half a head", "empty lines", "tls hello"],
)
def test_crowd_that_never_finishes_a_head_is_dropped_while_others_are_served(first: bytes) -> None:
    with Served(limits=QUICK) as served, many_clients(served, 100, first) as clients:
        for _ in range(20):
            assert served.get("/").status == 200
        assert served.stats.open_connections <= QUICK.connections + QUICK.waiting
        all_dropped(served, clients)
        stats = served.stats
        assert stats.rejected + stats.timeouts + stats.bad_requests >= 100, "each of them is in a counter"
        assert served.logged == []


def test_slow_loris_when_it_drips_for_ever_is_dropped_all_the_same() -> None:
    with Served(limits=QUICK) as served, many_clients(served, 200, b"GET / HTTP/1.1\r\n") as clients:
        end = threading.Event()

        def drip() -> None:
            while not end.wait(0.05):
                for client in clients:
                    try:
                        client.send(b"X: y\r\n")
                    except OSError:
                        continue

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert served.get("/").status == 200
            wait_until(lambda: served.stats.open_connections == 0, "every slow one dropped")
            assert served.stats.timeouts >= QUICK.connections // 2
        finally:
            end.set()
            dripping.join()
        assert served.logged == []


def test_reader_when_it_does_not_read_is_dropped_and_costs_little() -> None:
    with Served(limits=QUICK) as served:
        before = _resident()
        with many_clients(served, 24, GET_BIG * 20, receive_buffer=4096) as clients:
            assert served.get("/").status == 200
            peak = before

            def all_timed_out() -> bool:
                nonlocal peak
                peak = max(peak, _resident())
                return served.stats.timeouts >= 24

            wait_until(all_timed_out, "every one timed out")
            assert peak - before < 24 * 1_000_000
            all_dropped(served, clients)
        assert served.logged == []


def test_reader_when_it_is_dropped_is_reset_so_that_the_kernel_keeps_nothing_for_it() -> None:
    with Served(limits=QUICK) as served, served.connect(receive_buffer=4096) as sock:
        sock.sendall(GET_BIG)
        wait_until(lambda: served.stats.timeouts == 1, "it was dropped")
        with pytest.raises(ConnectionResetError):
            while sock.recv(65536):
                pass


def test_requests_sent_ahead_when_they_never_end_are_not_read_while_an_answer_is_under_way() -> None:
    with Served(limits=HttpLimits(answer_seconds=2.0)) as served, served.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        sock.settimeout(0.5)
        sock.sendall(b"GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n")
        sent = 0
        with suppress(OSError):
            while sent < 16_000_000:
                sent += sock.send(GET * 1000)
        assert sent < 2_000_000


def test_reader_when_it_reads_slowly_but_steadily_gets_everything() -> None:
    with Served(limits=HttpLimits(answer_seconds=30)) as served, served.connect(receive_buffer=4096) as sock:
        sock.sendall(GET_BIG.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        whole = read_all(sock)
        assert whole.partition(b"\r\n\r\n")[2] == b"".join(BIG)


def test_full_house_when_all_are_answered_just_now_refuses_the_new_one_but_not_the_scraper() -> None:
    limits = HttpLimits(connections=4, answer_seconds=5.0)
    routes = (*ROUTES, Route(path="/metrics", handler=lambda request: text_response("a 1")))
    stuck = b"GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n"
    with Served(routes=routes, limits=limits) as served, many_clients(served, 2, stuck) as clients:
        wait_until(lambda: served.stats.requests == 2, "both in their handler")
        assert served.send(GET).startswith(b"HTTP/1.1 503 ")
        assert served.stats.rejected == 1
        assert [served.get("/metrics").status for _ in range(10)] == [200] * 10
        assert not any(dropped(client) for client in clients)


def test_house_full_of_stalled_readers_when_a_scraper_comes_makes_room() -> None:
    limits = HttpLimits(connections=8, answer_seconds=60.0)
    with Served(limits=limits) as served, many_clients(served, 6, GET_BIG * 20, receive_buffer=4096) as clients:
        wait_until(lambda: served.stats.requests >= 6, "all of them asked")
        wait_until(lambda: served_now(served), "the scraper is served, once they are known to stall")
        wait_until(lambda: any(dropped(client) for client in clients), "one of them is gone")


def test_flood_from_one_address_does_not_cost_another_its_connection() -> None:
    limits = HttpLimits(connections=8, head_seconds=60.0)
    with Served(limits=limits) as served, served.connect() as scraper:
        scraper.sendall(GET)
        assert receives(scraper, b"hello")
        with ExitStack() as stack:
            for _ in range(50):
                abuser = stack.enter_context(socket.socket())
                abuser.bind(("127.0.0.2", 0))
                abuser.connect(("127.0.0.1", served.port))
            wait_until(lambda: served.stats.connections == 51, "all of them accepted")
            scraper.sendall(GET)
            assert receives(scraper, b"hello")


def test_half_closed_client_when_it_has_asked_gets_its_answer() -> None:
    with Served(limits=QUICK) as served, served.connect() as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).endswith(b"slow\n")


def test_half_closed_client_when_it_takes_its_answer_slowly_gets_all_of_it_and_is_ended() -> None:
    with Served(limits=HttpLimits(answer_seconds=30, idle_seconds=600)) as served:
        with served.connect(receive_buffer=4096) as sock:
            sock.sendall(GET_BIG)
            sock.shutdown(socket.SHUT_WR)
            wait_until(lambda: served.stats.requests == 1, "it was read")
            assert read_all(sock).partition(b"\r\n\r\n")[2] == b"".join(BIG)
        assert served.stats.timeouts == 0


def test_half_closed_clients_when_they_never_ask_are_gone_at_once() -> None:
    with Served(limits=HttpLimits(head_seconds=60.0)) as served, many_clients(served, 50, b"GET / HT") as clients:
        for client in clients:
            client.shutdown(socket.SHUT_WR)
        all_dropped(served, clients)
        assert served.stats.timeouts == 0


def test_pipelined_requests_are_all_answered_in_order() -> None:
    with Served() as served, served.connect() as sock:
        targets = [f"/mirror?n={number}" for number in range(300)]
        requests = [f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n" for target in targets]
        requests.append("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        writer = threading.Thread(target=sock.sendall, args=("".join(requests).encode(),))
        writer.start()
        answer = read_all(sock)
        writer.join()
        order = [answer.find(f'"n":["{number}"]'.encode()) for number in range(300)]
        assert order == sorted(order) and order[0] > 0


def test_pipelined_head_when_it_is_half_and_stays_so_is_dropped_by_the_head_deadline() -> None:
    limits = HttpLimits(head_seconds=0.5, idle_seconds=600.0)
    with Served(limits=limits) as served, served.connect() as sock:
        sock.sendall(GET + b"GET / HT")
        assert b"hello" in read_all(sock)
        assert served.stats.timeouts == 1


@pytest.mark.parametrize(
    "raw",
    [
        GET[:-2] + b"X: " + b"a" * 200_000,
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        GET[:-2] + b"".join(b"X%d: y\r\n" % number for number in range(20_000)),
        b"\r\n" * 100_000,
    ],
    ids=["header", "target", "many headers", "empty lines"],
)
def test_head_when_it_is_huge_is_refused(raw: bytes) -> None:
    with Served(limits=QUICK) as served, served.connect() as sock:
        with suppress(ConnectionError):  # refused before it was all sent
            sock.sendall(raw)
        answer = read_all(sock)
        assert b" 200 " not in answer
        wait_until(lambda: served.stats.bad_requests + served.stats.timeouts == 1, "it was counted")
        assert served.logged == []


def test_head_when_it_is_beyond_the_limit_is_refused_before_its_deadline() -> None:
    with Served(limits=HttpLimits(head_bytes=1000, head_seconds=600)) as served:
        assert served.send(GET[:-2] + b"X: " + b"a" * 2000).startswith(b"HTTP/1.1 431 ")
        assert (served.stats.bad_requests, served.stats.timeouts) == (1, 0)


def test_garbage_of_any_kind_gets_a_400_or_nothing_and_no_log() -> None:
    source = random.Random(7)
    fragments = [
        b"GET ",
        b"/",
        b" HTTP/1.1",
        b"\r\n",
        b"\n",
        b"Host: h",
        b"\0",
        b"\xff\xfe",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"CONNECT h:1 HTTP/1.1",
        b"%",
        b": ",
        b"\r",
        b"Expect: 100-continue",
    ]
    with Served(limits=QUICK) as served:
        for _ in range(300):
            raw = b"".join(source.choice([*fragments, source.randbytes(9)]) for _ in range(source.randrange(1, 12)))
            with served.connect() as sock:
                sock.sendall(raw)
                sock.shutdown(socket.SHUT_WR)
                answer = read_all(sock)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 "), (raw, answer)
        assert served.get("/").status == 200
        assert served.logged == []


def test_body_that_turns_bad_while_the_answer_is_made_ends_the_connection_quietly() -> None:
    head = b"GET /slow HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Served(limits=QUICK) as served:
        answer = served.send(head + b"zz\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1
        with served.connect() as sock:
            sock.sendall(head)
            sock.sendall(b"zz\r\n")
            read_all(sock)
        assert served.get("/").status == 200
        assert served.logged == []


def test_resets_by_the_hundred_leave_nothing_behind() -> None:
    with Served(limits=QUICK) as served:
        for number in range(300):
            sock = served.connect()
            sock.sendall((b"", GET[:9], GET, GET_BIG)[number % 4])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        wait_until(lambda: served.stats.connections == 300, "all of them seen")
        wait_until(lambda: served.stats.open_connections == 0, "none of them left")
        assert served.get("/").status == 200
        assert served.logged == []


def test_head_when_it_is_complete_and_beyond_the_limit_is_refused() -> None:
    with Served(limits=HttpLimits(head_bytes=1000)) as served:
        for head in (GET[:-2] + b"X: " + b"a" * 2000 + b"\r\n\r\n", b"GET /" + b"a" * 2000 + GET[5:]):
            assert served.send(head).startswith(b"HTTP/1.1 431 ")
        assert served.send(GET[:-2] + b"Connection: close\r\nX: " + b"a" * 900 + b"\r\n\r\n").endswith(b"hello\n")
        assert served.stats.bad_requests == 2


def test_descriptors_when_they_run_out_then_one_is_spared_and_idle_clients_make_room() -> None:
    with Served(limits=HttpLimits(head_seconds=60.0)) as served:
        with many_clients(served, 3, GET[:9]), ExitStack() as stack:
            wait_until(lambda: served.stats.open_connections == 3, "all are in")
            late = [stack.enter_context(socket.socket()) for _ in range(6)]
            with _no_descriptors():
                for sock in late:  # the first takes the spare descriptor, for each other one an idle client is closed
                    sock.settimeout(20)
                    sock.connect(("127.0.0.1", served.port))
                    sock.sendall(GET)
                    assert receives(sock, b"hello")
                assert served.stats.accept_errors >= 6
                assert served.stats.accept_errors < 100, "it does not spin"
            assert served.get("/").status == 200
        wait_until(lambda: served.stats.open_connections == 0, "none left")
        assert [record.levelname for record in served.logged].count("ERROR") >= 1


def test_silent_tls_clients_when_they_are_many_are_bounded_dropped_and_counted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    limits = HttpLimits(connections=32, head_seconds=2.0, idle_seconds=1.0)
    with Served(limits=limits, web_config=authority.web_config()) as served:
        before = _resident()
        with many_clients(served, 300, b"") as clients:
            wait_until(lambda: served.stats.connections >= 300, "all of them accepted")
            assert _resident() - before < 20_000_000
            assert served.get("/", tls=authority.client()).status == 200
            all_dropped(served, clients)
        assert served.stats.timeouts >= 1
        assert served.logged == []


def test_tls_clients_when_they_speak_plain_http_or_nonsense_are_counted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Served(limits=QUICK, web_config=authority.web_config()) as served:
        for raw in (GET, b"\0" * 100, b"\x16\x03\x01\x02\x00\x01\x00" + b"\xff" * 600):
            served.send(raw)
        wait_until(lambda: served.stats.handshake_failures == 3, "all three counted")
        assert served.get("/", tls=authority.client()).status == 200
        assert served.logged == []


def test_tls_client_when_it_goes_on_with_nonsense_is_answered_and_counted_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Served(limits=QUICK, web_config=authority.web_config()) as served:
        with served.connect() as raw, authority.client().wrap_socket(raw, server_hostname="localhost") as tls:
            cork = socket.socket.setsockopt
            cork(tls, socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            for _ in range(20):
                tls.sendall(b"nonsense\r\n\r\n")
            cork(tls, socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            assert tls.recv(65536).startswith(b"HTTP/1.1 400 ")
        wait_until(lambda: served.stats.open_connections == 0, "it is gone")
        assert served.stats.bad_requests == 1
        assert served.logged == []


def test_protocol_when_it_has_a_fault_of_its_own_counts_it_and_logs_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(self: h11.Connection) -> None:
        raise RuntimeError("a fault in h11")

    with Served(limits=QUICK) as served:
        with monkeypatch.context() as patched:
            patched.setattr(h11.Connection, "next_event", burst)
            assert [served.send(GET) for _ in range(3)] == [b""] * 3
        assert served.get("/").status == 200
        assert served.stats.handler_errors == 3
        assert len(served.logged) == 1


def test_tls_reader_when_it_does_not_read_is_dropped(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Served(limits=QUICK, web_config=authority.web_config()) as served:
        with (
            served.connect(receive_buffer=4096) as raw,
            authority.client().wrap_socket(raw, server_hostname="localhost") as tls,
        ):
            tls.sendall(GET_BIG * 20)
            wait_until(lambda: served.stats.timeouts == 1, "it was dropped")
        assert served.logged == []


def test_tls_client_when_it_leaves_in_the_middle_of_a_big_answer_is_forgotten(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Served(limits=QUICK, web_config=authority.web_config()) as served:
        for _ in range(5):
            with served.connect() as raw:
                tls = authority.client().wrap_socket(raw, server_hostname="localhost")
                tls.sendall(GET_BIG)
                tls.recv(1000)
                tls.close()
        wait_until(lambda: served.stats.open_connections == 0, "none left")
        assert served.logged == []


def test_tls_client_when_it_pipelines_and_half_closes_fills_no_log(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Served(limits=QUICK, web_config=authority.web_config()) as served:
        with served.connect() as raw, authority.client().wrap_socket(raw, server_hostname="localhost") as tls:
            tls.sendall(GET_BIG * 20)
            tls.recv(1000)
            socket.socket.shutdown(tls, socket.SHUT_WR)
            wait_until(lambda: served.stats.open_connections == 0, "it is gone")
        assert served.logged == []


def test_server_when_it_stops_amid_abuse_stops_within_its_time(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    served = Served(limits=HttpLimits(stop_seconds=0.5), web_config=authority.web_config())
    with served, many_clients(served, 20, b"") as clients, served.connect() as raw:
        with authority.client().wrap_socket(raw, server_hostname="localhost") as tls:
            tls.sendall(b"GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n")
            wait_until(lambda: served.stats.requests == 1, "the stuck one is in its handler")
            served.stop()
        assert all(dropped(client) for client in clients)


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as handle:
        return int(handle.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def _no_descriptors() -> Iterator[None]:
    """No file can be opened in this process inside the block."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ssl_error_is_an_oserror_so_that_asyncio_does_not_log_failed_handshakes() -> None:
    assert issubclass(ssl.SSLError, OSError)
