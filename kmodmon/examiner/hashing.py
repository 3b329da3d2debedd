"""Hashes of a module file, all in one pass: of all of it, and of the part that is signed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.examiner.image import Image

# the kernel's name: hashlib's
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
_MU_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class HashRequest:
    """What to compute: digests of the first `signed_bytes`, and SHAKE256 of each prefix followed by them (ML-DSA)."""

    signed_bytes: int = 0
    digests: frozenset[str] = frozenset()
    prefixes: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """Digests by the kernel's name (those that hashlib knows), `mu` by prefix, and SHA-256 of the whole file in hex."""

    whole: str
    signed: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    mu: Mapping[bytes, bytes] = field(default_factory=lambda: MappingProxyType({}))


def hash_image(image: Image, wanted: HashRequest) -> Digests:
    """Compute in one pass; raises FileError."""
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
            # the whole file's hash on its way is the signed part's at this place
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
