"""PKCS#7/CMS SignedData (RFC 5652) as appended to kernel modules: signers, algorithms, and the signatures themselves.

Interface: crypto/asymmetric_keys/pkcs7_parser.c and pkcs7_verify.c; `scripts/sign-file` writes it detached, without
certificates and without signed attributes, one signer named by issuer and serial number, or by subject key id
(`sign-file -k`). ML-DSA keys may have signed attributes since Linux kernel commit 91db696adea4 ("pkcs7: Allow
authenticatedAttributes for ML-DSA") (in v7.0).

The rules of the kernel's parser that need no key are here too: `objection()` returns its objection, with the errno that
decides between "refused by every kernel" and "refused only where signatures are enforced". Algorithms differ between
kernels; every one that some kernel accepts is accepted here, such as ECDSA, in certificates since Linux kernel commit
299f561a6693 ("x509: Add support for parsing x509 certs with ECDSA keys").
"""

from dataclasses import dataclass
from types import MappingProxyType

from kmodmon.modfile import der
from kmodmon.modfile.distinguished_name import common_name
from kmodmon.types.error import ParseError

SIGNED_DATA = "1.2.840.113549.1.7.2"
DATA = "1.2.840.113549.1.7.1"
_AUTHENTICODE = "1.3.6.1.4.1.311.2.1.4"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
LIMIT = 65535  # bytes; lib/asn1_decoder.c takes no more

# crypto/asymmetric_keys/pkcs7_parser.c pkcs7_sig_note_digest_algo(); the names are the kernel's
DIGESTS = MappingProxyType(
    {
        "1.2.840.113549.2.5": "md5",
        "1.3.14.3.2.26": "sha1",
        "2.16.840.1.101.3.4.2.4": "sha224",
        "2.16.840.1.101.3.4.2.1": "sha256",
        "2.16.840.1.101.3.4.2.2": "sha384",
        "2.16.840.1.101.3.4.2.3": "sha512",
        "2.16.840.1.101.3.4.2.8": "sha3-256",
        "2.16.840.1.101.3.4.2.9": "sha3-384",
        "2.16.840.1.101.3.4.2.10": "sha3-512",
        "1.2.156.10197.1.401": "sm3",
        "1.2.643.7.1.1.2.2": "streebog256",
        "1.2.643.7.1.1.2.3": "streebog512",
    }
)
_UNSUPPORTED_DIGESTS = frozenset({"md5"})

_ECDSA = ("1.2.840.10045.4.1", "1.2.840.10045.4.3.1", "1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3",
          "1.2.840.10045.4.3.4", "2.16.840.1.101.3.4.3.10", "2.16.840.1.101.3.4.3.11",
          "2.16.840.1.101.3.4.3.12")  # fmt: skip
