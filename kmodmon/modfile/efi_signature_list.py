"""EFI_SIGNATURE_LIST: the format of the EFI variables db and dbx and of shim's MOK variables.

Interface: UEFI specification 32.4.1; efivarfs shows the variables, world readable. Absent: no efivarfs, or the firmware
has no such variable. The kernel takes certificates for its platform and machine keyrings from them, and hashes and
certificates for its blacklist (security/integrity/platform_certs/load_uefi.c).
"""

import struct
import uuid
from dataclasses import dataclass

from kmodmon.types.error import ParseError

_HEADER = struct.Struct("<16sIII")
_OWNER_BYTES = 16
_SHA256_BYTES = 32
X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
SHA256 = uuid.UUID("c1c41626-504c-4092-aca9-41f936934328")
X509_SHA256 = uuid.UUID("3bd2a492-96c0-4079-b420-fcf98ef103ed")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureLists:
    """All entries of one variable."""

    certificates: tuple[bytes, ...] = ()  # X.509, DER
    file_hashes: frozenset[str] = frozenset()  # SHA-256 of whole files, hex
    tbs_hashes: frozenset[str] = frozenset()  # SHA-256 of certificates without their signature, hex
    unknown: int = 0  # entries of other kinds, which the kernel ignores for modules too


def parse_signature_lists(raw: bytes) -> SignatureLists:
    """Read every list in `raw`; raises ParseError when one claims more than there is."""
    certificates: list[bytes] = []
    files: set[str] = set()
    tbs: set[str] = set()
    unknown = 0
    at = 0
    while at < len(raw):
        if len(raw) - at < _HEADER.size:
            raise ParseError("EFI signature list", raw[at : at + 28], "header cut off")
        kind_bytes, list_bytes, header_bytes, entry_bytes = _HEADER.unpack_from(raw, at)
        if not _HEADER.size <= list_bytes <= len(raw) - at or entry_bytes < _OWNER_BYTES:
            raise ParseError("EFI signature list", raw[at : at + 28], "sizes do not fit")
        kind = uuid.UUID(bytes_le=kind_bytes)
        first = at + _HEADER.size + header_bytes
        for start in range(first, at + list_bytes - entry_bytes + 1, entry_bytes):
            entry = raw[start + _OWNER_BYTES : start + entry_bytes]
            if kind == X509:
                certificates.append(entry)
            elif kind == SHA256 and len(entry) == _SHA256_BYTES:
                files.add(entry.hex())
            elif kind == X509_SHA256 and len(entry) >= _SHA256_BYTES:
                tbs.add(entry[:_SHA256_BYTES].hex())
            else:
                unknown += 1
        at += list_bytes
    return SignatureLists(
        certificates=tuple(certificates), file_hashes=frozenset(files), tbs_hashes=frozenset(tbs), unknown=unknown
    )
