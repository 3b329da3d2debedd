r"""Uevents: NETLINK_KOBJECT_UEVENT (15), kernel group 1.

Interface: lib/kobject_uevent.c. A datagram is `ACTION@DEVPATH` and `KEY=VALUE` parts, NUL after each; at most 64 keys
and 2048 bytes of them. Listening needs no privilege. Whether a datagram came from the kernel is not in it: the receiver
looks at the sender (nl_pid 0). Datagrams of udev (group 2) begin with `libudev` and are refused here.

Facts the code below is written from:

- A module's DEVPATH is `/module/NAME` with `!` for each `/`; any other byte comes raw, newline and 0xFF included.
- `add` follows init() since 5.12 (earlier: precedes it); `remove` comes while /proc/modules still says Unloading.
- Writing to /sys/module/NAME/uevent makes an event with SYNTH_UUID: it is no load (`udevadm trigger` makes one for
  every directory), and a synthetic `remove` suppresses the real one later.
- A kobject that is moved (a way to hide a module) gives `move` with DEVPATH_OLD.
- SEQNUM counts the whole system's events; gaps are normal where network namespaces filter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

_INTERFACE = "uevent"
_ACTION = re.compile(rb"[a-z]{1,32}")
_MODULE = b"/module/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uevent:
    """One event; all texts are safe texts."""

    action: str
    devpath: str
    subsystem: str
    seqnum: int
    module: str | None  # directory name in /sys/module (`!` for `/`); None: the event is about no module
    devpath_old: str | None = None
    module_old: str | None = None  # the module's directory before a move
    synth_uuid: str | None = None  # None: the kernel itself sent it; "0": written without arguments
    fields: Mapping[str, str]  # every key, known ones too

    @property
    def synthetic(self) -> bool:
        """Whether somebody wrote it into a `uevent` file; then nothing was loaded or removed."""
        return self.synth_uuid is not None


def parse_uevent(datagram: bytes) -> Uevent:
    """Read a datagram of the kernel's group; raises ParseError, for those of udev too."""
    if datagram.startswith(b"libudev\0"):
        raise ParseError(_INTERFACE, datagram, "sent by udev, not by the kernel")
    header, *parts = datagram.removesuffix(b"\0").split(b"\0")
    action, at, devpath = header.partition(b"@")
    if not at or not _ACTION.fullmatch(action):
        raise ParseError(_INTERFACE, datagram, "does not begin with ACTION@DEVPATH")
    raw = _fields(parts, datagram)
    if raw.get(b"ACTION") != action or raw.get(b"DEVPATH") != devpath:
        raise ParseError(_INTERFACE, datagram, "ACTION and DEVPATH are not those of its head")
    subsystem = raw.get(b"SUBSYSTEM", b"")
    old, uuid = raw.get(b"DEVPATH_OLD"), raw.get(b"SYNTH_UUID")
    return Uevent(
        action=action.decode(),
        devpath=safe_text(devpath),
        subsystem=safe_text(subsystem),
        seqnum=_seqnum(raw, datagram),
        module=_module(subsystem, devpath),
        devpath_old=None if old is None else safe_text(old),
        module_old=None if old is None else _module(subsystem, old),
        synth_uuid=None if uuid is None else safe_text(uuid),
        fields=MappingProxyType({safe_text(key): safe_text(value) for key, value in raw.items()}),
    )


def is_about_modules(datagram: bytes) -> bool:
    """Whether it is worth parsing: a cheap look that lets no module's event pass unseen."""
    return b"\0SUBSYSTEM=module\0" in datagram


def _fields(parts: list[bytes], datagram: bytes) -> dict[bytes, bytes]:
    # The kernel puts its own keys first, so of two alike the first counts.
    found: dict[bytes, bytes] = {}
    for part in parts:
        key, equals, value = part.partition(b"=")
        if not equals or not key:
            raise ParseError(_INTERFACE, datagram, "a part is not KEY=VALUE")
        found.setdefault(key, value)
    return found


def _seqnum(raw: dict[bytes, bytes], datagram: bytes) -> int:
    text = raw.get(b"SEQNUM", b"")
    if not re.fullmatch(rb"[0-9]{1,20}", text):
        raise ParseError(_INTERFACE, datagram, "no SEQNUM")
    return int(text)


def _module(subsystem: bytes, devpath: bytes) -> str | None:
    name = devpath.removeprefix(_MODULE)
    if subsystem != b"module" or name == devpath or not name or b"/" in name:
        return None
    return safe_text(name)
