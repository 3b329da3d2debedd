"""X.509 certificates (RFC 5280), only the fields that name a key: serial number, issuer, subject, key ids.

Interface: crypto/asymmetric_keys/x509_cert_parser.c. The kernel finds a certificate by issuer and serial number, or by
its subject key id (crypto/asymmetric_keys/x509_public_key.c); names and serial numbers are compared as bytes.
"""

import hashlib
from dataclasses import dataclass

from kmodmon.modfile import der
from kmodmon.modfile.distinguished_name import display_name
from kmodmon.types.error import ParseError

_SUBJECT_KEY_ID = "2.5.29.14"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate."""

    raw: bytes  # all of its DER
    tbs: bytes  # TBSCertificate: the part that its issuer signed
    serial: bytes  # contents of the INTEGER
    issuer: bytes  # DER Name
    subject: bytes  # DER Name
    key_id: bytes | None  # subject key identifier; None: the certificate has none

    @property
    def name(self) -> str:
        """The subject's name for people; the serial number in hex when it has none."""
        return display_name(self.subject) or self.serial.hex()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hex."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def tbs_fingerprint(self) -> str:
        """SHA-256 of the signed part, hex: EFI's dbx and the kernel's blacklist name a certificate by it."""
        return hashlib.sha256(self.tbs).hexdigest()


def parse_certificate(raw: bytes) -> Certificate:
    """Read the one DER certificate that `raw` starts with; raises ParseError."""
    outer = der.expect(raw, 0, None, der.SEQUENCE)
    tbs = der.expect(raw, outer.body, outer.end, der.SEQUENCE)
    fields = list(der.children(raw, tbs))
    if fields and fields[0].tag == der.context(0, constructed=True):
        fields = fields[1:]
    if len(fields) < 6 or [field.tag for field in fields[:6]] != [der.INTEGER] + [der.SEQUENCE] * 5:
        raise ParseError("X.509", raw[:16], "fields missing or in another order")
    serial, _, issuer, _, subject, _ = fields[:6]
    display_name(der.whole(raw, subject))  # must be readable: it is shown
    extensions = [field for field in fields[6:] if field.tag == der.context(3, constructed=True)]
    return Certificate(
        raw=der.whole(raw, outer),
        tbs=der.whole(raw, tbs),
        serial=der.contents(raw, serial),
        issuer=der.whole(raw, issuer),
        subject=der.whole(raw, subject),
        key_id=_subject_key_id(raw, extensions[0]) if extensions else None,
    )


def parse_certificates(raw: bytes, limit: int = 1000) -> tuple[Certificate, ...]:
    """Read DER certificates one after another, `limit` at most, up to the first that is none. Raises nothing."""
    certificates: list[Certificate] = []
    at = 0
    while at < len(raw) and len(certificates) < limit:
        try:
            certificate = parse_certificate(raw[at : at + 65540])
        except ParseError:
            break
        certificates.append(certificate)
        at += len(certificate.raw)
    return tuple(certificates)


def _subject_key_id(raw: bytes, explicit: der.Tlv) -> bytes | None:
    for extension in der.children(raw, der.expect(raw, explicit.body, explicit.end, der.SEQUENCE)):
        kind = der.expect(raw, extension.body, extension.end, der.OID)
        value = der.read_tlv(raw, kind.end, extension.end)
        if value.tag == der.BOOLEAN:
            value = der.read_tlv(raw, value.end, extension.end)
        if der.oid(raw, kind) == _SUBJECT_KEY_ID and value.tag == der.OCTET_STRING:
            return der.contents(raw, der.expect(raw, value.body, value.end, der.OCTET_STRING))
    return None
