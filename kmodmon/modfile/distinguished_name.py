"""X.501 names in signatures and certificates, by which people recognise a signer.

Interface: RFC 5280 section 4.1.2.4 (Name), as DER. The kernel compares these names byte by byte;
modinfo(8) prints the common name as `signer:`.
"""

from kmodmon.modfile import der
from kmodmon.types.text import safe_text

_COMMON_NAME = "2.5.4.3"
_ORGANIZATION = "2.5.4.10"
_EMAIL = "1.2.840.113549.1.9.1"
_NAME_LIMIT = 1024  # bytes of one value


def attributes(raw: bytes) -> tuple[tuple[str, str], ...]:
    """(OID, value as safe text) of every attribute of a DER Name that is text; raises ParseError."""
    pairs = []
    for group in der.children(raw, der.expect(raw, 0, None, der.SEQUENCE)):
        for pair in der.children(raw, group):
            kind = der.read_tlv(raw, pair.body, pair.end)
            value = der.text(raw, der.read_tlv(raw, kind.end, pair.end))
            if value is not None:
                pairs.append((der.oid(raw, kind), safe_text(value.encode()[:_NAME_LIMIT])))
    return tuple(pairs)


def common_name(raw: bytes) -> str | None:
    """The first common name of a DER Name, as modinfo's `signer:`; None without one. Raises ParseError."""
    return _first(raw, _COMMON_NAME)


def display_name(raw: bytes) -> str | None:
    """Common name, else organisation, else mail address; None when there is none of them. Raises ParseError."""
    return _first(raw, _COMMON_NAME) or _first(raw, _ORGANIZATION) or _first(raw, _EMAIL)


def _first(raw: bytes, wanted: str) -> str | None:
    return next((value for kind, value in attributes(raw) if kind == wanted), None)
