"""TLS settings as an ``ssl.SSLContext``.

Certificates and keys whose PEM text is in the file itself go through a memfd, because Python's ssl loads only from
paths. When a file changes, a new context is made; it serves the connections that are accepted afterwards.
"""

import os
import ssl
import warnings
from asyncio import sslproto
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kmodmon.types.error import ConfigError
from kmodmon.web.tls import CIPHERS, CURVES, TLS13_SUITE, VERSIONS, TlsSettings

READ_BYTES = 16384
"""For SSLProtocol.max_size: asyncio has no setting for the read buffer of a TLS connection, which is 256 KiB."""


def make_context(tls: TlsSettings, file: Path) -> ssl.SSLContext:
    """A server context for these settings, which were read from `file`; raises ConfigError and nothing else."""
    sslproto.SSLProtocol.max_size = READ_BYTES
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    with _config_errors(file, "min_version"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TLS10 and TLS11, when configured
        context.minimum_version = ssl.TLSVersion[VERSIONS[tls.min_version]]
        context.maximum_version = ssl.TLSVersion[VERSIONS[tls.max_version]]
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
    names = [CIPHERS[name] for name in tls.cipher_suites if CIPHERS[name] != TLS13_SUITE]
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
