r"""/sys/module/NAME: attributes of one module, and how names map to directories.

Interface: kernel/module/sysfs.c, kernel/module/main.c, kernel/params.c, drivers/base/module.c
(Documentation/ABI/testing/sysfs-module). All attributes read here are 0444.

Facts the code below is written from:

- A directory is called as its module, every `/` replaced by `!` (kobject_set_name_vargs). Other bytes stay.
- `initstate` exists for loadable modules only: the one reliable way to tell them from built-ins. Built-ins appear only
  with a visible parameter, a version or a driver. `compression` is a regular file (>= 5.17), not a module.
- `refcnt` needs CONFIG_MODULE_UNLOAD and is -1 while the module goes; `taint` is a lone newline when untainted.
- `srcversion` and `version` exist where modinfo has them. `notes/.note.gnu.build-id` is a binary ELF note.
- While a module goes, an open attribute reads ENODEV and a path ENOENT.
"""

import re
import struct
from dataclasses import dataclass

from kmodmon.kernel.error import ParseError
from kmodmon.kernel.modules import ModuleState
from kmodmon.kernel.text import bounded, raw_bytes, safe_text

_INTERFACE = "/sys/module/<m>/"
BUILD_ID_NOTE = ".note.gnu.build-id"
_BUILD_ID_MAX = 64  # bytes; SHA-1 has 20
_TEXT_MAX = 256  # characters of version and srcversion that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One file of /sys/module/NAME: who has it and since when."""

    name: str
    loadable: str  # when a loadable module has it; empty: never
    builtin: str  # when a built-in one has it; empty: never
    content: str


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(name="initstate", loadable="always", builtin="", content="live, coming or going"),
    Attribute(name="coresize", loadable="always", builtin="", content="bytes of memory that stay after init"),
    Attribute(name="initsize", loadable="always", builtin="", content="bytes of init memory, 0 once freed"),
    Attribute(name="datasize", loadable="CONFIG_ARCH_WANTS_MODULES_DATA_IN_VMALLOC", builtin="", content="bytes"),
    Attribute(name="refcnt", loadable="CONFIG_MODULE_UNLOAD", builtin="", content="references, -1 while going"),
    Attribute(name="taint", loadable="always", builtin="", content="taint letters, none if untainted"),
    Attribute(name="srcversion", loadable="modinfo has it", builtin="", content="hash of the source files"),
    Attribute(name="version", loadable="MODULE_VERSION", builtin="MODULE_VERSION", content="the module's own version"),
    Attribute(name="import_ns", loadable=">= 7.1, with imports", builtin="", content="symbol namespaces, a line each"),
)  # fmt: skip


def sysfs_name(name: str) -> bytes:
    """Give the directory name of module `name` (safe text); raises ParseError for a name that is no directory's."""
    raw = raw_bytes(name).replace(b"/", b"!")
    if raw in (b"", b".", b"..") or b"\0" in raw or len(raw) > 255:
        raise ParseError(_INTERFACE, raw, "a module of this name has no directory in /sys/module")
    return raw


def module_name(directory: bytes) -> str:
    """Give a directory's name as safe text; `!` stays, for a module may be called so itself."""
    return safe_text(directory)


def parse_initstate(raw: bytes) -> ModuleState:
    """Read `initstate`; raises ParseError."""
    try:
        return ModuleState(raw.strip().decode("ascii"))
    except ValueError:
        raise ParseError(_INTERFACE + "initstate", raw, "neither live, coming nor going") from None


def parse_size(raw: bytes) -> int:
    """Read `coresize`, `initsize` or `datasize` in bytes; raises ParseError."""
    if not re.fullmatch(rb"[0-9]{1,20}\n?", raw):
        raise ParseError(_INTERFACE + "*size", raw, "not a decimal number")
    return int(raw)


def parse_refcnt(raw: bytes) -> int:
    """Read `refcnt`, -1 while the module goes; raises ParseError."""
    if not re.fullmatch(rb"-?[0-9]{1,11}\n?", raw):
        raise ParseError(_INTERFACE + "refcnt", raw, "not a decimal number")
    return int(raw)


def parse_taint(raw: bytes) -> str:
    """Read `taint`: letters in bit order, empty for an untainted module, unknown ones kept; raises ParseError."""
    letters = raw.removesuffix(b"\n")
    if len(letters) > 64 or re.search(rb"[\s\0]", letters):
        raise ParseError(_INTERFACE + "taint", raw, "not a row of letters")
    return safe_text(letters)


def parse_version(raw: bytes) -> str | None:
    """Read `version` or `srcversion` as safe text of bounded length; None when it is empty."""
    return bounded(safe_text(raw.rstrip(b"\n\0 ")), _TEXT_MAX) or None


def parse_build_id(raw: bytes) -> str | None:
    """Find the GNU build-id (NT_GNU_BUILD_ID, 3) in the ELF notes of a file in `notes/`, as hex; None: not among them.

    The section may hold other notes too. Raises ParseError when the notes are cut short in either byte order.
    """
    for order in ("<", ">"):
        found = _build_id(raw, order)
        if found is not None:
            return found or None
    raise ParseError(_INTERFACE + "notes/", raw, "not a row of ELF notes")


def _build_id(raw: bytes, order: str) -> str | None:
    # "": the notes are sound and none is a build-id; None: they do not parse in this byte order.
    at = 0
    while at < len(raw):
        if len(raw) - at < 12:
            return None
        name_size, size, kind = struct.unpack_from(order + "III", raw, at)
        name_at = at + 12
        desc_at = name_at + (name_size + 3 & ~3)
        if desc_at + size > len(raw):
            return None
        if kind == 3 and raw[name_at : name_at + name_size] == b"GNU\0" and 0 < size <= _BUILD_ID_MAX:
            return raw[desc_at : desc_at + size].hex()
        at = desc_at + (size + 3 & ~3)
    return ""
