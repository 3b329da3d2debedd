"""The Unix socket: who may connect, who is let in, what is left behind."""

import grp
import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodmon.types.detail import Detail
from kmodmon.web.listen import ListenError
from kmodmon.web.local_socket import LocalPeer, LocalSocket, peer_of
from kmodmon.web.message import Route, text_response
from kmodmon.web.server import LocalListener
from tests.web.serving import Served, read_all

NOBODY = 65534
ROUTES = (Route(path="/", handler=lambda request: text_response(f"detail {request.detail}")),)
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PYTHON = shutil.which("python3", path="/usr/bin:/bin")  # the one of the tests may be out of another user's reach
needs_root = pytest.mark.skipif(os.geteuid() != 0 or PYTHON is None, reason="becomes another user")


def ask(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(path))
        sock.sendall(GET)
        return read_all(sock)


def ask_as(path: Path, uid: int, gid: int, groups: list[int]) -> str:
    """What another user gets: the last line of the answer, or the error of connect()."""
    program = (
        "import socket, sys\nsock = socket.socket(socket.AF_UNIX)\ntry: sock.connect(sys.argv[1])\n"
        "except OSError as error: sys.exit(print(error.strerror))\n"
        f"sock.sendall({GET!r})\nprint(sock.makefile('rb').read().decode().splitlines()[-1])"
    )
    assert PYTHON is not None
    done = subprocess.run(
        [PYTHON, "-I", "-c", program, str(path)], user=uid, group=gid, extra_groups=groups, check=True,
        capture_output=True, text=True, cwd="/",
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def path() -> Iterator[Path]:
    """A short path, which a socket's has to be, in a directory that others may enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory, "kmodmon.sock")


def test_socket_when_there_is_no_group_then_it_is_for_its_owner_and_gives_full_detail(path: Path) -> None:
    with Served(routes=ROUTES, listen=("127.0.0.1:0", LocalListener(path=path))) as served:
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
        assert ask(path).endswith(b"detail full\n")
        assert served.get("/").body == b"detail public\n"
        assert served.server.addresses[1] == str(path)
    assert not path.exists()


def test_socket_when_users_are_configured_then_it_asks_for_no_password(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("basic_auth_users: {a: '$2b$04$" + "a" * 53 + "'}\n")
    with Served(routes=ROUTES, listen=("127.0.0.1:0", LocalListener(path=path)), web_config=file) as served:
        assert ask(path).endswith(b"detail full\n")
        assert served.get("/").status == 401


@needs_root
def test_socket_when_another_user_connects_then_the_kernel_refuses_him(path: Path) -> None:
    with Served(routes=ROUTES, listen=("127.0.0.1:0", LocalListener(path=path))):
        assert ask_as(path, NOBODY, NOBODY, []) == "Permission denied"


@needs_root
@pytest.mark.parametrize(
    ("gid", "groups", "answer"),
    [(1, [], "detail full"), (NOBODY, [2, 1], "detail full"), (NOBODY, [2], "Permission denied"),
     (NOBODY, [], "Permission denied")],
)  # fmt: skip
def test_socket_when_there_is_a_group_then_processes_in_it_are_let_in(
    path: Path, gid: int, groups: list[int], answer: str
) -> None:
    name = grp.getgrgid(1).gr_name
    with Served(routes=ROUTES, listen=("127.0.0.1:0", LocalListener(path=path, group=name))):
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o660, 1)
        assert ask_as(path, NOBODY, gid, groups) == answer


@needs_root
def test_socket_when_somebody_has_opened_it_for_all_then_others_are_refused_all_the_same(path: Path) -> None:
    with Served(routes=ROUTES, listen=("127.0.0.1:0", LocalListener(path=path))) as served:
        path.chmod(0o666)
        assert ask_as(path, NOBODY, NOBODY, []) == "only root, kmodmon's own user and web.group may use this socket"
        assert served.stats.auth_failures == 1


def test_peer_when_it_is_a_tcp_client_then_none_and_of_a_unix_socket_this_process(path: Path) -> None:
    with socket.socket() as tcp:
        assert peer_of(tcp) is None
    one, other = socket.socketpair()
    with one, other:
        peer = peer_of(one)
        assert peer is not None and peer.uid == os.geteuid()
        assert peer.groups == {os.getegid(), *os.getgroups()}


def test_admits_when_the_peer_is_judged_then_by_user_or_group(path: Path) -> None:
    local = LocalSocket(path)
    assert local.admits(LocalPeer(uid=0, groups=frozenset()))
    assert local.admits(LocalPeer(uid=os.geteuid(), groups=frozenset()))
    assert not local.admits(LocalPeer(uid=NOBODY, groups=frozenset({0, NOBODY})))
    local.close()


def test_socket_when_a_dead_daemon_left_its_path_then_it_is_replaced_and_a_living_one_is_not(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    local = LocalSocket(path)
    with pytest.raises(ListenError, match="another process listens"):
        LocalSocket(path)
    local.close()
    path.write_text("a file")
    with pytest.raises(ListenError, match="not a socket"):
        LocalSocket(path)
    assert path.read_text() == "a file"


@pytest.mark.parametrize(
    ("name", "group", "why"),
    [("no/such/dir/s", "", "No such file"), ("s" * 120, "", "too long"), ("s", "no-such-group", "there is no group")],
)
def test_socket_when_it_cannot_be_had_then_the_error_says_why(tmp_path: Path, name: str, group: str, why: str) -> None:
    with pytest.raises(ListenError, match=why):
        LocalSocket(tmp_path / name, group)


def test_socket_when_it_cannot_be_had_then_no_address_stays_open(tmp_path: Path) -> None:
    with pytest.raises(ListenError), Served(listen=("127.0.0.1:0", LocalListener(path=tmp_path / "no/dir/s"))):
        pass


def test_detail_when_named_then_the_values_are_those_of_the_setting() -> None:
    assert [detail.value for detail in Detail] == ["public", "full"]
