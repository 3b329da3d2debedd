"""/proc/net/netlink: netlink sockets of this network namespace and what they lost.

Interface: net/netlink/af_netlink.c `netlink_native_seq_show`, world readable, columns `sk Eth Pid Groups Rmem Wmem Dump
Locks Drops Inode` (`Inode` as in `socket:[N]`). `Eth` is the protocol, 15 for uevents; `Pid` the port id. `Drops`
counts messages that found the receive buffer full.
"""

from dataclasses import dataclass

from kmodmon.kernel.error import ParseError

_INTERFACE = "/proc/net/netlink"
KOBJECT_UEVENT = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class NetlinkSocket:
    """One socket."""

    protocol: int
    port_id: int
    drops: int  # since the socket was made
    inode: int


def parse_netlink(raw: bytes) -> tuple[NetlinkSocket, ...]:
    """Read the table by the names of its columns; raises ParseError."""
    lines = raw.splitlines()
    header = lines[0].split() if lines else []
    if not {b"Eth", b"Pid", b"Drops", b"Inode"} <= set(header):
        raise ParseError(_INTERFACE, raw, "no head with Eth, Pid, Drops and Inode")
    return tuple(_socket(dict(zip(header, line.split(), strict=False)), line) for line in lines[1:])


def _socket(row: dict[bytes, bytes], line: bytes) -> NetlinkSocket:
    try:
        numbers = [int(row[name].decode("ascii")) for name in (b"Eth", b"Pid", b"Drops", b"Inode")]
    except (KeyError, ValueError):
        raise ParseError(_INTERFACE, line, "not a row of numbers") from None
    return NetlinkSocket(protocol=numbers[0], port_id=numbers[1], drops=numbers[2], inode=numbers[3])