KEY_ALGORITHMS = MappingProxyType(
    {
        "1.2.840.113549.1.1.1": "rsa",
        **dict.fromkeys(_ECDSA, "ecdsa"),
        "1.2.643.7.1.1.1.1": "ecrdsa",
        "1.2.643.7.1.1.1.2": "ecrdsa",
        "2.16.840.1.101.3.4.3.17": "mldsa44",
        "2.16.840.1.101.3.4.3.18": "mldsa65",
        "2.16.840.1.101.3.4.3.19": "mldsa87",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerInfo:
    """One signature. Either issuer and serial number, or the subject key id, names the certificate."""

    version: int  # 1: named by issuer and serial number, 3: by key id
    issuer: bytes | None  # DER Name; None: named by key id
    serial: bytes | None  # contents of the INTEGER; None: named by key id
    key_id: bytes | None  # subject key id; None: named by issuer and serial number
    digest_oid: str  # dotted
    signature_oid: str  # dotted
    signed_attributes: bytes | None  # with the tag of a SET, as they are signed; None: it has none
    message_digest: bytes | None  # of the signed attributes; None: they have none
    signature: bytes

    @property
    def signer(self) -> str | None:
        """The issuer's common name, as modinfo prints it; None when the signer is named by key id."""
        return None if self.issuer is None else common_name(self.issuer)

    @property
    def identifier(self) -> bytes:
        """The serial number, or the subject key id, as modinfo's `sig_key`."""
        return self.key_id if self.key_id is not None else self.serial or b""

    @property
    def key_text(self) -> str:
        """The identifier in upper-case hex with colons, as modinfo's `sig_key`: a number without its leading zero."""
        raw = self.identifier
        if self.key_id is None and len(raw) > 1 and raw[0] == 0:
            raw = raw[1:]
        return raw.hex(":").upper()

    @property
    def digest(self) -> str:
        """The kernel's name of the digest, or its dotted OID when the kernel has no name for it."""
        return DIGESTS.get(self.digest_oid, self.digest_oid)

    @property
    def algorithm(self) -> str:
        """rsa, ecdsa, mldsa65 … or the dotted OID."""
        return KEY_ALGORITHMS.get(self.signature_oid, self.signature_oid)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedData:
    """One PKCS#7 message."""

    version: int
    content_type: str  # dotted OID, DATA for modules
    detached: bool  # the message does not hold the data that it signs
    certificates: tuple[bytes, ...]  # DER, as enclosed; they prove nothing by themselves
    signers: tuple[SignerInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why the kernel refuses a signature before it looks for a key."""

    errno: str  # name, such as ENOPKG
    why: str  # for people


def parse_signed_data(raw: bytes) -> SignedData:
    """Read one DER SignedData message; raises ParseError for anything else."""
    if len(raw) > LIMIT:
        raise ParseError("PKCS#7", raw[:16], f"{len(raw)} bytes, more than {LIMIT}")
    outer = der.expect(raw, 0, None, der.SEQUENCE)
    kind = der.expect(raw, outer.body, outer.end, der.OID)
    if der.oid(raw, kind) != SIGNED_DATA:
        raise ParseError("PKCS#7", raw[:16], f"content type {der.oid(raw, kind)} is not SignedData")
    explicit = der.expect(raw, kind.end, outer.end, der.context(0, constructed=True))
    body = der.expect(raw, explicit.body, explicit.end, der.SEQUENCE)
    version = der.expect(raw, body.body, body.end, der.INTEGER)
    digests = der.read_tlv(raw, version.end, body.end)
    content = der.expect(raw, digests.end, body.end, der.SEQUENCE)
    content_type = der.expect(raw, content.body, content.end, der.OID)
    certificates, infos = _after_content(raw, content.end, body.end)
    return SignedData(
        version=der.small_integer(raw, version),
        content_type=der.oid(raw, content_type),
        detached=content_type.end == content.end,
        certificates=certificates,
        signers=tuple(_signer(raw, item) for item in der.children(raw, infos)),
    )


def _after_content(raw: bytes, at: int, end: int) -> tuple[tuple[bytes, ...], der.Tlv]:
    certificates: tuple[bytes, ...] = ()
    item = der.read_tlv(raw, at, end)
    if item.tag in {der.context(0, constructed=True), der.context(2, constructed=True)}:
        certificates = tuple(der.whole(raw, certificate) for certificate in der.children(raw, item))
        item = der.read_tlv(raw, item.end, end)
    if item.tag in {der.context(1, constructed=True), der.context(3, constructed=True)}:
        item = der.read_tlv(raw, item.end, end)  # revocation lists: the kernel skips them as well
    if item.tag not in {der.SET, der.SEQUENCE} or item.end != end:
        raise ParseError("PKCS#7", raw[item.start : item.start + 16], "no set of signers at the end")
    return certificates, item


def _signer(raw: bytes, info: der.Tlv) -> SignerInfo:
    version = der.expect(raw, info.body, info.end, der.INTEGER)
    sid = der.read_tlv(raw, version.end, info.end)
    issuer, serial, key_id = _signer_id(raw, sid)
    digest = der.expect(raw, sid.end, info.end, der.SEQUENCE)
    item = der.read_tlv(raw, digest.end, info.end)
    attributes = None
    if item.tag in {der.context(0, constructed=True), der.context(2, constructed=True)}:
        attributes = item
        item = der.read_tlv(raw, item.end, info.end)
    algorithm = item
    signature = der.expect(raw, algorithm.end, info.end, der.OCTET_STRING)
    return SignerInfo(
        version=der.small_integer(raw, version),
        issuer=issuer,
        serial=serial,
        key_id=key_id,
        digest_oid=_algorithm(raw, digest),
        signature_oid=_algorithm(raw, algorithm),
        signed_attributes=None if attributes is None else bytes([der.SET]) + der.whole(raw, attributes)[1:],
        message_digest=None if attributes is None else _message_digest(raw, attributes),
        signature=der.contents(raw, signature),
    )


def _signer_id(raw: bytes, sid: der.Tlv) -> tuple[bytes | None, bytes | None, bytes | None]:
    if sid.tag == der.context(0, constructed=False):
        return None, None, der.contents(raw, sid)
    if sid.tag != der.SEQUENCE:
        raise ParseError("PKCS#7", raw[sid.start : sid.start + 16], "signer is named in no known way")
    issuer = der.expect(raw, sid.body, sid.end, der.SEQUENCE)
    serial = der.expect(raw, issuer.end, sid.end, der.INTEGER)
    common_name(der.whole(raw, issuer))  # must be readable: it is shown
    return der.whole(raw, issuer), der.contents(raw, serial), None


def _algorithm(raw: bytes, identifier: der.Tlv) -> str:
    if identifier.tag != der.SEQUENCE:
        raise ParseError("PKCS#7", raw[identifier.start : identifier.start + 16], "no algorithm identifier")
    return der.oid(raw, der.expect(raw, identifier.body, identifier.end, der.OID))


def _message_digest(raw: bytes, attributes: der.Tlv) -> bytes | None:
    for attribute in der.children(raw, attributes):
        kind = der.expect(raw, attribute.body, attribute.end, der.OID)
        values = der.expect(raw, kind.end, attribute.end, der.SET)
        if der.oid(raw, kind) == _MESSAGE_DIGEST:
            return der.contents(raw, der.expect(raw, values.body, values.end, der.OCTET_STRING))
    return None


def objection(signed: SignedData) -> Objection | None:
    """Check a signature as the kernel does before it looks for a key; None: it has no objection."""
    if signed.version not in {1, 3}:
        return Objection(errno="EINVAL", why=f"SignedData version {signed.version}")
    if signed.content_type not in {DATA, _AUTHENTICODE}:
        return Objection(errno="EINVAL", why=f"content type {signed.content_type} is not plain data")
    if not signed.signers:
        return Objection(errno="EINVAL", why="a message without a signature")
    for info in signed.signers:
        if refusal := _signer_objection(signed, info):
            return refusal
    if not signed.detached:
        return Objection(errno="EBADMSG", why="the message holds data of its own")
    if signed.content_type != DATA:
        return Objection(errno="EKEYREJECTED", why="an Authenticode message, not a signature over plain data")
    if any(info.signed_attributes is not None and not info.algorithm.startswith("mldsa") for info in signed.signers):
        return Objection(errno="EKEYREJECTED", why="the signature has signed attributes")
    return None


def _signer_objection(signed: SignedData, info: SignerInfo) -> Objection | None:
    if (signed.version == 1) != (info.version == 1) or info.version not in {1, 3}:
        return Objection(errno="EBADMSG", why="versions of message and signature do not go together")
    if info.digest_oid not in DIGESTS or info.digest in _UNSUPPORTED_DIGESTS:
        return Objection(errno="ENOPKG", why=f"digest {info.digest} is not supported")
    if info.signature_oid not in KEY_ALGORITHMS:
        return Objection(errno="ENOPKG", why=f"signature algorithm {info.algorithm} is not supported")
    return None
