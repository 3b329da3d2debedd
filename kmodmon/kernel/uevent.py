r"""Uevents: NETLINK_KOBJECT_UEVENT (15), kernel group 1.

Interface: lib/kobject_uevent.c (Documentation/ABI/testing/sysfs-uevent). A datagram is `ACTION@DEVPATH` and `KEY=VALUE`
parts, NUL after each; at most 64 keys and 2048 bytes of them. Joining the group needs no privilege.
Absent: kernel without CONFIG_NET; since Linux kernel commit a3498436b3a0 ("netns: restrict uevents") (in v4.18) also
network namespaces that another user namespace than the initial one owns.

A datagram does not prove its origin: the receiver checks the sender's address (nl_pid 0). Datagrams of udev (group 2)
begin with `libudev` and are refused here.

Facts the code below is written from:

- A module's DEVPATH is `/module/NAME` with `!` for each `/`; any other byte comes raw, newline and 0xFF included.
- `add` follows init() since Linux kernel commit 38dc717e9715 ("module: delay kobject uevent until after module init
  call") (in v5.11, and in 5.4 and 5.10 stable); before, it precedes init(), and a failing init() gives `add` and
  `remove`. `remove` comes while /proc/modules still says Unloading.
- Writing to /sys/module/NAME/uevent makes an event with SYNTH_UUID, since Linux kernel commit f36776fafbaa ("kobject:
  support passing in variables for synthetic uevents") (in v4.13). It is no load: `udevadm trigger` makes one for every
  directory. A synthetic `remove` suppresses the real one later.
- A kobject that is moved (a way to hide a module) gives `move` with DEVPATH_OLD.
- SEQNUM counts the whole system's events; gaps are normal where network namespaces filter.
"""

import re
from dataclasses import dataclass

from kmodmon.kernel.module_name import SHOWN_MAX
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

_INTERFACE = "uevent"
_ACTION = re.compile(rb"[a-z]{1,32}")
_SEQNUM = re.compile(rb"[0-9]{1,20}")
_MODULE = b"/module/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uevent:
    """One event of the kernel; all texts are safe texts."""

    action: str  # add, remove, move, change, ...
    module: str | None  # directory name in /sys/module (`!` for `/`); None: the event is not about a module
    module_old: str | None = None  # the module's directory before a move; None: no move, or not of a module
    synth_uuid: str | None = None  # None: the kernel itself sent it; "0": written without arguments

    @property
    def synthetic(self) -> bool:
        """Whether a process wrote it into a `uevent` file: nothing was loaded or removed."""
        return self.synth_uuid is not None


def parse_uevent(datagram: bytes) -> Uevent:
    """Read a datagram of the kernel's group; raises ParseError, for datagrams of udev too."""
    if datagram.startswith(b"libudev\0"):
        raise ParseError(_INTERFACE, datagram, "sent by udev, not by the kernel")
    header, *parts = datagram.removesuffix(b"\0").split(b"\0")
    action, at, devpath = header.partition(b"@")
    if not at or not _ACTION.fullmatch(action):
        raise ParseError(_INTERFACE, datagram, "does not begin with ACTION@DEVPATH")
    raw = _fields(parts, datagram)
    if raw.get(b"ACTION") != action or raw.get(b"DEVPATH") != devpath:
        raise ParseError(_INTERFACE, datagram, "ACTION and DEVPATH are not those of its head")
    if not _SEQNUM.fullmatch(raw.get(b"SEQNUM", b"")):
        raise ParseError(_INTERFACE, datagram, "no SEQNUM")
    subsystem = raw.get(b"SUBSYSTEM", b"")
    # DEVPATH_OLD comes with `move`; SYNTH_UUID since f36776fafbaa (in v4.13), see above.
    old, uuid = raw.get(b"DEVPATH_OLD"), raw.get(b"SYNTH_UUID")
    return Uevent(
        action=action.decode(),
        module=_module(subsystem, devpath),
        module_old=None if old is None else _module(subsystem, old),
        synth_uuid=None if uuid is None else safe_text(uuid),
    )


def is_about_modules(datagram: bytes) -> bool:
    """Whether the datagram is worth parsing: a cheap search for bytes that every module's event has."""
    return b"\0SUBSYSTEM=module\0" in datagram


def _fields(parts: list[bytes], datagram: bytes) -> dict[bytes, bytes]:
    # The kernel writes its own keys first, so of equal keys the first counts.
    fields: dict[bytes, bytes] = {}
    for part in parts:
        key, equals, value = part.partition(b"=")
        if not equals or not key:
            raise ParseError(_INTERFACE, datagram, "a part is not KEY=VALUE")
        fields.setdefault(key, value)
    return fields


def _module(subsystem: bytes, devpath: bytes) -> str | None:
    name = devpath.removeprefix(_MODULE)
    if subsystem != b"module" or name == devpath or not 0 < len(name) <= SHOWN_MAX or b"/" in name:
        return None
    return safe_text(name)
