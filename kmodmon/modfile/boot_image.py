"""Kernel images in /boot: where the compressed kernel is, and which compression it has.

Files: /boot/vmlinuz-RELEASE or /lib/modules/RELEASE/vmlinuz; on many distributions readable by root only. Absent:
containers, and systems that boot a unified kernel image. Forms:

- x86 bzImage (Documentation/arch/x86/boot.rst): payload_offset and payload_length exist since boot protocol 2.08.
- EFI zboot (drivers/firmware/efi/libstub/zboot-header.S; arm64, riscv, loongarch), since Linux kernel commit
  a050910972bb ("efi/libstub: implement generic EFI zboot") (in v6.1).
- a whole file in gzip (arm64 Image.gz), and images that are not compressed (arm64 Image, vmlinux of powerpc).
"""

import re
import struct
from dataclasses import dataclass

from kmodmon.types.error import ParseError

HEAD_BYTES = 1024  # of a file; they hold the header of every form
_SETUP_SECTS, _HEADER_MAGIC, _VERSION, _PAYLOAD = 0x1F1, 0x202, 0x206, 0x248
_MIN_PROTOCOL = 0x0208
_SECTOR = 512

_MAGICS = (
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\x5d\x00\x00", "lzma"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x89LZO\x00\r\n\x1a\n", "lzo"),
    (b"\x7fELF", "none"),
)
_COMPRESSED = re.compile(rb"\x1f\x8b\x08|\xfd7zXZ\x00|\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """Where in the file the kernel proper is."""

    offset: int  # bytes from the start of the file
    length: int | None  # bytes, the uncompressed size behind the compressed data included; None: up to the end
    form: str  # "bzImage", "EFI zboot", "plain"


def compression_of(head: bytes) -> str | None:
    """Return gzip, xz, zstd, bzip2, lzma, lz4, lzo, none (an ELF file), or None: something else."""
    for magic, name in _MAGICS:
        if head.startswith(magic):
            return name
    return None


def find_payload(head: bytes) -> Payload:
    """Find the kernel proper from the first HEAD_BYTES of an image; raises ParseError when its header is cut."""
    if head[_HEADER_MAGIC : _HEADER_MAGIC + 4] == b"HdrS":
        return _bzimage(head)
    if head[:2] == b"MZ" and head[4:8] == b"zimg":  # since a050910972bb (in v6.1), see above
        if len(head) < 16:
            raise ParseError("EFI zboot image", head, "header cut off")
        offset, length = struct.unpack_from("<II", head, 8)
        return Payload(offset=offset, length=length, form="EFI zboot")
    return Payload(offset=0, length=None, form="plain")


def _bzimage(head: bytes) -> Payload:
    if len(head) < _PAYLOAD + 8:
        raise ParseError("bzImage", head[_HEADER_MAGIC : _HEADER_MAGIC + 8], "header cut off")
    (protocol,) = struct.unpack_from("<H", head, _VERSION)
    if protocol < _MIN_PROTOCOL:
        raise ParseError("bzImage", head[_HEADER_MAGIC : _HEADER_MAGIC + 8], f"boot protocol {protocol:#x} is too old")
    offset, length = struct.unpack_from("<II", head, _PAYLOAD)
    sectors = head[_SETUP_SECTS] or 4
    return Payload(offset=(sectors + 1) * _SECTOR + offset, length=length, form="bzImage")


def candidates(image: bytes, limit: int = 16) -> tuple[int, ...]:
    """Offsets in an image of unknown form where compressed data may start (s390 puts its decompressor before it)."""
    offsets = []
    for match in _COMPRESSED.finditer(image):
        offsets.append(match.start())
        if len(offsets) == limit:
            break
    return tuple(offsets)
