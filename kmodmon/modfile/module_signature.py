"""The signature at the end of a module file.

Interface: include/linux/module_signature.h, kernel/module_signature.c (Documentation/admin-guide/module-signing.rst);
scripts/sign-file writes it. Absent: the module is unsigned.

    ELF | PKCS#7 message | struct module_signature, 12 bytes | `~Module signature appended~\\n`

The marker must be the very last bytes: anything after it makes the file unsigned. The 12 bytes are algo, hash, id_type,
signer_len, key_id_len, three bytes of padding (all zero but id_type, 2 = PKCS#7) and a big-endian length. The log lines
are those since Linux kernel commit c8424e776b09 ("MODSIGN: Export module signature definitions") (in v5.4); 4.18 logs
them without the prefix `module: `.
"""

import struct
from dataclasses import dataclass

from kmodmon.types.error import ParseError

MARKER = b"~Module signature appended~\n"
_STRUCT = struct.Struct(">BBBBB3sI")
STRUCT_BYTES = _STRUCT.size
TAIL_BYTES = STRUCT_BYTES + len(MARKER)

ID_TYPES = ("PGP", "X509", "PKCS#7")
PKCS7 = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailer:
    """struct module_signature of a file, numbers as written."""

    file_size: int  # bytes of the whole file
    algo: int  # must be 0
    hash: int  # must be 0
    id_type: int  # index into ID_TYPES
    signer_bytes: int  # must be 0
    key_id_bytes: int  # must be 0
    padding: bytes  # must be zero bytes
    signature_bytes: int  # length of the PKCS#7 message

    @property
    def signed_bytes(self) -> int:
        """Number of bytes from the start of the file that are signed; negative when the trailer's length is wrong."""
        return self.file_size - TAIL_BYTES - self.signature_bytes

    @property
    def id_name(self) -> str:
        """The form of the signature as modinfo's `sig_id`."""
        return ID_TYPES[self.id_type] if self.id_type < len(ID_TYPES) else f"unknown type {self.id_type}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRefusal:
    """The kernel's refusal of a trailer."""

    errno: str  # name, such as EBADMSG
    log: str | None  # the line that it logs; None: it logs nothing
    why: str  # for people


def is_signed(tail: bytes) -> bool:
    """Whether a file that ends with `tail` has a signature appended."""
    return tail.endswith(MARKER)


def parse_trailer(tail: bytes, file_size: int) -> Trailer | None:
    """Read the trailer from the last bytes of a file; None when it is unsigned. Raises ParseError when cut short."""
    if not is_signed(tail):
        return None
    if len(tail) < TAIL_BYTES:
        raise ParseError("module signature", tail[-16:], "no room for its description")
    algo, digest, id_type, signer, key_id, padding, length = _STRUCT.unpack_from(tail, len(tail) - TAIL_BYTES)
    return Trailer(
        file_size=file_size,
        algo=algo,
        hash=digest,
        id_type=id_type,
        signer_bytes=signer,
        key_id_bytes=key_id,
        padding=padding,
        signature_bytes=length,
    )


def check_trailer(trailer: Trailer) -> SignatureRefusal | None:
    """Check the trailer as `mod_check_sig()` does; None when the kernel goes on to the PKCS#7 message."""
    whole = trailer.file_size - len(MARKER)
    if whole <= STRUCT_BYTES or trailer.signature_bytes >= whole - STRUCT_BYTES:
        return SignatureRefusal(
            errno="EBADMSG", log=None, why=f"{trailer.signature_bytes} bytes of signature do not fit"
        )
    if trailer.id_type != PKCS7:
        why = f"signature of type {trailer.id_name} instead of PKCS#7"
        return SignatureRefusal(errno="ENOPKG", log="module: not signed with expected PKCS#7 message", why=why)
    fields = (trailer.algo, trailer.hash, trailer.signer_bytes, trailer.key_id_bytes, *trailer.padding)
    if any(fields):
        log = "module: PKCS#7 signature info has unexpected non-zero params"
        return SignatureRefusal(errno="EBADMSG", log=log, why="fields that must be zero are not")
    return None
