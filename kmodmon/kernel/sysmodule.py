r"""/sys/module/NAME: attributes of one module, and how names map to directories.

Interface: kernel/module/sysfs.c, kernel/module/main.c, kernel/params.c, drivers/base/module.c
(Documentation/ABI/testing/sysfs-module). All attributes read here are 0444. Absent: sysfs not mounted.

Facts the code below is written from:

- A directory has the name of its module, every `/` replaced by `!` (kobject_set_name_vargs). Other bytes stay.
- `initstate` exists for loadable modules only: no other file distinguishes them from built-ins reliably. Built-ins
  appear only with a visible parameter, a version or a driver.
- `compression` is a regular file, not a module. It exists since Linux kernel commit b1ae6dc41eaa ("module: add
  in-kernel support for decompressing") (in v5.17), with CONFIG_MODULE_DECOMPRESS.
- `refcnt` needs CONFIG_MODULE_UNLOAD and is -1 while the module unloads; `taint` is a lone newline when untainted.
  /proc/modules has both too, and they are read there: one read for all modules.
- `srcversion` and `version` exist where modinfo has them. `notes/.note.gnu.build-id` is a binary ELF note.
- While a module unloads, an open attribute reads ENODEV and a path ENOENT.
"""

import re

from kmodmon.kernel.note import build_id
from kmodmon.types.error import ParseError
from kmodmon.types.text import bounded, raw_bytes, safe_text

_INTERFACE = "/sys/module/<m>/"
_TEXT_MAX = 256  # characters of version and srcversion that are kept


def sysfs_name(name: str) -> bytes | None:
    """Return the directory name of module `name` (safe text); None for a name that cannot be one."""
    raw = raw_bytes(name).replace(b"/", b"!")
    return None if raw in (b"", b".", b"..") or b"\0" in raw or len(raw) > 255 else raw


def module_name(directory: bytes) -> str:
    """Return a directory's name as safe text; `!` stays, because it may be part of the module's own name."""
    return safe_text(directory)


def parse_size(raw: bytes) -> int:
    """Read `coresize`, `initsize` or `datasize` in bytes; raises ParseError."""
    if not re.fullmatch(rb"[0-9]{1,20}\n?", raw):
        raise ParseError(_INTERFACE + "*size", raw, "not a decimal number")
    return int(raw)


def parse_version(raw: bytes) -> str | None:
    """Read `version` or `srcversion` as safe text of bounded length; None when it is empty."""
    return bounded(safe_text(raw.rstrip(b"\n\0 ")), _TEXT_MAX) or None


def parse_build_id(raw: bytes) -> str | None:
    """Find the GNU build-id (NT_GNU_BUILD_ID, 3) in the ELF notes of a file in `notes/`, as hex; None: there is none.

    The kernel's byte order is not known here: notes that make no sense as little endian are read as big endian. Raises
    ParseError when they make no sense in either.
    """
    try:
        return build_id(raw, "<")
    except ParseError:
        return build_id(raw, ">")
