"""TLS settings of the web configuration file as an ``ssl.SSLContext``; the tables map Go's names to OpenSSL's.

Certificates and keys whose PEM text is in the file itself go through a memfd, because Python's ssl loads only from
paths. TLS 1.3 suites cannot be chosen, neither in Go nor here. When a file changes, a new context is made; it serves
the connections that are accepted afterwards.
"""

import ipaddress
import os
import ssl
import warnings
from asyncio import sslproto
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from kmodmon.types.error import ConfigError

VERSIONS: Mapping[str, ssl.TLSVersion] = MappingProxyType(
    {
        "TLS10": ssl.TLSVersion.TLSv1,
        "TLS11": ssl.TLSVersion.TLSv1_1,
        "TLS12": ssl.TLSVersion.TLSv1_2,
        "TLS13": ssl.TLSVersion.TLSv1_3,
    }
)
CURVES: Mapping[str, str] = MappingProxyType(
    {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
)
READ_BYTES = 16384
"""For SSLProtocol.max_size: asyncio has no setting for the read buffer of a TLS connection, which is 256 KiB."""

_TLS13 = "TLS 1.3: always on"
CIPHERS: Mapping[str, str] = MappingProxyType(
    {
        "TLS_AES_128_GCM_SHA256": _TLS13,
        "TLS_AES_256_GCM_SHA384": _TLS13,
        "TLS_CHACHA20_POLY1305_SHA256": _TLS13,
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


def make_context(tls: TlsSettings, file: Path) -> ssl.SSLContext:
    """A server context for these settings, which were read from `file`; raises ConfigError and nothing else."""
    sslproto.SSLProtocol.max_size = READ_BYTES
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    with _config_errors(file, "min_version"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TLS10 and TLS11, when configured
        context.minimum_version = VERSIONS[tls.min_version]
        context.maximum_version = VERSIONS[tls.max_version]
    with _config_errors(file, "cipher_suites"):
        _set_ciphers(context, tls)
    with _config_errors(file, "curve_preferences"):
        if len(tls.curve_preferences) == 1:
            context.set_ecdh_curve(CURVES[tls.curve_preferences[0]])
    with _config_errors(file, "cert_file"):
        _load_certificate(context, tls)
    with _config_errors(file, "client_ca_file"):
        _set_client_auth(context, tls)
    return context


def _load_certificate(context: ssl.SSLContext, tls: TlsSettings) -> None:
    with _as_path(tls.cert_file, tls.cert) as cert, _as_path(tls.key_file, tls.key) as key:
        # without the callback OpenSSL asks the terminal for the passphrase of an encrypted key
        context.load_cert_chain(cert, key, password=lambda: "")


def _set_ciphers(context: ssl.SSLContext, tls: TlsSettings) -> None:
    names = [CIPHERS[name] for name in tls.cipher_suites if CIPHERS[name] != _TLS13]
    if names:
        context.set_ciphers(":".join(names))
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _set_client_auth(context: ssl.SSLContext, tls: TlsSettings) -> None:
    match tls.client_auth_type:
        case "RequireAndVerifyClientCert":
            context.verify_mode = ssl.CERT_REQUIRED
        case "VerifyClientCertIfGiven":
            context.verify_mode = ssl.CERT_OPTIONAL
        case _:
            return
    with _as_path(tls.client_ca_file, tls.client_ca) as path:
        context.load_verify_locations(cafile=path)


@contextmanager
def _config_errors(file: Path, key: str) -> Iterator[None]:
    """Raise a ConfigError that names `key` instead of what ssl raises."""
    try:
        yield
    except (ssl.SSLError, ValueError, TypeError) as error:
        why = f"not accepted: {error}"
        raise ConfigError(
            str(file), f"tls_server_config.{key}", why, "certificate and key must be PEM and fit"
        ) from error
    except OSError as error:
        name = f" {error.filename}" if error.filename else ""
        raise ConfigError(str(file), f"tls_server_config.{key}", f"cannot read{name}: {error.strerror}") from error


@contextmanager
def _as_path(path: Path | None, text: str) -> Iterator[str]:
    if path is not None:
        path.open("rb").close()  # ssl's own error does not name the file
        yield str(path)
        return
    fd = os.memfd_create("kmodmon-tls")
    try:
        with os.fdopen(os.dup(fd), "wb") as out:
            out.write(text.encode())
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


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
