"""The Unix socket `web.socket`, on which root, the daemon's own user and `web.group` read everything.

The kernel refuses connect(2) to anybody else by owner and mode of the socket: 0600, with a group 0660. Then the process
that connected is judged by what the kernel recorded of it at connect(2): its user and group (SO_PEERCRED) and its
supplementary groups (SO_PEERGROUPS, since Linux kernel commit 28b5ba2aa0f5 ("net: introduce SO_PEERGROUPS
getsockopt"), in v4.13). A process is in a group if it runs with it, as for files; what /etc/group says since it started
does not count.
"""

import errno
import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from kmodmon.web.listen import BACKLOG, ListenError

_SO_PEERGROUPS = 59  # include/uapi/asm-generic/socket.h; Python has no name for it
_MOST_BYTES = 1024  # the most that getsockopt() of Python takes: 256 groups
_UCRED = struct.Struct("i2I")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPeer:
    """The process at the other end of a Unix socket, as it was when it connected."""

    uid: int
    groups: frozenset[int]


class LocalSocket:
    """Listens on a path; :meth:`close` removes it."""

    def __init__(self, path: Path, group: str = "") -> None:
        """Listen on `path`; raises ListenError. A socket that nobody listens on any more is replaced."""
        self._path = path
        self._group = None if not group else _group_id(group)
        self.socket = _bound(path, self._group, group)
        self._inode = os.stat(path).st_ino

    def admits(self, peer: LocalPeer) -> bool:
        """Whether the peer is root, the daemon's own user, or in the group."""
        return peer.uid in (0, os.geteuid()) or (self._group is not None and self._group in peer.groups)

    def close(self) -> None:
        """Stop listening; the path is removed if it is still this socket."""
        self.socket.close()
        try:
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        except OSError:
            return  # systemd has removed the directory, or may not be followed any more: nobody listens either way


def peer_of(sock: socket.socket) -> LocalPeer | None:
    """Who connected; None: not a Unix socket, or its end has gone already."""
    if sock.family != socket.AF_UNIX:
        return None
    try:
        _, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    except OSError:
        return None
    return LocalPeer(uid=uid, groups=frozenset((gid, *_supplementary(sock))))


def _supplementary(sock: socket.socket) -> tuple[int, ...]:
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_BYTES)
    except OSError:  # ERANGE: more than 256 groups, of which none counts then; ENOPROTOOPT: an older kernel
        return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)


def _group_id(name: str) -> int:
    import grp  # only where a group is configured

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ListenError(f"web.group: there is no group {name}") from None


def _bound(path: Path, group: int | None, group_name: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        os.fchmod(sock.fileno(), 0o600)  # bind(2) gives the path this mode: there is no moment with another one
        sock.bind(str(path))
        if group is not None:
            _hand_to(path, group, group_name)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {path}: {error.strerror or error}; web.socket takes another") from error
    except BaseException:
        sock.close()
        raise
    return sock


def _hand_to(path: Path, group: int, name: str) -> None:
    try:
        os.chown(path, -1, group)
    except PermissionError:
        raise ListenError(
            f"{path} cannot be given to the group {name}: the daemon is not in it, or may not call chown(2); "
            f"the unit needs SupplementaryGroups={name} and SystemCallFilter=@chown"
        ) from None
    os.chmod(path, 0o660)


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on; raises OSError for one that is in use, and for anything else there."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "there is something else, which is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "another process listens on it")
    os.unlink(path)
