"""/proc/net/netlink: the table as kernels print it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.error import ParseError
from kmodmon.kernel.netlink import KOBJECT_UEVENT, NetlinkSocket, parse_netlink

RECORDED = b"""\
sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 0   3124       00000440 0        0        0     2        0        18342   
0000000000000000 15  4195137345 00000001 4352     0        0     2        17       20511   
"""  # noqa: W291


def test_parse_netlink_when_recorded_then_sockets() -> None:
    sockets = parse_netlink(RECORDED)
    assert sockets[1] == NetlinkSocket(protocol=KOBJECT_UEVENT, port_id=4195137345, drops=17, inode=20511)
    assert len(sockets) == 2


@pytest.mark.parametrize("raw", [b"", b"nothing\n", RECORDED.replace(b"Drops", b"Dropt"), RECORDED + b"0 15\n"])
def test_parse_netlink_when_not_the_table_then_refused(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_netlink(raw)


@given(st.binary() | st.binary().map(lambda raw: RECORDED + raw))
def test_parse_netlink_when_any_bytes_then_value_or_parse_error(raw: bytes) -> None:
    try:
        sockets = parse_netlink(raw)
    except ParseError:
        return
    assert all(isinstance(socket.inode, int) for socket in sockets)
