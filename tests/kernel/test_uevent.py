"""Uevent datagrams: as 6.1 and 7.2 sent them, of udev, and cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.uevent import is_about_modules, parse_uevent
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

ADD = b"add@/module/dummy\0ACTION=add\0DEVPATH=/module/dummy\0SUBSYSTEM=module\0SEQNUM=1072\0"
SYNTHETIC = b"add@/module/NAME\0ACTION=add\0DEVPATH=/module/NAME\0SUBSYSTEM=module\0SYNTH_UUID=0\0SEQNUM=574\0"
MOVE = (
    b"move@/kernel/hidden_mod\0ACTION=move\0DEVPATH=/kernel/hidden_mod\0SUBSYSTEM=module\0"
    b"DEVPATH_OLD=/module/hidden_mod\0SEQNUM=1080\0"
)
NET = (
    b"add@/devices/virtual/net/dummy0\0ACTION=add\0DEVPATH=/devices/virtual/net/dummy0\0SUBSYSTEM=net\0"
    b"INTERFACE=dummy0\0IFINDEX=3\0SEQNUM=1073\0"
)


def test_parse_uevent_when_a_load_then_the_module() -> None:
    event = parse_uevent(ADD)
    assert (event.action, event.module, event.synthetic) == ("add", "dummy", False)


@pytest.mark.parametrize(("length", "known"), [(55, True), (255, True), (256, False)])
def test_parse_uevent_when_the_name_is_longer_than_any_that_is_shown_then_no_module(length: int, known: bool) -> None:
    name = b"x" * length
    assert parse_uevent(ADD.replace(b"dummy", name)).module == (name.decode() if known else None)


def test_parse_uevent_when_written_by_hand_then_synthetic() -> None:
    event = parse_uevent(SYNTHETIC)
    assert event.synthetic and event.synth_uuid == "0"
    assert event.module == "NAME"


def test_parse_uevent_when_a_kobject_moved_then_where_it_was() -> None:
    event = parse_uevent(MOVE)
    assert (event.module, event.module_old) == (None, "hidden_mod")


def test_parse_uevent_when_another_subsystem_then_no_module() -> None:
    assert parse_uevent(NET).module is None
    assert parse_uevent(NET.replace(b"/devices/virtual/net/dummy0", b"/module/dummy0")).module is None


@pytest.mark.parametrize("name", [b"a b\n\xff", b"..!..!..!", b"a=b", b"a@b", b"SEQNUM=1"])
def test_parse_uevent_when_name_is_odd_then_it_comes_back(name: bytes) -> None:
    assert parse_uevent(ADD.replace(b"dummy", name)).module == safe_text(name)


def test_parse_uevent_when_a_key_comes_twice_then_the_kernel_s_own_counts() -> None:
    assert parse_uevent(ADD + b"ACTION=remove\0SEQNUM=x\0").action == "add"


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0",
        b"libudev\0\xfe\xed\xca\xfe" + b"\0" * 28 + b"ACTION=add\0",
        ADD[:-3].replace(b"SEQNUM=10", b""),
        ADD[: ADD.index(b"SEQNUM")],
        ADD.replace(b"ACTION=add", b"ACTION=remove"),
        ADD.replace(b"DEVPATH=/module/dummy", b"DEVPATH=/module/other"),
        ADD.replace(b"add@", b"add"),
        ADD.replace(b"SEQNUM=1072", b"SEQNUM=x"),
        ADD + b"nothing\0",
    ],
)
def test_parse_uevent_when_not_the_kernel_s_then_refused(datagram: bytes) -> None:
    with pytest.raises(ParseError):
        parse_uevent(datagram)


@given(st.binary() | st.binary().map(lambda raw: ADD + raw) | st.integers(0, len(ADD)).map(lambda cut: ADD[:cut]))
def test_parse_uevent_when_any_bytes_then_value_or_parse_error(datagram: bytes) -> None:
    try:
        event = parse_uevent(datagram)
    except ParseError:
        return
    assert event.module is None or event.module.isprintable()
    assert event.module is None or is_about_modules(datagram)


def test_is_about_modules_when_another_subsystem_then_false() -> None:
    assert is_about_modules(ADD) and is_about_modules(MOVE)
    assert not is_about_modules(NET)
