"""TLS settings of the web configuration file; the tables map Go's names to those of OpenSSL and `ssl.TLSVersion`.

TLS 1.3 suites cannot be chosen, neither in Go nor here. Nothing here imports ssl: a daemon without TLS does without it
(:mod:`kmodmon.web.tls_context`).
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

VERSIONS: Mapping[str, str] = MappingProxyType(
    {"TLS10": "TLSv1", "TLS11": "TLSv1_1", "TLS12": "TLSv1_2", "TLS13": "TLSv1_3"}
)
CURVES: Mapping[str, str] = MappingProxyType(
    {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
)
TLS13_SUITE = "TLS 1.3: always on"
CIPHERS: Mapping[str, str] = MappingProxyType(
    {
        "TLS_AES_128_GCM_SHA256": TLS13_SUITE,
        "TLS_AES_256_GCM_SHA384": TLS13_SUITE,
        "TLS_CHACHA20_POLY1305_SHA256": TLS13_SUITE,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
        "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
        "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """``tls_server_config``; a certificate, key or CA is a file or the PEM text itself, never both."""

    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    cert: str = ""
    key: str = field(default="", repr=False)
    client_ca: str = ""
    client_auth_type: str = "NoClientCert"
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the context is made from."""
        return tuple(path for path in (self.cert_file, self.key_file, self.client_ca_file) if path is not None)


def san_allowed(peer_certificate: Mapping[str, object], allowed: tuple[str, ...]) -> bool:
    """Whether a verified client certificate (``getpeercert()``) has one of the names `allowed`; always, without any."""
    return not allowed or any(name in allowed for name in _names(peer_certificate.get("subjectAltName")))


def _names(alternatives: object) -> Iterator[str]:
    for entry in alternatives if isinstance(alternatives, tuple) else ():
        match entry:
            case ("DNS" | "email" | "URI", str(name)):
                yield name
            case ("IP Address", str(name)):
                yield _address(name.strip())


def _address(text: str) -> str:
    """An address in the short notation (``::1``), as in the settings; OpenSSL writes ``0:0:0:0:0:0:0:1``."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
