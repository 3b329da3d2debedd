"""The web configuration file of Prometheus exporters (``--web.config.file``), read as its exporter-toolkit reads it.

Its format: github.com/prometheus/exporter-toolkit, docs/web-configuration.md. An unknown key is an error; relative
paths start at the file's directory. What Python's ssl cannot do is refused where a person would rely on it (client
certificates that are requested and not verified), else it becomes a note (HTTP/2, several curves in order of
preference). :mod:`kmodmon.web.web_config_reload` reads the file again when it changes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from kmodmon.config.document import Section
from kmodmon.config.values import describe, is_integer
from kmodmon.config.yaml_document import read_yaml
from kmodmon.web.tls import CIPHERS, CURVES, VERSIONS, TlsSettings

CLIENT_AUTH = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_HEADERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Content-Security-Policy": (),
        "X-Frame-Options": ("deny", "sameorigin"),
        "X-Content-Type-Options": ("nosniff",),
        "X-XSS-Protection": (),
        "Strict-Transport-Security": (),
    }
)
_ANY = r"(?s).*"
_BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = MappingProxyType({"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0})


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """``rate_limit``: one request per `interval` seconds in the long run, `burst` at once."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """The whole file; the defaults are what is in force without a file.

    `users`: bcrypt hashes by name. `notes`: what the file asks for and kmodmon does not do, one sentence each.
    """

    tls: TlsSettings | None = None
    users: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    rate_limit: RateLimit | None = None
    notes: tuple[str, ...] = ()


def read_web_config(file: Path) -> WebConfig:
    """Read and check `file`, but not the certificates it names; raises ConfigError and nothing else."""
    document = read_yaml(file)
    document.only(("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"))
    http = document.section("http_server_config")
    http.only(("http2", "headers"))
    tls = _tls(document.section("tls_server_config"))
    return WebConfig(
        tls=tls,
        users=_users(document.section("basic_auth_users")),
        headers=_headers(http.section("headers")),
        rate_limit=_rate_limit(document.section("rate_limit")),
        notes=_notes(tls, http2=http.flag("http2", False)),
    )


def _tls(section: Section) -> TlsSettings | None:
    section.only(TlsSettings.__dataclass_fields__)
    settings = TlsSettings(
        cert_file=_path(section, "cert_file"),
        key_file=_path(section, "key_file"),
        client_ca_file=_path(section, "client_ca_file"),
        cert=_text(section, "cert"),
        key=_text(section, "key"),
        client_ca=_text(section, "client_ca"),
        client_auth_type=_client_auth(section),
        client_allowed_sans=section.texts("client_allowed_sans", pattern=_ANY, single=False),
        min_version=section.word("min_version", VERSIONS, "TLS12"),
        max_version=section.word("max_version", VERSIONS, "TLS13"),
        cipher_suites=section.texts("cipher_suites", CIPHERS, single=False),
        prefer_server_cipher_suites=section.flag("prefer_server_cipher_suites", True),
        curve_preferences=section.texts("curve_preferences", CURVES, single=False),
    )
    if not any(
        section.values.get(key)
        for key in ("cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file", "client_auth_type")
    ):
        return None
    _check_consistency(settings, section)
    return settings


def _text(section: Section, key: str) -> str:
    return section.text(key, "", pattern=_ANY)


def _path(section: Section, key: str) -> Path | None:
    value = _text(section, key)
    if "\0" in value:
        raise section.error(key, "a path has no NUL")
    return Path(section.document.file).parent / value if value else None


def _client_auth(section: Section) -> str:
    value = section.values.get("client_auth_type")
    if value in _UNVERIFIED:
        hint = "RequireAndVerifyClientCert with client_ca_file is the one that protects"
        raise section.error("client_auth_type", f"{value} verifies nothing and is not offered", hint)
    return section.word("client_auth_type", CLIENT_AUTH, "NoClientCert")


def _check_consistency(tls: TlsSettings, section: Section) -> None:
    for text, path in (("cert", "cert_file"), ("key", "key_file"), ("client_ca", "client_ca_file")):
        if _text(section, text) and _text(section, path):
            raise section.error(text, f"and {path} are both there", "keep one of them")
    if not (tls.cert or tls.cert_file):
        raise section.error("cert_file", "is missing", "TLS needs a certificate: cert_file or cert")
    if not (tls.key or tls.key_file):
        raise section.error("key_file", "is missing", "TLS needs the certificate's key: key_file or key")
    if list(VERSIONS).index(tls.min_version) > list(VERSIONS).index(tls.max_version):
        raise section.error("min_version", f"{tls.min_version} is above max_version {tls.max_version}")
    verified = tls.client_auth_type != "NoClientCert"
    if verified != bool(tls.client_ca or tls.client_ca_file):
        hint = "client_ca_file and client_auth_type: RequireAndVerifyClientCert go together"
        raise section.error("client_auth_type", f"{tls.client_auth_type} does not fit the client CA", hint)
    if tls.client_allowed_sans and tls.client_auth_type != "RequireAndVerifyClientCert":
        raise section.error("client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert")


def _users(section: Section) -> Mapping[str, str]:
    users = {name: _text(section, name) for name in section.values}
    for name, hashed in users.items():
        if not _BCRYPT.fullmatch(hashed):
            raise section.error(name, "is not a bcrypt hash", "make one with `htpasswd -nBC 10 NAME`")
    if users:
        _need_bcrypt(section)
    return MappingProxyType(users)


def _need_bcrypt(section: Section) -> None:
    try:
        import bcrypt  # noqa: F401 - imported only where there are users; if it is missing, that is an error now
    except ImportError as error:
        raise section.error("", f"needs the bcrypt package: {error}") from error


def _headers(section: Section) -> tuple[tuple[str, str], ...]:
    section.only(_HEADERS)
    headers = tuple((name, _text(section, name)) for name in section.values)
    for name, value in headers:
        if _HEADERS[name] and value.lower() not in ("", *_HEADERS[name]):
            raise section.error(name, f"{value!r} is not known", f"one of {', '.join(_HEADERS[name])}")
        if not (value.isascii() and value.isprintable()):
            raise section.error(name, "a header is printable ASCII on one line")
    return headers


def _rate_limit(section: Section) -> RateLimit | None:
    section.only(("interval", "burst"))
    interval = _seconds(section, "interval")
    burst = section.values.get("burst", 0)
    if not is_integer(burst) or burst < 0:
        raise section.error("burst", f"wants a whole number, not {describe(burst)}")
    if interval == 0:
        return None
    if burst == 0:
        raise section.error("burst", "is 0, which would refuse every request", "1 or more")
    return RateLimit(interval=interval, burst=burst)


def _seconds(section: Section, key: str) -> float:
    """Give the seconds of a duration as Go writes it (``1m30s``); raises ConfigError."""
    value = section.values.get(key)
    if value in (None, 0, "0"):
        return 0.0
    if not isinstance(value, str) or not re.fullmatch(f"(?:{_DURATION.pattern})+", value):
        raise section.error(key, f"wants a duration, not {describe(value)}", "write 1s, 100ms or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(value))


def _notes(tls: TlsSettings | None, *, http2: bool) -> tuple[str, ...]:
    notes = []
    if http2 and tls is not None:
        notes.append("http_server_config.http2: kmodmon speaks HTTP/1.1 only")
    if tls is not None and len(tls.curve_preferences) > 1:
        notes.append(
            "tls_server_config.curve_preferences: several curves cannot be set here, OpenSSL's own order is used"
        )
    return tuple(notes)
