"""Hashes of a module file in one pass: of the whole file, and of the part that the signature covers."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.examiner.image import Image

# The kernel's names and those of hashlib. Modules are signed with SHA-3 since 6.7.
NAMES = MappingProxyType(
    {
        "sha1": "sha1",
        "sha224": "sha224",
        "sha256": "sha256",
        "sha384": "sha384",
        "sha512": "sha512",
        "sha3-256": "sha3_256",
        "sha3-384": "sha3_384",
        "sha3-512": "sha3_512",
    }
)
_MU_BYTES = 64  # FIPS 204, algorithm 7


@dataclass(frozen=True, slots=True, kw_only=True)
class HashRequest:
    """What to compute beside the SHA-256 of the whole file."""

    signed_bytes: int = 0  # length of the part that the signature covers
    digests: frozenset[str] = frozenset()  # kernel names of digests of that part
    prefixes: frozenset[bytes] = frozenset()  # SHAKE256 of each of these followed by that part (ML-DSA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """The results; digests that hashlib lacks are missing."""

    whole: str  # SHA-256 of the whole file, hex
    signed: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))  # by the kernel's name
    mu: Mapping[bytes, bytes] = field(default_factory=lambda: MappingProxyType({}))  # by prefix


def hash_image(image: Image, wanted: HashRequest) -> Digests:
    """Read the file once; raises FileError."""
    whole = hashlib.sha256()
    others = {name: hashlib.new(NAMES[name]) for name in wanted.digests if name in NAMES and name != "sha256"}
    shakes = {prefix: hashlib.shake_256(prefix) for prefix in wanted.prefixes}
    plain: bytes | None = None
    left = wanted.signed_bytes
    for chunk in image.chunks():
        inside = chunk if len(chunk) <= left else chunk[:left]
        if inside:
            for other in (*others.values(), *shakes.values()):
                other.update(inside)
        if len(chunk) >= left and plain is None:
            # here the running hash of the whole file is the hash of the signed part
            whole.update(inside)
            plain = whole.digest()
            whole.update(chunk[left:])
        else:
            whole.update(chunk)
        left -= len(inside)
    signed = {name: other.digest() for name, other in others.items()}
    if "sha256" in wanted.digests and plain is not None:
        signed["sha256"] = plain
    return Digests(
        whole=whole.hexdigest(),
        signed=MappingProxyType(signed),
        mu=MappingProxyType({prefix: shake.digest(_MU_BYTES) for prefix, shake in shakes.items()}),
    )
