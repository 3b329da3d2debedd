"""Certificates built into a kernel: those that the boot adds to .builtin_trusted_keys and to the blacklist.

certs/system_certificates.S lays them out, in this order: the module signing certificate and the other trusted ones, one
DER certificate after another; on some kernels space for one more (CONFIG_SYSTEM_EXTRA_CERTIFICATE); then, aligned to 8,
the size of the list and the size of its first part (the module signing certificates), each an unsigned long.
The second size exists since Linux kernel commit 6cbdfb3d91ba ("ima: enable loading of build time generated key on .ima
keyring"). certs/revocation_certificates.S has a list and one size.
Absent: kernel without CONFIG_SYSTEM_TRUSTED_KEYRING.

A kernel holds other certificates too (wireless regulations), which are not trusted for modules: a list counts only if
the sizes behind it match. Debian 6.1, 6.12 and 7.2 have this layout; there the kernel package is the only place that
has the certificate.
"""

import enum
import re
import struct
from dataclasses import dataclass
from itertools import accumulate, product

from kmodmon.modfile.x509 import Certificate, parse_certificates

_START = re.compile(rb"\x30\x82[\x00-\xff]{2}\x30\x82[\x00-\xff]{2}\xa0\x03\x02\x01\x02")
_LIST_BYTES = 1 << 17  # no list is larger
OVERLAP = 1 << 18  # bytes; no list with its zero fill and sizes is larger
_ROOM = 1 << 14  # zero fill: alignment, and CONFIG_SYSTEM_EXTRA_CERTIFICATE_SIZE (4096 where it is used)
_NOT_ZERO = re.compile(rb"[^\x00]")
_WORDS = tuple(struct.Struct(form) for form in ("<QQ", ">QQ", "<II", ">II"))


class Role(enum.StrEnum):
    """The keyring that a list goes to."""

    TRUSTED = "trusted"  # .builtin_trusted_keys
    REVOKED = "revoked"  # .blacklist


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateList:
    """One list of certificates."""

    offset: int  # bytes from the start of the uncompressed kernel
    role: Role
    certificates: tuple[Certificate, ...]


def find_lists(window: bytes, base: int, *, last: bool) -> tuple[CertificateList, ...]:
    """Find the lists that start in this part of an uncompressed kernel. Raises nothing.

    `base` is the number of bytes before the window. Windows must overlap by OVERLAP bytes; a list that starts in the
    overlap is left to the next window, unless this is the `last` one.
    """
    stop = len(window) if last else len(window) - OVERLAP
    lists = []
    at = 0
    while (start := _START.search(window, at, min(len(window), stop + 16))) and start.start() < stop:
        certificates = parse_certificates(window[start.start() : start.start() + _LIST_BYTES])
        length = sum(len(certificate.raw) for certificate in certificates)
        role = _role(window, start.start() + length, certificates) if certificates else None
        if role is not None:
            lists.append(CertificateList(offset=base + start.start(), role=role, certificates=certificates))
        at = start.start() + (length or 4)
    return tuple(lists)


def _role(window: bytes, end: int, certificates: tuple[Certificate, ...]) -> Role | None:
    """Decide by the two words after the list and the zero fill; None: neither is the size of this list."""
    total = sum(len(certificate.raw) for certificate in certificates)
    firsts = set(accumulate(len(certificate.raw) for certificate in certificates))
    filled = _NOT_ZERO.search(window, end, end + _ROOM)
    if filled is None:
        return None
    role = None
    # The size may begin with zero bytes, which look like fill; width and byte order are those of the kernel.
    for start, layout in product(range(max(end, filled.start() - 7), filled.start() + 1), _WORDS):
        if start + layout.size <= len(window):
            whole, first = layout.unpack_from(window, start)
            if whole == total and first in firsts:
                return Role.TRUSTED
            if whole == total:
                role = Role.REVOKED
    return role
