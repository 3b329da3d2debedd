"""The module files of stock kernels that lie in tests/files/modules (its README says whence), read whole."""

import lzma
from collections.abc import Callable
from pathlib import Path

MODULES = Path(__file__).parent / "files/modules"
RECORDED = tuple(sorted(path.name for path in MODULES.glob("*.ko*")))


def image(name: str) -> bytes:
    """The uncompressed file."""
    raw = (MODULES / name).read_bytes()
    return lzma.decompress(raw) if name.endswith(".xz") else raw


def reader(raw: bytes) -> Callable[[int, int], bytes]:
    """Read from a buffer as from a file."""
    return lambda offset, length: raw[offset : offset + length]


def certificate(name: str) -> bytes:
    """The trusted certificate of the kernel that module file `name` belongs to, DER."""
    return (MODULES / f"builtin-{name.partition('-')[2].partition('.ko')[0]}.der").read_bytes()
