"""Verifies signatures with a public key: RSA PKCS#1 v1.5, ECDSA, ML-DSA, over digests computed in `hashing`.

ML-DSA signs the data itself, but the data enters only through `mu`, SHAKE256 over a hash of the public key, two zero
bytes (pure mode, no context) and the data (FIPS 204, algorithm 7). So a file is streamed for it as for any digest.
"""

import hashlib
import warnings
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from kmodmon.examiner.hashing import NAMES, Digests
from kmodmon.modfile.pkcs7 import SignerInfo
from kmodmon.modfile.x509 import Certificate

_HASHES: Mapping[str, hashes.HashAlgorithm] = MappingProxyType(
    {
        "sha1": hashes.SHA1(),
        "sha224": hashes.SHA224(),
        "sha256": hashes.SHA256(),
        "sha384": hashes.SHA384(),
        "sha512": hashes.SHA512(),
        "sha3-256": hashes.SHA3_256(),
        "sha3-384": hashes.SHA3_384(),
        "sha3-512": hashes.SHA3_512(),
    }
)
_ML_DSA_KEY_BYTES = MappingProxyType({"mldsa44": 1312, "mldsa65": 1952, "mldsa87": 2592})
_ML_DSA_DIGEST_BYTES = 64


class Unverifiable(Exception):
    """The algorithm or key is not supported here; the text says which."""


@runtime_checkable
class _MlDsaKey(Protocol):
    """ML-DSA keys of cryptography 47 and later, if its OpenSSL supports them."""

    def public_bytes_raw(self) -> bytes:
        """Return the encoded public key."""
        ...

    def verify_mu(self, signature: bytes, mu: bytes) -> None:
        """Raise InvalidSignature unless the signature is valid for `mu`."""
        ...


def fits(info: SignerInfo, certificate: Certificate, digests: Digests) -> bool:
    """Whether the signature is valid for this certificate's key and the hashed data; raises Unverifiable."""
    key = _public_key(certificate.raw)
    try:
        match info.algorithm:
            case "rsa":
                return isinstance(key, rsa.RSAPublicKey) and _fits_rsa(key, info, digests)
            case "ecdsa":
                return isinstance(key, ec.EllipticCurvePublicKey) and _fits_ecdsa(key, info, digests)
            case "mldsa44" | "mldsa65" | "mldsa87":
                return _fits_ml_dsa(key, info, certificate, digests)
            case other:
                raise Unverifiable(f"signatures of kind {other} cannot be verified here")
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, ValueError) as error:
        raise Unverifiable(f"the signature cannot be verified here: {error}") from error


def message_prefix(info: SignerInfo, certificate: Certificate) -> bytes | None:
    """Give what is hashed before the data for ML-DSA with this key; None for every other signature."""
    if info.algorithm not in _ML_DSA_KEY_BYTES or info.signed_attributes is not None:
        return None
    return _ml_dsa_prefix(certificate)


def issued(issuer: Certificate, certificate: Certificate) -> bool:
    """Whether `issuer` signed `certificate`."""
    try:
        _loaded(certificate.raw).verify_directly_issued_by(_loaded(issuer.raw))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError, Unverifiable):
        return False
    return True


def _digest(info: SignerInfo, digests: Digests) -> tuple[bytes, Prehashed]:
    kind = _HASHES.get(info.digest)
    if kind is None:
        raise Unverifiable(f"digests of kind {info.digest} cannot be computed here")
    if info.signed_attributes is None:
        return digests.signed[info.digest], Prehashed(kind)
    return hashlib.new(NAMES[info.digest], info.signed_attributes).digest(), Prehashed(kind)


def _fits_rsa(key: rsa.RSAPublicKey, info: SignerInfo, digests: Digests) -> bool:
    digest, kind = _digest(info, digests)
    key.verify(info.signature, digest, padding.PKCS1v15(), kind)
    return True


def _fits_ecdsa(key: ec.EllipticCurvePublicKey, info: SignerInfo, digests: Digests) -> bool:
    digest, kind = _digest(info, digests)
    key.verify(info.signature, digest, ec.ECDSA(kind))
    return True


def _fits_ml_dsa(key: object, info: SignerInfo, certificate: Certificate, digests: Digests) -> bool:
    if not isinstance(key, _MlDsaKey):
        return False
    if len(key.public_bytes_raw()) != _ML_DSA_KEY_BYTES[info.algorithm]:
        return False
    prefix = _ml_dsa_prefix(certificate)
    if prefix is None:
        return False
    if info.signed_attributes is None:
        mu = digests.mu[prefix]
    else:
        mu = hashlib.shake_256(prefix + info.signed_attributes).digest(_ML_DSA_DIGEST_BYTES)
    key.verify_mu(info.signature, mu)
    return True


def _ml_dsa_prefix(certificate: Certificate) -> bytes | None:
    try:
        key = _public_key(certificate.raw)
    except Unverifiable:
        return None
    if not isinstance(key, _MlDsaKey):
        return None
    return hashlib.shake_256(key.public_bytes_raw()).digest(_ML_DSA_DIGEST_BYTES) + b"\0\0"


@lru_cache(maxsize=256)
def _loaded(raw: bytes) -> x509.Certificate:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # firmware certificates have malformed serial numbers and versions
            return x509.load_der_x509_certificate(raw)
    except ValueError as error:
        raise Unverifiable(f"the certificate cannot be loaded: {error}") from error


@lru_cache(maxsize=256)
def _public_key(raw: bytes) -> CertificatePublicKeyTypes:
    try:
        return _loaded(raw).public_key()
    except (UnsupportedAlgorithm, ValueError, TypeError) as error:
        raise Unverifiable(f"the certificate's key cannot be used here: {error}") from error
