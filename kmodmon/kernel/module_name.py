"""Names of modules: the kernel's (with `_`) and those of files (with `-` or `_`, a directory, a compression suffix).

Interface: scripts/Makefile.lib `name-fix` makes the kernel's name of a file's; include/linux/module.h `struct module`
holds it. The kernel checks no byte of it: a module may carry any name of at most 55 bytes (59 on 32-bit kernels).
"""

from kmodmon.types.text import raw_bytes, safe_text

NAME_MAX = 59  # bytes: MODULE_NAME_LEN - 1 on 32-bit kernels; 55 on 64-bit ones
# Bytes that an interface may show: a name that a hostile module does not end with a zero runs on into what follows it
# in struct module. Dropping it would hide that module.
SHOWN_MAX = 255
THIS_MODULE = b".gnu.linkonce.this_module"
SUFFIXES = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")


def fits(name: str) -> bool:
    """Whether a kernel can hold this name (safe text) of a module, or of a request for one (kernel/module/kmod.c)."""
    return len(name) <= NAME_MAX or len(raw_bytes(name)) <= NAME_MAX


def kernel_name(name: str) -> str:
    """The kernel's spelling of a module name: every `-` is `_` (scripts/Makefile.lib name-fix)."""
    return name.replace("-", "_")


def name_of_file(path: str) -> str | None:
    """The kernel's name for a module file by its file name; None when it is not named like a module file."""
    base = path.rpartition("/")[2]
    for suffix in SUFFIXES:
        if base.endswith(suffix) and len(base) > len(suffix):
            return kernel_name(base[: -len(suffix)])
    return None


def is_file_name(name: str) -> bool:
    """Whether a name may stand for one file in a directory: not empty, no `/`, neither `.` nor `..`, no NUL."""
    return bool(name) and "/" not in name and "\0" not in name and name not in {".", ".."}


def parse_this_module(raw: bytes, bits: int) -> str | None:
    """Read the name that the kernel will use, which follows `state` and `list` (two pointers) in struct module.

    `raw` is the section `.gnu.linkonce.this_module`; `bits` is 32 or 64. Safe text; None when the section is too short
    or holds no name.
    """
    width = bits // 8
    room = raw[3 * width : 3 * width + 64 - width]  # MODULE_NAME_LEN
    name = room.partition(b"\0")[0]
    return safe_text(name) if name and len(name) < len(room) else None
