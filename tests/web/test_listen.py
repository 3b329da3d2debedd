"""Addresses and inherited sockets."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.types.error import ConfigError
from kmodmon.web.listen import ListenError, display, open_listeners, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:10069", ("127.0.0.1", 10069)),
        ("[::1]:10069", ("::1", 10069)),
        (":10069", ("", 10069)),
        ("host.example:0", ("host.example", 0)),
    ],
)
def test_parse_address_when_it_is_one_gives_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "127.0.0.1", "10069", "::1:10069", "h:", "h:65536", "h:-1", "h:x", "h:١", "h: 1"])
def test_parse_address_when_it_is_none_says_what_to_write(text: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        parse_address(text)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_parse_address_survives_any_text(text: str) -> None:
    try:
        _, port = parse_address(text)
    except ConfigError:
        return
    assert 0 <= port < 65536


def opened(*listen: str) -> list[str]:
    socks = open_listeners(listen, {})
    try:
        assert not any(sock.getblocking() or sock.get_inheritable() for sock in socks)
        return [display(sock) for sock in socks]
    finally:
        for sock in socks:
            sock.close()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this host has no IPv6")


@needs_ipv6
def test_open_listeners_when_given_several_addresses_opens_all() -> None:
    assert [address.rpartition(":")[0] for address in opened("127.0.0.1:0", "[::1]:0", ":0")] == [
        "127.0.0.1",
        "[::1]",
        "[::]",
    ]


@needs_ipv6
def test_open_listeners_when_no_host_is_named_serves_both_families() -> None:
    (sock,) = open_listeners((":0",), {})
    with sock:
        port = sock.getsockname()[1]
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.connect((host, port))


def test_open_listeners_when_the_address_is_in_use_says_so_and_leaves_nothing_open() -> None:
    (taken,) = open_listeners(("127.0.0.1:0",), {})
    with taken:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ListenError, match=r"127\.0\.0\.1:\d+: the address is in use"):
            open_listeners(("127.0.0.1:0", display(taken)), {})
        assert len(os.listdir("/proc/self/fd")) == before


def test_open_listeners_when_the_host_has_no_such_address_says_so() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0"):
        open_listeners(("192.0.2.1:0",), {})


@pytest.mark.parametrize("host", ["no..such", "a\0b", "x" * 300, "\udcff"])
def test_open_listeners_when_the_name_is_none_says_so(host: str) -> None:
    with pytest.raises(ListenError, match="cannot listen on"):
        open_listeners((f"{host}:0",), {})


def test_accepted_sockets_do_not_wait_to_fill_a_packet() -> None:
    (sock,) = open_listeners(("127.0.0.1:0",), {})
    with sock:
        assert sock.proto == socket.IPPROTO_TCP, "asyncio sets TCP_NODELAY only then"


INHERITOR = """
import os, socket, sys
from kmodmon.web.listen import ListenError, display, open_listeners
web, admin = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
admin.bind(sys.argv[2])
if "deaf" not in sys.argv:
    admin.listen()
print(web.getsockname()[1])
for high, low, sock in ((20, 3, web), (21, 4, admin)):
    os.dup2(sock.detach(), high)
for high, low in ((20, 3), (21, 4)):
    os.dup2(high, low)
environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:admin"}
try:
    print(*(display(sock) for sock in open_listeners((sys.argv[1],), environ)))
except ListenError as error:
    print("ERROR", error)
"""


def inherit(*arguments: str) -> tuple[str, str]:
    """What a process says that gets its sockets as systemd passes them: the port of the first, and all addresses."""
    command = [sys.executable, "-W", "ignore", "-c", INHERITOR, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    port, output = ran.stdout.splitlines()
    return port, output


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("systemd", "127.0.0.1:{port} {path}"),
        ("systemd:web", "127.0.0.1:{port}"),
        ("systemd:admin", "{path}"),
        ("systemd:none", "ERROR systemd passed 2 sockets and none is called 'none'; see FileDescriptorName="),
    ],
)
def test_open_listeners_when_systemd_passes_sockets_takes_those_of_the_name(
    tmp_path: Path, entry: str, expected: str
) -> None:
    port, output = inherit(entry, str(tmp_path / "s"))
    assert output == expected.format(port=port, path=tmp_path / "s")


@pytest.mark.parametrize("environ", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": str(os.getpid())}])
def test_open_listeners_when_systemd_passed_nothing_to_us_says_so(environ: dict[str, str]) -> None:
    with pytest.raises(ListenError, match="no sockets from systemd"):
        open_listeners(("systemd",), environ)


def test_open_listeners_when_systemd_passed_only_what_was_handed_over_says_so() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "kmsg"}
    with pytest.raises(ListenError, match="passed no sockets"):
        open_listeners(("systemd",), environ)


def test_open_listeners_when_a_file_was_handed_over_too_then_it_is_no_socket(tmp_path: Path) -> None:
    script = INHERITOR.replace('"LISTEN_FDNAMES": "web:admin"', '"LISTEN_FDNAMES": "web:kmsg"')
    command = [sys.executable, "-W", "ignore", "-c", script, "systemd", str(tmp_path / "s"), "deaf"]
    port, output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert output == f"127.0.0.1:{port}"


def test_open_listeners_when_a_passed_descriptor_does_not_listen_says_so(tmp_path: Path) -> None:
    assert "does not listen" in inherit("systemd", str(tmp_path / "s"), "deaf")[1]
