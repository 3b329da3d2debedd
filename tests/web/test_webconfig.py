"""The web configuration file: what is taken, what is refused, and with which words."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.config import yaml_document
from kmodmon.types.error import ConfigError
from kmodmon.web.webconfig import RateLimit, WebConfig, read_web_config

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
EVERYTHING = f"""\
tls_server_config:
  cert_file: certs/server.crt
  key_file: /etc/tls/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [scraper.example, "10.0.0.1"]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: "default-src 'self'"
    X-Frame-Options: sameorigin
    X-Content-Type-Options: nosniff
    X-XSS-Protection: 1; mode=block
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  alice: {HASH}
rate_limit:
  interval: 1m30s
  burst: 20
"""


def read(directory: Path, text: str) -> WebConfig:
    file = directory / "web.yml"
    file.write_text(text)
    return read_web_config(file)


def refuse(directory: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(directory, text)
    assert caught.value.file == str(directory / "web.yml")
    return caught.value


def test_read_when_everything_is_there_takes_everything(tmp_path: Path) -> None:
    config = read(tmp_path, EVERYTHING)
    assert config.tls is not None
    assert config.tls.cert_file == tmp_path / "certs/server.crt"
    assert config.tls.key_file == Path("/etc/tls/server.key")
    assert config.tls.files == (tmp_path / "certs/server.crt", Path("/etc/tls/server.key"), tmp_path / "ca.crt")
    assert config.tls.client_allowed_sans == ("scraper.example", "10.0.0.1")
    assert config.tls.prefer_server_cipher_suites is False
    assert config.tls.curve_preferences == ("X25519",)
    assert config.users == {"alice": HASH}
    assert dict(config.headers)["X-XSS-Protection"] == "1; mode=block"
    assert len(config.headers) == 5
    assert config.rate_limit == RateLimit(interval=90.0, burst=20)
    assert config.notes == ()


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "{}", "tls_server_config:\n", "tls_server_config: {}\nrate_limit:\n"]
)
def test_read_when_nothing_is_said_gives_plain_http_for_everybody(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == WebConfig()


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("tls_config: {}", "tls_config", "no such key"),
        ("tls_server_config: {certfile: x}", "tls_server_config.certfile", "no such key"),
        ("http_server_config: {http3: true}", "http_server_config.http3", "no such key"),
        ("rate_limit: {bursts: 1}", "rate_limit.bursts", "no such key"),
        ("http_server_config: {headers: {Server: x}}", "http_server_config.headers.Server", "no such key"),
        ("tls_server_config: [1]", "tls_server_config", "wants a section"),
        ("[1, 2]", "", "wants a section"),
        ("just text", "", "wants a section"),
        ("tls_server_config: {key_file: k}", "tls_server_config.cert_file", "is missing"),
        ("tls_server_config: {cert_file: c}", "tls_server_config.key_file", "is missing"),
        ("tls_server_config: {cert_file: c, key_file: 7}", "tls_server_config.key_file", "wants a text"),
        ("tls_server_config: {cert_file: c, cert: d, key: k}", "tls_server_config.cert", "both there"),
        ("tls_server_config: {cert_file: c, key_file: k, min_version: TLS9}", "tls_server_config.min_version", "TLS9"),
        ("tls_server_config: {cert_file: c, key_file: k, min_version: 1.2}", "tls_server_config.min_version", "text"),
        (
            "tls_server_config: {cert_file: c, key_file: k, min_version: TLS13, max_version: TLS12}",
            "tls_server_config.min_version",
            "above",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, client_auth_type: RequireAnyClientCert}",
            "tls_server_config.client_auth_type",
            "verifies nothing",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, client_auth_type: Maybe}",
            "tls_server_config.client_auth_type",
            "not known",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, client_ca_file: a}",
            "tls_server_config.client_auth_type",
            "does not fit",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, client_auth_type: RequireAndVerifyClientCert}",
            "tls_server_config.client_auth_type",
            "does not fit",
        ),
        ("tls_server_config: {client_auth_type: NoClientCert}", "tls_server_config.cert_file", "is missing"),
        (
            "tls_server_config: {cert_file: c, key_file: k, client_allowed_sans: [a]}",
            "tls_server_config.client_allowed_sans",
            "RequireAndVerify",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, client_allowed_sans: a}",
            "tls_server_config.client_allowed_sans",
            "wants a list",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, cipher_suites: [DES]}",
            "tls_server_config.cipher_suites[0]",
            "not known",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, curve_preferences: [X25519, P1]}",
            "tls_server_config.curve_preferences[1]",
            "not known",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, prefer_server_cipher_suites: 1}",
            "tls_server_config.prefer_server_cipher_suites",
            "true or false",
        ),
        ('tls_server_config: {cert_file: "a\\0b", key_file: k}', "tls_server_config.cert_file", "NUL"),
        ("http_server_config: {http2: maybe}", "http_server_config.http2", "true or false"),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}",
            "http_server_config.headers.X-Frame-Options",
            "not known",
        ),
        (
            'http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb"}}',
            "http_server_config.headers.X-XSS-Protection",
            "one line",
        ),
        ("basic_auth_users: {alice: secret}", "basic_auth_users.alice", "not a bcrypt hash"),
        ("basic_auth_users: {alice: }", "basic_auth_users.alice", "not a bcrypt hash"),
        (f"basic_auth_users: {{1: {HASH}}}", "basic_auth_users.1", "must be text"),
        ("rate_limit: {interval: 5, burst: 1}", "rate_limit.interval", "duration"),
        ("rate_limit: {interval: 1x, burst: 1}", "rate_limit.interval", "duration"),
        ("rate_limit: {interval: 1s}", "rate_limit.burst", "every request"),
        ("rate_limit: {interval: 1s, burst: -1}", "rate_limit.burst", "whole number"),
        ("rate_limit: {interval: 1s, burst: true}", "rate_limit.burst", "whole number"),
    ],
)
def test_read_when_something_is_wrong_names_file_key_and_reason(tmp_path: Path, text: str, key: str, why: str) -> None:
    error = refuse(tmp_path, text)
    assert error.key == key
    assert why in error.why


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: b: c", 1),
        ("rate_limit:\n  interval: 1s\n\tburst: 1", 3),
        ("{", 2),
        ("a: 'x", 2),
        ("!!python/object:os.x {}", 1),
    ],
)
def test_read_when_it_is_not_yaml_names_the_line(tmp_path: Path, text: str, line: int) -> None:
    assert refuse(tmp_path, text + "\n").line in (line, line + 1)


def test_read_when_a_key_is_there_twice_names_its_second_line(tmp_path: Path) -> None:
    error = refuse(tmp_path, f"basic_auth_users:\n  a: {HASH}\n  b: {HASH}\n  a: {HASH}\n")
    assert (error.key, error.line) == ("basic_auth_users.a", 4)


def test_read_when_a_secret_is_wrong_does_not_repeat_it(tmp_path: Path) -> None:
    assert "hunter2" not in str(refuse(tmp_path, "basic_auth_users: {alice: hunter2}"))
    config = read(tmp_path, f"tls_server_config: {{cert: c, key: hunter2}}\nbasic_auth_users: {{alice: {HASH}}}")
    assert "hunter2" not in repr(config) and HASH not in repr(config)


def test_read_when_it_asks_for_what_cannot_be_done_notes_it(tmp_path: Path) -> None:
    tls = "tls_server_config: {cert_file: c, key_file: k, curve_preferences: [X25519, CurveP256]}\n"
    notes = read(tmp_path, tls + "http_server_config: {http2: true}").notes
    assert [note.partition(":")[0] for note in notes] == [
        "http_server_config.http2",
        "tls_server_config.curve_preferences",
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1.0), ("100ms", 0.1), ("1m30s", 90.0), ("1.5h", 5400.0), ("2us", 2e-6), ("3ns", 3e-9), ("0", None)],
)
def test_read_when_an_interval_is_written_as_go_does_gives_seconds(
    tmp_path: Path, text: str, seconds: float | None
) -> None:
    limit = read(tmp_path, f"rate_limit: {{interval: {text}, burst: 1}}").rate_limit
    assert (limit.interval if limit else None) == pytest.approx(seconds)


def test_read_when_the_file_is_missing_a_directory_or_huge_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_web_config(tmp_path / "none.yml")
    with pytest.raises(ConfigError, match="directory"):
        read_web_config(tmp_path)
    monkeypatch.setattr(yaml_document, "MAX_BYTES", 10)
    assert "larger" in refuse(tmp_path, "#" * 11).why


YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "tls_server_config",
    "http_server_config",
    "basic_auth_users",
    "rate_limit",
    "cert_file",
    "key",
    "min_version",
    "headers",
    "http2",
    "interval",
    "burst",
    "client_allowed_sans",
    "cipher_suites",
    "X-Frame-Options",
)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(KEYS), YAML_VALUES | st.dictionaries(st.sampled_from(KEYS), YAML_VALUES), max_size=4
    )
)
def test_read_when_the_yaml_is_anything_gives_settings_or_config_error(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, object]
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yml"
    file.write_text(yaml.safe_dump(content))
    try:
        assert isinstance(read_web_config(file), WebConfig)
    except ConfigError as error:
        assert error.file == str(file)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_read_when_the_file_is_any_bytes_gives_settings_or_config_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes.yml"
    file.write_bytes(raw)
    try:
        assert isinstance(read_web_config(file), WebConfig)
    except ConfigError as error:
        assert error.file == str(file)
