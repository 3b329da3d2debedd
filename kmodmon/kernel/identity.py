"""Release, version, boot time and random boot id of the running kernel.

Interfaces, world readable and always there: /proc/version (fs/proc/version.c), /proc/sys/kernel/random/boot_id, and
`btime` in /proc/stat (Documentation/filesystems/proc.rst). In a container they describe the host's kernel; lxcfs
replaces /proc/stat by the container's own. /proc/sys/kernel/arch, which the kernel source reads too, exists since Linux
kernel commit bfca3dd3d068 ("kernel/utsname_sysctl.c: print kernel arch") (in v6.1).
"""

import re
from dataclasses import dataclass

from kmodmon.types.error import ParseError
from kmodmon.types.text import bounded, safe_text

VERSION = "/proc/version"
_TEXT_MAX = 1024  # characters; linux_banner is far shorter
_UUID = re.compile(rb"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_BTIME = re.compile(rb"^btime ([0-9]{1,12})\n", re.MULTILINE)  # a line that is cut has no end


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelVersion:
    """/proc/version in parts; all safe text."""

    text: str  # the whole line
    release: str  # as uname -r
    version: str  # as uname -v: build number, options, date


def parse_version(raw: bytes) -> KernelVersion:
    """Read /proc/version; raises ParseError when it does not begin as every kernel's does."""
    text = bounded(safe_text(raw.strip(b"\n\0 ")), _TEXT_MAX)
    # The parentheses of builder and compiler nest and are free text; uname -v begins with the last ` #NUMBER`.
    match = re.fullmatch(r"Linux version (\S+) ?(.*)", text)
    if match is None:
        raise ParseError(VERSION, raw, "does not begin with `Linux version RELEASE`")
    at = match[2].rfind(" #")
    return KernelVersion(text=text, release=match[1], version=match[2][at + 1 :] if at >= 0 else "")


def parse_boot_id(raw: bytes) -> str:
    """Read the random UUID of this boot; raises ParseError."""
    text = raw.strip()
    if not _UUID.fullmatch(text):
        raise ParseError("/proc/sys/kernel/random/boot_id", raw, "not a UUID")
    return text.decode()


def parse_boot_time(raw: bytes) -> int:
    """Find `btime` in /proc/stat: boot in seconds since the epoch, to the second; raises ParseError."""
    match = _BTIME.search(raw)
    if match is None:
        raise ParseError("/proc/stat", raw, "no btime line")
    return int(match[1])
