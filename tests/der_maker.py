"""Writes DER: enough for certificates and PKCS#7 messages that no program here can make."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kmodmon.modfile import der


def tlv(tag: int, *parts: bytes) -> bytes:
    """One element around its parts."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def oid(dotted: str) -> bytes:
    """An object identifier."""
    numbers = [int(part) for part in dotted.split(".")]
    out = b""
    for number in (numbers[0] * 40 + numbers[1], *numbers[2:]):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        out += bytes(reversed(groups))
    return tlv(der.OID, out)


def message(
    certificate: bytes, digest: str, algorithm: str, signature: bytes, attributes: bytes = b"", enclosed: bytes = b""
) -> bytes:
    """A detached PKCS#7 message by the owner of `certificate`; digest and algorithm are OIDs."""
    loaded = x509.load_der_x509_certificate(certificate)
    issuer = loaded.issuer.public_bytes()
    serial = loaded.serial_number
    number = tlv(der.INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1, "big"))
    info = tlv(
        der.SEQUENCE,
        tlv(der.INTEGER, b"\x01"),
        tlv(der.SEQUENCE, issuer, number),
        tlv(der.SEQUENCE, oid(digest)),
        attributes,
        tlv(der.SEQUENCE, oid(algorithm)),
        tlv(der.OCTET_STRING, signature),
    )
    body = tlv(
        der.SEQUENCE,
        tlv(der.INTEGER, b"\x01"),
        tlv(der.SET, tlv(der.SEQUENCE, oid(digest))),
        tlv(der.SEQUENCE, oid("1.2.840.113549.1.7.1")),
        tlv(der.context(0, constructed=True), enclosed) if enclosed else b"",
        tlv(der.SET, info),
    )
    return tlv(der.SEQUENCE, oid("1.2.840.113549.1.7.2"), tlv(der.context(0, constructed=True), body))


def encoded(certificate: x509.Certificate) -> bytes:
    """A certificate in DER."""
    return certificate.public_bytes(Encoding.DER)
