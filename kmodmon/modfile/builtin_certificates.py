"""Certificates built into a kernel: what the boot puts on .builtin_trusted_keys and on the blacklist.

certs/system_certificates.S lays them out, in this order: the module signing certificate and the other trusted ones, one
DER certificate after another; on some kernels room for one more (CONFIG_SYSTEM_EXTRA_CERTIFICATE); then, aligned to 8,
the size of the list and the size of its first part (the module signing certificates), each an unsigned long.
certs/revocation_certificates.S has a list and one size. A kernel holds other certificates too (wireless
regulations), which must not be taken for trusted: a list counts only if the sizes after it fit.

Found so in Debian 6.1, 6.12 and 7.2, where the kernel package is the only place that has the certificate.
"""

import enum
import re
import struct
from dataclasses import dataclass
from itertools import accumulate, product

from kmodmon.modfile.x509 import Certificate, parse_certificates

_START = re.compile(rb"\x30\x82[\x00-\xff]{2}\x30\x82[\x00-\xff]{2}\xa0\x03\x02\x01\x02")
_LIST_BYTES = 1 << 17
OVERLAP = 1 << 18  # bytes: no list with what follows it is larger
_ROOM = 1 << 14  # zero fill: alignment, and CONFIG_SYSTEM_EXTRA_CERTIFICATE_SIZE (4096 where it is used)
_NOT_ZERO = re.compile(rb"[^\x00]")
_WORDS = tuple(struct.Struct(form) for form in ("<QQ", ">QQ", "<II", ">II"))


class Role(enum.StrEnum):
    """What a list is for."""

    TRUSTED = "trusted"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateList:
    """One list; `offset` in the uncompressed kernel."""

    offset: int
    role: Role
    certificates: tuple[Certificate, ...]


def find_lists(window: bytes, base: int, *, last: bool) -> tuple[CertificateList, ...]:
    """Lists that start in this part of an uncompressed kernel, of which `base` bytes came before.

    Windows must overlap by OVERLAP bytes; a list that starts in the overlap is left to the next window, unless this
    is the `last` one.
    """
    stop = len(window) if last else len(window) - OVERLAP
    found = []
    at = 0
    while (start := _START.search(window, at, min(len(window), stop + 16))) and start.start() < stop:
        certificates = parse_certificates(window[start.start() : start.start() + _LIST_BYTES])
        length = sum(len(one.raw) for one in certificates)
        role = _role(window, start.start() + length, certificates) if certificates else None
        if role is not None:
            found.append(CertificateList(offset=base + start.start(), role=role, certificates=certificates))
        at = start.start() + (length or 4)
    return tuple(found)


def _role(window: bytes, end: int, certificates: tuple[Certificate, ...]) -> Role | None:
    """Judge by the two words after the list and the zero fill; None: there is no size of this list."""
    total = sum(len(one.raw) for one in certificates)
    firsts = set(accumulate(len(one.raw) for one in certificates))
    filled = _NOT_ZERO.search(window, end, end + _ROOM)
    if filled is None:
        return None
    role = None
    # the size may have zero bytes in front of its first other one; width and byte order are those of the kernel
    for start, layout in product(range(max(end, filled.start() - 7), filled.start() + 1), _WORDS):
        if start + layout.size <= len(window):
            whole, first = layout.unpack_from(window, start)
            if whole == total and first in firsts:
                return Role.TRUSTED
            if whole == total:
                role = Role.REVOKED
    return role
