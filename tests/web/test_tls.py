"""TLS settings as contexts, tried out with a real handshake in memory and over loopback."""

import ssl
import subprocess
import sys
from asyncio import sslproto
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kmodmon.types.error import ConfigError
from kmodmon.web.tls import CIPHERS, CURVES, TlsSettings, san_allowed
from kmodmon.web.tls_context import READ_BYTES, make_context
from kmodmon.web.webconfig import read_web_config
from tests.web.certificates import Authority
from tests.web.serving import Served, wait_until


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """A handshake in memory; gives the server's side or raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    waiting = [theirs, ours]
    for turn in range(20):
        side = waiting[turn % 2]
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    ours.do_handshake()
    theirs.do_handshake()
    return ours


def context(authority: Authority, tls: str = "") -> ssl.SSLContext:
    file = authority.web_config(tls=tls)
    settings = read_web_config(file).tls
    assert settings is not None
    return make_context(settings, file)


def test_context_from_files_and_from_inline_text_serve_the_same(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    inline = TlsSettings(cert=(tmp_path / "server.pem").read_text(), key=(tmp_path / "server.key").read_text())
    for server_context in (context(authority), make_context(inline, tmp_path / "web.yml")):
        done = shake(server_context, authority.client())
        assert done.version() == "TLSv1.3"
        assert done.selected_alpn_protocol() is None


def test_context_when_versions_are_bounded_keeps_to_them(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    assert shake(context(authority, "max_version: TLS12"), authority.client()).version() == "TLSv1.2"
    old = authority.client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake(context(authority, "min_version: TLS13"), old)


def test_context_when_ciphers_are_chosen_uses_them_in_order(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    wanted = (
        "max_version: TLS12\ncipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256]"
    )
    cipher = shake(context(authority, wanted), authority.client()).cipher()
    assert cipher is not None
    assert cipher[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"


def test_every_cipher_and_curve_name_is_one_that_openssl_knows(tmp_path: Path) -> None:
    server_context = context(Authority(tmp_path))
    for name in {name for name in CIPHERS.values() if not name.startswith("TLS 1.3")}:
        server_context.set_ciphers(name)
    for curve in CURVES.values():
        server_context.set_ecdh_curve(curve)


@pytest.mark.parametrize("curve", sorted(CURVES))
def test_context_when_one_curve_is_chosen_still_shakes_hands(tmp_path: Path, curve: str) -> None:
    authority = Authority(tmp_path)
    assert shake(context(authority, f"curve_preferences: [{curve}]"), authority.client()).version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("file", "content", "key"),
    [
        ("server.pem", None, "cert_file"),
        ("server.pem", "garbage", "cert_file"),
        ("server.key", None, "cert_file"),
        ("server.key", "garbage", "cert_file"),
        ("ca.pem", None, "client_ca_file"),
        ("ca.pem", "garbage", "client_ca_file"),
    ],
)
def test_context_when_a_file_is_missing_or_garbage_says_which(
    tmp_path: Path, file: str, content: str | None, key: str
) -> None:
    authority = Authority(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(ConfigError) as caught:
        context(authority, "client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.pem")
    assert caught.value.key == f"tls_server_config.{key}"
    if content is None:
        assert file in caught.value.why


def test_context_when_the_key_is_another_ones_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("other")
    (tmp_path / "other.key").rename(tmp_path / "server.key")
    with pytest.raises(ConfigError, match="cert_file"):
        context(authority)


def test_context_when_the_key_is_encrypted_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    key_file = tmp_path / "server.key"
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(ConfigError):
        context(authority)


def test_client_certificate_when_it_is_required_decides_who_may_ask(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("scraper")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Authority(elsewhere).issue("stranger")
    stranger = authority.client()
    stranger.load_cert_chain(elsewhere / "stranger.pem", elsewhere / "stranger.key")
    config = authority.web_config(tls="client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.pem")
    with Served(web_config=config) as served:
        assert served.get("/", tls=authority.client("scraper")).status == 200
        for refused in (authority.client(), stranger):
            with pytest.raises(OSError):
                served.get("/", tls=refused)
        wait_until(lambda: served.stats.handshake_failures == 2, "both counted")
        assert served.logged == []


def test_client_certificate_when_it_may_be_missing_must_still_be_good_if_it_is_there(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("scraper")
    server_context = context(authority, "client_auth_type: VerifyClientCertIfGiven\nclient_ca_file: ca.pem")
    assert not shake(server_context, authority.client()).getpeercert()
    assert shake(server_context, authority.client("scraper")).getpeercert()


def test_client_name_when_only_some_are_allowed_decides_who_may_ask(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("good", x509.DNSName("scraper.example"))
    authority.issue("bad", x509.DNSName("other.example"))
    tls = "client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.pem\nclient_allowed_sans: [scraper.example]"
    with Served(web_config=authority.web_config(tls=tls)) as served:
        assert served.get("/", tls=authority.client("good")).status == 200
        with pytest.raises(OSError):
            served.get("/", tls=authority.client("bad"))
        wait_until(lambda: served.stats.handshake_failures == 1, "it was counted")


@pytest.mark.parametrize(
    ("names", "allowed", "expected"),
    [
        ((("DNS", "a"),), (), True),
        ((), (), True),
        ((("DNS", "a"), ("DNS", "b")), ("b",), True),
        ((("email", "x@y"),), ("x@y",), True),
        ((("URI", "spiffe://x/y"),), ("spiffe://x/y",), True),
        ((("IP Address", "0:0:0:0:0:0:0:1"),), ("::1",), True),
        ((("IP Address", "10.0.0.1"),), ("10.0.0.1",), True),
        ((("IP Address", "<invalid>"),), ("10.0.0.1",), False),
        ((("DNS", "a"),), ("b",), False),
        ((("Registered ID", "a"), ("DirName", ((("commonName", "a"),),))), ("a",), False),
        ((), ("a",), False),
    ],
)
def test_san_allowed_when_names_are_these_says_that(
    names: tuple[object, ...], allowed: tuple[str, ...], expected: bool
) -> None:
    assert san_allowed({"subjectAltName": names} if names else {}, allowed) is expected


def test_asyncio_still_has_the_buffer_size_that_is_made_smaller(tmp_path: Path) -> None:
    script = "from asyncio import sslproto; print(sslproto.SSLProtocol.max_size)"
    fresh = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert int(fresh.stdout) > READ_BYTES
    context(Authority(tmp_path))
    assert sslproto.SSLProtocol.max_size == READ_BYTES
