"""Copies of built modules with bytes changed, for what no compiler makes: each a name, and what becomes of the file."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

ROOM = b"room_for_a_name_that_is_written_over_afterwards"
# MODULE_NAME_LEN in include/linux/module.h: 64 less a long.
_NAME_LEN = 56

ODD_NAMES: Mapping[str, bytes] = MappingProxyType(
    {
        "name_space": b"two words",
        "name_newline": b"new\nline",
        "name_ff": b"byte\xff",
        "name_script": b"<script>alert(1)</script>",
        "name_slash": b"a/b",
        "name_dotdot": b"..",
        "name_escape": b"\x1b[31mred",
        "name_quote": b'quo"te\\x41{',
        "name_comma": b"one,two,[permanent],",
        "name_line": b"dummy 16384 0 - Live 0x0",
        "name_utf8": "модуль".encode(),
        "name_rtl": "\u202egpj.ko".encode(),
        "name_dash": b"dash-ed",
        "name_long": b"l" * (_NAME_LEN - 1),
        "name_empty": b"",
    }
)
"""File name of a copy: the module name written into it."""


def _other_version(ko: bytes) -> bytes:
    # With CONFIG_MODVERSIONS the kernel skips the version in front and compares only the flags behind it.
    magic = _vermagic(ko)
    return ko.replace(magic, b"9" + magic[1:], 1)


def _other_flags(ko: bytes) -> bytes:
    magic = _vermagic(ko)
    return ko.replace(magic, magic.replace(b"mod_unload", b"mod_unl0ad"), 1)


def _wrong_crc(ko: bytes) -> bytes | None:
    # struct modversion_info is an unsigned long, then a name: spoil the checksum of a symbol that all modules use.
    for symbol in (b"module_layout", b"__fentry__", b"__x86_return_thunk", b"_printk"):
        at = ko.find(b"\0\0\0\0" + symbol + b"\0") - 4
        if at >= 0:
            return ko[:at] + bytes(byte ^ 0x55 for byte in ko[at : at + 4]) + ko[at + 4 :]
    return None


def _proprietary(ko: bytes) -> bytes:
    return ko.replace(b"license=Dual BSD/GPL\0", b"license=Proprietary\0\0", 1)


def _truncated(ko: bytes) -> bytes:
    return ko[: len(ko) // 2]


def _no_elf(_: bytes) -> bytes:
    return b"this is no module\n" * 10


def _vermagic(ko: bytes) -> bytes:
    found = re.search(rb"vermagic=([^\0]*)", ko)
    if found is None:
        raise ValueError("a module without a vermagic")
    return found[1]


PATCHES: Mapping[str, tuple[str, Callable[[bytes], bytes | None]]] = MappingProxyType(
    {
        "other_version": ("hello_unsigned", _other_version),
        "wrong_vermagic": ("hello_unsigned", _other_flags),
        "wrong_crc": ("stack_a", _wrong_crc),
        "truncated": ("hello_unsigned", _truncated),
        "not_elf": ("hello_unsigned", _no_elf),
        "gpl_user": ("gpl_user", _proprietary),
    }
)
"""File name of a copy: the module it is made of, and how (None: it cannot be made, no CONFIG_MODVERSIONS)."""


def named(ko: bytes, name: bytes) -> bytes:
    """Rename the module built from ``room_for...c``, in ``struct module`` and, as far as it fits, in modinfo."""
    field = ROOM.ljust(_NAME_LEN, b"\0")
    if ko.count(field) != 1:
        raise ValueError("struct module with its name was not found")
    tag = b"name=" + ROOM + b"\0"
    return ko.replace(tag, (b"name=" + name[: len(ROOM)]).ljust(len(tag), b"\0"), 1).replace(
        field, name.ljust(_NAME_LEN, b"\0"), 1
    )
